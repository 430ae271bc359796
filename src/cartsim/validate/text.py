"""Why: the screen and docs/validation.md must say the same in the same words, so both take their cells from here."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cartsim.terms import DISCLAIMER
from cartsim.validate.score import SCORED, Number, Row
from cartsim.validate.trials import COUNTED

TITLE = "Published cohorts and what the model says of them"
TIER_WORDS = {
    "fit": "fit",
    "predict_same": "same patients",
    "predict_new": "new patients",
    "recalled": "recalled",
}
GROUP_WORDS = {
    "fit": "fit",
    "predict_same": "  same patients",
    "predict_new": "  new patients",
    "prediction": "predicted",
    "policy_contrast": "  another policy*",
    "overall": "all scored",
}
NOTES = (
    "inside: the published number lies in the 95 % predictive interval at the published number of patients; of an "
    "interquartile range both quartiles. Of a model that is right 95 % of rows would.",
    "width: of that interval over the one that would be left if the parameters were known (of a share the binomial "
    "one); median over rows. A model that covers by being vague has not passed.",
    "score: interval score, mean over rows, in units of that binomial width, of days of the error granted to a "
    "published median; low is good.",
    "naive: fitted cohorts of the same endpoint and definition, pooled; + spread: and as far off as those are "
    "from each other. Compared where there are any (compared: rows; ours: our score on them).",
    "medians: of onset and duration, met within 0.5 d or 15 %. Recalled rows are shown and never scored. Rows of one "
    "set of patients are not independent.",
    "*: under another policy than the fitted cohorts of the product.",
)


def opening(asked: Mapping[str, Any]) -> str:
    """What was asked, and what the parameter sets rest on."""
    numbers = ", ".join(f"{count:,} {status}" for status, count in asked["numbers"].items() if count)
    return (
        f"{asked['targets']} (split {asked['split_sha256'][:12]}): {asked['draws']:,} parameter sets, "
        f"{asked['subjects']:,} subjects of each cohort under each, seed {asked['seed']}. "
        f"Numbers of the model: {numbers}."
    )


def row_headers() -> tuple[str, ...]:
    """Headers of the table of rows."""
    return ("Figure", "n", "Published (exact 95 %)", "Simulated (95 % predictive)", "", "Tier", "Verified")


def row_cells(row: Row) -> tuple[str, ...]:
    """One target as the tables show it."""
    target = row.target
    tier = TIER_WORDS[row.tier] + ("*" if row.contrast else "")
    return (
        label(row),
        f"{target.denominator:,}",
        published(row),
        simulated(row),
        "inside" if row.inside else "OUTSIDE",
        tier,
        "yes" if target.verified else "no",
    )


def label(row: Row) -> str:
    """Endpoint and, where it is no plain proportion or median, the statistic; the scale where rows differ by it."""
    target = row.target
    words = target.endpoint + (f" {target.statistic}" if target.statistic in ("iqr", "mean") else "")
    more = target.id.split("/")[3:]
    return words + (f", {'/'.join(more)}" if more else "")


def by_cohort(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """(heading, rows) of each cohort; cohorts of the same patients follow each other."""
    sets = dict.fromkeys(row.target.patient_set for row in rows)
    groups: dict[str, list[Row]] = {}
    for name in sets:
        for row in rows:
            if row.target.patient_set == name:
                groups.setdefault(f"{row.target.cohort_id} ({name}): {row.target.trial}", []).append(row)
    return list(groups.items())


def published(row: Row) -> str:
    """The published number with its exact interval."""
    if row.target.statistic in COUNTED:
        number = row.numbers[0]
        assert number.exact is not None
        return f"{_show(row, number.published)} ({_span(row, *number.exact)}){_unit(row)}"
    return "–".join(f"{number.published:g}" for number in row.numbers) + " d"


def simulated(row: Row) -> str:
    """What was predicted; a dash where nobody was in the denominator."""
    if math.isnan(row.score):
        return "–"
    return "; ".join(_forecast(row, number) for number in row.numbers) + _unit(row)


def _forecast(row: Row, number: Number) -> str:
    return f"{_show(row, number.value)} ({_span(row, number.lower, number.upper)})"


def _span(row: Row, lower: float, upper: float) -> str:
    return f"{_show(row, lower, end=True)}–{_show(row, upper, end=True)}"


def _show(row: Row, value: float, end: bool = False) -> str:
    """Shares in percent; ends of intervals in days as they are recorded, in whole or half days."""
    if row.target.statistic == "proportion":
        return f"{100 * value:.1f}" if value else "0"
    if end and row.target.statistic != "count":
        return f"{value:g}"
    # what rounds to nothing has no sign
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0" if row.target.statistic == "count" else "")


def _unit(row: Row) -> str:
    return {"proportion": " %", "count": ""}.get(row.target.statistic, " d")


def score_lines(score: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headers and lines of the score by tier."""
    headers = (
        "", "Rows", "Inside", "%", "Width", "Score", "Medians", "Compared", "Ours", "Naive", "+ spread", "No naive",
    )  # fmt: skip
    groups = {**score["by_tier"], "overall": score["overall"]}
    order = ("fit", "prediction", "predict_same", "predict_new", "policy_contrast", "overall")
    lines: list[tuple[str, ...]] = [
        (
            GROUP_WORDS[name],
            f"{told['rows']:,}",
            f"{told['inside']:,}",
            _percent(told["coverage"]),
            _two(told["median_width_ratio"]),
            _two(told["interval_score"]),
            f"{told['medians_within']} of {told['medians_rows']}",
            f"{told['compared_rows']:,}",
            _two(told["compared_interval_score"]),
            _two(told["naive_interval_score"]),
            _two(told["naive_spread_interval_score"]),
            f"{told['naive_missing']:,}",
        )
        for name in order
        if (told := groups[name])["rows"]
    ]
    return headers, lines


def set_lines(score: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headers and lines of the score by set of patients: inside of rows in each tier."""
    headers = ("Patients", *(TIER_WORDS[tier] for tier in SCORED), "all", "%", "Width", "Score")
    lines: list[tuple[str, ...]] = []
    for name, told in score["by_patient_set"].items():
        whole = told["all"]
        tiers = [
            f"{told[tier]['inside']} of {told[tier]['rows']}" if tier in told else "–" for tier in SCORED
        ]
        lines.append(
            (
                name,
                *tiers,
                f"{whole['inside']} of {whole['rows']}",
                _percent(whole["coverage"]),
                _two(whole["median_width_ratio"]),
                _two(whole["interval_score"]),
            )
        )
    return headers, lines


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}"


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def markdown(rows: Sequence[Row], said: Mapping[str, Any], command: str) -> str:
    """docs/validation.md: the report as the command prints it, with the command that makes it again."""
    lines = [
        f"# {TITLE}",
        "",
        f"Made by `{command}`; do not edit. The same command also writes a figure and a table (results/README.md).",
        "",
        opening(said["asked"]),
        "",
    ]
    for heading, (headers, cells) in (
        ("Score", score_lines(said["score"])),
        ("By set of patients", set_lines(said["score"])),
    ):
        lines += [f"## {heading}", "", *_markdown_table(headers, cells), ""]
    lines += ["## How to read it", "", *(f"- {note.replace('*:', 'An asterisk:')}" for note in NOTES), ""]
    lines += ["## Every figure", ""]
    for heading, chosen in by_cohort(rows):
        lines += [
            f"### {heading}",
            "",
            *_markdown_table(row_headers(), [row_cells(row) for row in chosen]),
            "",
        ]
    return "\n".join([*lines, DISCLAIMER, ""])


def _markdown_table(headers: Sequence[str], cells: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(headers) + " |"
    yield "|" + "---|" * len(headers)
    for line in cells:
        yield "| " + " | ".join(cell.strip().replace("|", "\\|").replace("*", "\\*") for cell in line) + " |"
