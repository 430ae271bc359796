"""The two pictures of every run: when toxicity comes, and how bad it gets.

Both are drawn from the result tables alone, readable in grey and by the colour-blind, and carry the number of
subjects and the disclaimer, since pictures travel without their text. The same tables give the same bytes.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from cartsim.terms import DISCLAIMER

#: Okabe and Ito (2008) with a grey for yellow, in an order that stays apart for the colour-blind; line styles carry it
#: in grey. Eight colours and seven styles: no pair comes again before the 57th arm.
ARM_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
ARM_STYLES = (
    "-",
    (0, (5, 1.5)),
    (0, (1.5, 1.2)),
    (0, (6, 1.5, 1.5, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (12, 2)),
    (0, (8, 3, 2, 3)),
)
#: Grades 0 to 5, from light to dark in even steps of lightness (monotone in grey).
GRADE_COLOURS = ("#F2F0EB", "#FBD9A5", "#F3A26D", "#D5605A", "#8E2F62", "#2B0F38")
PANELS = (
    ("crs_any_incidence", "CRS, any grade"),
    ("icans_any_incidence", "ICANS, any grade"),
    ("crs_ge3_incidence", "CRS, grade 3 or more"),
    ("icans_ge3_incidence", "ICANS, grade 3 or more"),
)
SCALE_NAMES = {
    "astct2019": "ASTCT 2019",
    "lee2014": "Lee 2014",
    "penn": "Penn",
    "ctcae5": "CTCAE 5.0",
    "cartox2018": "CARTOX 2018",
}
LABEL_WIDTH = 26
INK = "#222222"
#: Fixed, so that element ids in SVG do not change from run to run.
HASH_SALT = "cartsim"
#: What every figure starts from.
STYLE = {
    "svg.hashsalt": HASH_SALT,
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def write_figures(
    outcomes: pa.Table,
    curves: pa.Table,
    folder: str | Path,
    *,
    labels: Mapping[str, str] | None = None,
    title: str = "",
) -> list[Path]:
    """Write cumulative_incidence and maximum_grades as PNG and SVG into `folder`; return the paths.

    `outcomes` and `curves` are those of `analysis.summary.Summary`; `labels` maps arm_id to what readers call it.
    """
    import matplotlib

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    style = STYLE | {
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
    }
    with matplotlib.rc_context(style):
        for name, figure in (
            ("cumulative_incidence", draw_incidence(curves, outcomes, labels=labels, title=title)),
            ("maximum_grades", draw_grades(outcomes, labels=labels, title=title)),
        ):
            for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
                path = folder / f"{name}.{kind}"
                figure.savefig(path, dpi=150, metadata=metadata)
                paths.append(path)
    return paths


def _figure(width: float, height: float) -> Any:
    # A bare Figure with the Agg canvas: no window system, no global state of pyplot.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _arm_labels(arms: Sequence[str], labels: Mapping[str, str] | None) -> dict[str, str]:
    return {arm: textwrap.shorten((labels or {}).get(arm) or arm, 75, placeholder=" ...") for arm in arms}


def _arms(table: pa.Table) -> list[str]:
    return list(dict.fromkeys(table["arm_id"].to_pylist()))


def _subjects(outcomes: pa.Table) -> str:
    counts = {row["n_units"] for row in outcomes.to_pylist() if row["summary"] == "share"}
    units = set(outcomes["replication_unit"].to_pylist())
    unit = units.pop() if len(units) == 1 else "subject"
    plural = "s" if counts != {1} else ""
    counted = f"N = {', '.join(f'{n:,}' for n in sorted(counts)) or '0'} {unit}{plural} in every arm"
    return counted if unit == "subject" else f"{counted}; subjects of all of them are counted together"


def _footer(figure: Any, outcomes: pa.Table, note: str) -> None:
    height = figure.get_size_inches()[1]
    figure.text(
        0.012, 0.09 / height, f"{_subjects(outcomes)}. {note}\n{DISCLAIMER}", fontsize=7, color="#444444"
    )


def draw_incidence(
    curves: pa.Table, outcomes: pa.Table, *, labels: Mapping[str, str] | None = None, title: str = ""
) -> Any:
    """Draw cumulative incidence of CRS and ICANS by arm, death competing, with band and numbers at risk.

    Returns a matplotlib Figure. `curves` has columns arm_id, endpoint, time_d, value, lower, upper, at_risk.
    """
    arms = _arms(outcomes)
    names = _arm_labels(arms, labels)
    data: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in curves.to_pylist():
        data.setdefault((row["endpoint"], row["arm_id"]), []).append(row)
    horizon = max((row["time_d"] for rows in data.values() for row in rows), default=30.0)

    columns = _legend_columns(list(names.values()))
    legend_rows = -(-len(arms) // columns)
    top, bottom, strip = 0.8 + 0.15 * legend_rows, 0.2, 0.3 + 0.135 * len(arms)
    panel, gap = 2.05, 0.62
    height = top + 2 * (panel + strip + gap) + bottom
    width = 9.8
    figure = _figure(width, height)
    peaks = _row_peaks(data, arms)
    handles: dict[str, Any] = {}
    for k, (endpoint, name) in enumerate(PANELS):
        row, column = divmod(k, 2)
        left = (0.95 + column * 4.75) / width
        base = height - top - (row + 1) * panel - row * (strip + gap)
        axes = figure.add_axes((left, base / height, 3.85 / width, panel / height))
        for i, arm in enumerate(arms):
            rows = data.get((endpoint, arm), [])
            if rows:
                handles[arm] = _draw_curve(axes, rows, i)
        axes.set_title(name)
        axes.set_xlim(0, horizon)
        axes.set_ylim(0, peaks[row])
        axes.set_ylabel("Cumulative incidence, %")
        axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
        axes.set_axisbelow(True)
        ticks = _day_ticks(horizon)
        axes.set_xticks(ticks)
        _risk_strip(figure, axes, data, endpoint, arms, ticks, horizon, (base - 0.5) / height, 0.135 / height)
    figure.text(0.012, 1 - 0.27 / height, title or "Cumulative incidence", fontsize=11, weight="bold")
    figure.legend(
        [handles[arm] for arm in arms if arm in handles],
        [names[arm] for arm in arms if arm in handles],
        loc="upper left",
        bbox_to_anchor=(0.005, 1 - 0.33 / height),
        ncols=columns,
        frameon=False,
        fontsize=8,
        handlelength=3.4,
        labelspacing=0.25,
    )
    banded = curves.num_rows > curves["lower"].null_count
    note = "; bands are 95 % Monte Carlo intervals" if banded else ""
    _footer(figure, outcomes, f"Aalen-Johansen with death competing{note}.")
    return figure


def _legend_columns(labels: Sequence[str]) -> int:
    """As many columns as the page holds at about 0.07 inch a letter and 0.65 inch for a line sample, four at most."""
    longest = max(map(len, labels), default=0)
    return max(1, min(4, len(labels), int(9.6 / (0.65 + 0.07 * longest))))


def _row_peaks(data: Mapping[tuple[str, str], list[dict[str, Any]]], arms: Sequence[str]) -> list[float]:
    """Upper limit of the axis for each row of panels, %, shared so that CRS and ICANS compare by eye."""
    peaks = []
    for row in (PANELS[:2], PANELS[2:]):
        values = [r["upper"] or r["value"] or 0.0 for e, _ in row for a in arms for r in data.get((e, a), [])]
        peaks.append(min(100.0, max(5.0, 108 * max(values, default=0.0))))
    return peaks


def _draw_curve(axes: Any, rows: Sequence[Mapping[str, Any]], i: int) -> Any:
    colour, style = ARM_COLOURS[i % len(ARM_COLOURS)], ARM_STYLES[i % len(ARM_STYLES)]
    days = [r["time_d"] for r in rows]

    def percent(name: str) -> list[float]:
        return [float("nan") if r[name] is None else 100 * r[name] for r in rows]

    band = dict(step="post", color=colour, alpha=0.15, linewidth=0)
    axes.fill_between(days, percent("lower"), percent("upper"), **band)
    (line,) = axes.step(days, percent("value"), where="post", color=colour, linestyle=style, linewidth=1.5)
    return line


def _day_ticks(horizon: float) -> list[float]:
    step = 7 if horizon <= 45 else 14
    ticks = [float(d) for d in range(0, int(horizon) + 1, step)]
    # The horizon gets its own tick only where the number does not run into the one before.
    if horizon - ticks[-1] >= step / 2:
        ticks.append(horizon)
    return ticks


def _risk_strip(
    figure: Any,
    axes: Any,
    data: Mapping[tuple[str, str], list[dict[str, Any]]],
    endpoint: str,
    arms: Sequence[str],
    ticks: Sequence[float],
    horizon: float,
    top: float,
    step: float,
) -> None:
    box = axes.get_position()
    figure.text(box.x0 - 0.052, top + 0.35 * step, "at risk", fontsize=6.5, color="#444444")
    middle = (box.x0 + box.x1) / 2
    figure.text(middle, top + 0.35 * step, "days since infusion", fontsize=7.5, color="#444444", ha="center")
    for i, arm in enumerate(arms):
        rows = data.get((endpoint, arm), [])
        y = top - (i + 0.6) * step
        colour = ARM_COLOURS[i % len(ARM_COLOURS)]
        x0 = box.x0 - 0.052
        figure.add_artist(_line(x0, x0 + 0.028, y + 0.32 * step, colour, ARM_STYLES[i % len(ARM_STYLES)]))
        for day in ticks:
            later = [r["at_risk"] for r in rows if r["time_d"] >= day]
            if later:
                x = box.x0 + box.width * day / horizon
                figure.text(x, y, f"{later[0]:,}", fontsize=6.5, ha="center", color=INK)


def _line(x0: float, x1: float, y: float, colour: str, style: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([x0, x1], [y, y], color=colour, linestyle=style, linewidth=1.3)


def draw_grades(outcomes: pa.Table, *, labels: Mapping[str, str] | None = None, title: str = "") -> Any:
    """Draw stacked shares of the maximum grade (0 to 5) by arm, for CRS and ICANS. Returns a matplotlib Figure."""
    arms = _arms(outcomes)
    names = _arm_labels(arms, labels)
    rows = [r for r in outcomes.to_pylist() if r["summary"] == "share"]
    share = {(r["endpoint"], r["arm_id"], int(r["level"])): 100 * (r["value"] or 0.0) for r in rows}
    scales = {r["endpoint"]: r["scale"] for r in rows}

    wrapped = [textwrap.fill(names[arm], LABEL_WIDTH) for arm in arms]
    lines = max((label.count("\n") + 1 for label in wrapped), default=1)
    bar = max(0.42, 0.17 * lines + 0.12)
    left = 0.25 + 0.075 * max((len(part) for label in wrapped for part in label.split("\n")), default=8)
    panel, gap, top, bottom = 3.9, 0.42, 1.0, 0.95
    width, height = left + 2 * panel + gap + 0.25, top + bar * max(1, len(arms)) + bottom
    figure = _figure(width, height)
    for k, (endpoint, syndrome) in enumerate((("crs_grade", "CRS"), ("icans_grade", "ICANS"))):
        axes = figure.add_axes(
            (
                (left + k * (panel + gap)) / width,
                bottom / height,
                panel / width,
                (height - top - bottom) / height,
            )
        )
        for i, arm in enumerate(arms):
            _stack(axes, i, [share.get((endpoint, arm, grade), 0.0) for grade in range(6)])
        axes.set_xlim(0, 100)
        axes.set_ylim(len(arms) - 0.5, -0.5)
        axes.set_yticks(range(len(arms)), wrapped if k == 0 else [""] * len(arms))
        axes.tick_params(axis="y", length=0, labelsize=8)
        axes.set_xlabel("Subjects, %")
        axes.spines["left"].set_visible(False)
        scale = scales.get(endpoint)
        axes.set_title(
            f"{syndrome}, maximum grade seen" + (f" ({SCALE_NAMES.get(scale, scale)})" if scale else "")
        )
    figure.text(0.012, 1 - 0.27 / height, title or "Maximum grades", fontsize=11, weight="bold")
    _grade_legend(figure, left / width, height)
    _footer(figure, outcomes, "Grade 5 is death from the syndrome; its hazard is not calibrated.")
    return figure


def _stack(axes: Any, row: int, shares: Sequence[float]) -> None:
    start = 0.0
    for grade, value in enumerate(shares):
        colour = GRADE_COLOURS[grade]
        axes.barh(row, value, left=start, height=0.72, color=colour, edgecolor="#555555", linewidth=0.4)
        if value >= 6:
            ink = "white" if grade >= 3 else "black"
            axes.text(
                start + value / 2, row, f"{value:.0f}", ha="center", va="center", fontsize=7.5, color=ink
            )
        start += value


def _grade_legend(figure: Any, left: float, height: float) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=c, edgecolor="#555555", linewidth=0.4) for c in GRADE_COLOURS]
    figure.legend(
        patches,
        [f"grade {g}" for g in range(6)],
        loc="upper left",
        bbox_to_anchor=(left - 0.008, 1 - 0.33 / height),
        ncols=6,
        frameon=False,
        fontsize=8,
        handlelength=1.2,
        columnspacing=1.2,
    )
