"""Why: where the model is right and where it is not is seen at a glance: each published figure with its exact interval
on the range that was predicted for it, by sets of patients. Drawn from the table `validation` alone; the same table
gives the same bytes.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cartsim.report.figures import STYLE
from cartsim.terms import DISCLAIMER

#: Okabe and Ito's blue and vermilion; a published number outside is a cross as well.
INSIDE, OUTSIDE = "#0072B2", "#D55E00"
INK, PALE = "#222222", "#444444"
MARKERS = {"fit": "o", "predict_same": "s", "predict_new": "D"}
WORDS = {
    "fit": "fitted",
    "predict_same": "predicted, same patients",
    "predict_new": "predicted, new patients",
}
#: Inches: a line, a column of numbers, the labels beside it.
LINE, PANEL, LABELS = 0.17, 3.0, 2.55
TOP, BOTTOM, EDGE = 0.8, 0.95, 0.15
#: Two columns hold shares, one days; a share column shorter than this is not split.
LEAST_SPLIT = 24
PARTS = {"lower quartile": ", lower quartile", "upper quartile": ", upper quartile"}


@dataclass(frozen=True)
class _Line:
    """A heading (no row) or one published number."""

    text: str
    row: dict[str, Any] | None = None


def draw_validation(table: pa.Table) -> Any:
    """A matplotlib Figure of the scored rows: shares in one or two columns, days in the last."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in table.to_pylist() if row["scored"] and row["lower"] is not None]
    shares = [row for row in rows if row["unit"] != "day"]
    days = [row for row in rows if row["unit"] == "day"]
    columns = [column for column in [*_split(shares), days] if column] or [[]]
    lines = [_lines(column) for column in columns]
    longest = max(map(len, lines))
    width = EDGE + len(lines) * (LABELS + PANEL + EDGE)
    height = TOP + max(longest, 3) * LINE + BOTTOM
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    for place, column in enumerate(lines):
        left = EDGE + place * (LABELS + PANEL + EDGE) + LABELS
        box = (left / width, BOTTOM / height, PANEL / width, longest * LINE / height)
        _draw_column(figure.add_axes(box), column, longest, days=bool(days) and place == len(lines) - 1)
    inside = len({row["target_id"] for row in rows if row["row_inside"]})
    title = (
        f"Published figures and what was predicted: {inside} of {len({r['target_id'] for r in rows})} inside"
    )
    figure.text(0.15 / width, 1 - 0.3 / height, title, fontsize=12, weight="bold", color=INK)
    _legend(figure, width, height)
    draws = max((row["draws"] for row in rows), default=0)
    note = (
        f"Bars: 95 % predictive interval at the published number of patients over {draws:,} parameter sets, with its "
        "middle. Marks and thin lines: what was published, with the exact 95 % interval of a share.\n"
        "Recalled figures are not shown; an interquartile range is inside when both quartiles are."
    )
    figure.text(0.15 / width, 0.1 / height, f"{note}\n{DISCLAIMER}", fontsize=7, color=PALE)
    return figure


def figure_files(table: pa.Table) -> dict[str, bytes]:
    """{file name: content} of the figure as PNG and SVG, without date or program name."""
    import matplotlib

    style = STYLE | {"font.size": 8, "axes.spines.left": False}
    files = {}
    with matplotlib.rc_context(style):
        figure = draw_validation(table)
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            sink = io.BytesIO()
            figure.savefig(sink, format=kind, dpi=130, metadata=metadata)
            files[f"validation.{kind}"] = sink.getvalue()
    return files


def _split(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """One column or two of about the same length; a set of patients stays together."""
    if len(rows) < LEAST_SPLIT:
        return [list(rows)]
    sets = dict.fromkeys(row["patient_set"] for row in rows)
    first: list[dict[str, Any]] = []
    rest = [row for name in sets for row in rows if row["patient_set"] == name]
    for name in sets:
        own = [row for row in rest if row["patient_set"] == name]
        if first and len(first) + len(own) / 2 > len(rows) / 2:
            break
        first += own
        rest = rest[len(own) :]
    return [first, rest]


def _lines(rows: Sequence[dict[str, Any]]) -> list[_Line]:
    lines = []
    for name in dict.fromkeys(row["patient_set"] for row in rows):
        lines.append(_Line(name))
        lines += [_Line(_label(row), row) for row in rows if row["patient_set"] == name]
    return lines


def _label(row: dict[str, Any]) -> str:
    words = row["endpoint"].replace("_ge", " ≥").replace("_", " ")
    if row["endpoint"].startswith("regrade"):
        words += f", {row['grading_crs']}"
    elif row["target_id"].count("/") > 2:
        words += f", {row['target_id'].split('/', 3)[3]}"
    return words + PARTS.get(row["part"], "")


def _draw_column(axes: Any, lines: Sequence[_Line], longest: int, days: bool) -> None:
    axes.set_ylim(longest - 0.4, -0.6)
    drawn = [(place, line.row) for place, line in enumerate(lines) if line.row is not None]
    top = max((max(_ends(row)) for _, row in drawn), default=1.0)
    axes.set_xlim((0, 1.05 * top) if days else (-2, 102))
    for place, row in drawn:
        _draw_row(axes, place, row)
    for place, line in enumerate(lines):
        if line.row is None:
            axes.axhline(place + 0.35, color="#BBBBBB", linewidth=0.6)
    axes.set_yticks(range(len(lines)), [line.text for line in lines])
    for tick, line in zip(axes.get_yticklabels(), lines, strict=True):
        tick.set_color(INK)
        tick.set_fontsize(7.5 if line.row is None else 7)
        tick.set_fontweight("bold" if line.row is None else "normal")
    axes.tick_params(axis="y", length=0, pad=3)
    axes.tick_params(axis="x", labelsize=7.5)
    axes.grid(axis="x", color="#E5E5E5", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("days" if days else "% of patients in the denominator")


def _draw_row(axes: Any, place: int, row: dict[str, Any]) -> None:
    from matplotlib.colors import to_rgba

    colour = INSIDE if row["inside"] else OUTSIDE
    scale = _scale(row)
    lower, upper = scale * row["lower"], scale * row["upper"]
    # the edge keeps an interval of no length, such as one whole day, to be seen
    axes.barh(
        place, upper - lower, left=lower, height=0.66, color=to_rgba(colour, 0.3),
        edgecolor=to_rgba(colour, 0.55), linewidth=0.5,
    )  # fmt: skip
    middle = min(max(scale * row["simulated"], lower), upper)
    axes.plot([middle, middle], [place - 0.3, place + 0.3], color=colour, linewidth=1.2)
    if row["exact_lower"] is not None:
        ends = [scale * row["exact_lower"], scale * row["exact_upper"]]
        axes.plot(ends, [place, place], color=INK, linewidth=0.8)
    axes.plot(
        [scale * row["published"]], [place], linestyle="none", marker=MARKERS[row["tier"]], markersize=4,
        markerfacecolor=colour, markeredgecolor=INK, markeredgewidth=0.6,
    )  # fmt: skip
    if not row["inside"]:
        axes.annotate(
            "×", (1.0, place), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
            color=OUTSIDE, va="center", fontsize=8, annotation_clip=False,
        )  # fmt: skip


def _scale(row: dict[str, Any]) -> float:
    if row["unit"] == "day":
        return 1.0
    return 100.0 / row["denominator"] if row["statistic"] == "count" else 100.0


def _ends(row: dict[str, Any]) -> tuple[float, float]:
    return _scale(row) * row["upper"], _scale(row) * row["published"]


def _legend(figure: Any, width: float, height: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(facecolor=colour, alpha=0.45) for colour in (INSIDE, OUTSIDE)]
    handles += [
        Line2D([], [], linestyle="none", marker=marker, markersize=5, color=INK)
        for marker in MARKERS.values()
    ]
    words = ["published number inside", "outside (×)", *(WORDS[tier] for tier in MARKERS)]
    figure.legend(
        handles, words, loc="upper left", bbox_to_anchor=(0.05 / width, 1 - 0.38 / height), ncols=len(words),
        frameon=False, fontsize=8, handletextpad=0.4, columnspacing=1.4,
    )  # fmt: skip
