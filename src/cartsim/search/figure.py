"""Why: a trade-off is seen, not read: the endpoint of the choice against each of the others, with what can no longer
be on the front in grey. Drawn from the table `candidates` alone; the same table gives the same bytes.
"""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from cartsim.search.results import BEST, DOMINATED, MAYBE_ON_FRONT, ON_FRONT
from cartsim.terms import DISCLAIMER

#: Colours apart for the colour-blind and in grey; the shape says it too.
LOOKS: Mapping[str, dict[str, Any]] = {
    DOMINATED: {"marker": "o", "s": 14, "facecolors": "#BBBBBB", "edgecolors": "none"},
    MAYBE_ON_FRONT: {"marker": "o", "s": 30, "facecolors": "white", "edgecolors": "#0072B2"},
    ON_FRONT: {"marker": "o", "s": 34, "facecolors": "#0072B2", "edgecolors": "#0072B2"},
    BEST: {"marker": "D", "s": 46, "facecolors": "#D55E00", "edgecolors": "black"},
}
WORDS = {
    BEST: "chosen on the first endpoint",
    ON_FRONT: "on the front by its means",
    MAYBE_ON_FRONT: "not excluded from the front",
    DOMINATED: "certainly not on the front",
}
PANEL, ACROSS = 3.3, 3
#: More numbers than this beside points could not be read.
MOST_NUMBERS = 25


def draw_front(candidates: pa.Table, titles: Mapping[str, str], title: str = "") -> Any:
    """A matplotlib Figure: one panel for each endpoint of the front but the target. `titles` by endpoint id."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = candidates.to_pylist()
    target, *others = dict.fromkeys(row["endpoint"] for row in rows)
    across = min(len(others), ACROSS)
    down = -(-len(others) // across)
    width, height = max(across * (PANEL + 0.9) + 0.3, 5.6), down * (PANEL + 0.8) + 1.25
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    points = {
        endpoint: [row for row in rows if row["endpoint"] == endpoint] for endpoint in (target, *others)
    }
    for number, endpoint in enumerate(others):
        row, column = divmod(number, across)
        axes = figure.add_axes(
            (
                (0.75 + column * (PANEL + 0.9)) / width,
                (height - 0.95 - (row + 1) * PANEL - row * 0.8) / height,
                PANEL / width,
                PANEL / height,
            )
        )
        _draw_panel(axes, points[target], points[endpoint])
        axes.set_xlabel(_axis_title(points[target][0], titles))
        axes.set_ylabel(_axis_title(points[endpoint][0], titles))
    figure.text(0.012, 1 - 0.26 / height, title or "Policy settings", fontsize=11, weight="bold")
    _legend(figure, height, {_look(row) for row in points[target]})
    at = {row["n_units"] for row in points[target] if row["front"] != DOMINATED}
    note = (
        f"N = {max(at, default=0):,} subjects, the same for every candidate not in grey. Bars: 95 % Monte Carlo "
        f"interval of the paired difference from the\nchosen candidate (or the leader). Numbers are design points."
    )
    figure.text(0.012, 0.07 / height, f"{note}\n{DISCLAIMER}", fontsize=7, color="#444444")
    return figure


def figure_files(candidates: pa.Table, titles: Mapping[str, str], title: str = "") -> dict[str, bytes]:
    """{file name: content} of the figure as PNG and SVG, without date or program name."""
    import matplotlib

    style = {
        "svg.hashsalt": "cartsim",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    files = {}
    with matplotlib.rc_context(style):
        figure = draw_front(candidates, titles, title)
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            sink = io.BytesIO()
            figure.savefig(sink, format=kind, dpi=150, metadata=metadata)
            files[f"front.{kind}"] = sink.getvalue()
    return files


def _draw_panel(axes: Any, across: Sequence[dict[str, Any]], up: Sequence[dict[str, Any]]) -> None:
    from matplotlib.patheffects import withStroke

    pairs = list(zip(across, up, strict=True))
    for order, look in enumerate(LOOKS):
        chosen = [(x, y) for x, y in pairs if _look(x) == look]
        if not chosen:
            continue
        if look != DOMINATED:
            axes.errorbar(
                [_scaled(x, x["value"]) for x, _ in chosen],
                [_scaled(y, y["value"]) for _, y in chosen],
                xerr=[[_bar(x, side) for x, _ in chosen] for side in ("lower", "upper")],
                yerr=[[_bar(y, side) for _, y in chosen] for side in ("lower", "upper")],
                fmt="none",
                ecolor="#888888",
                elinewidth=0.7,
                zorder=order + 1,
            )
        axes.scatter(
            [_scaled(x, x["value"]) for x, _ in chosen],
            [_scaled(y, y["value"]) for _, y in chosen],
            linewidths=0.9,
            zorder=order + 2,
            **LOOKS[look],
        )
    named = [(x, y) for x, y in pairs if x["front"] == ON_FRONT or _look(x) == BEST]
    for x, y in named if len(named) <= MOST_NUMBERS else []:
        place = (_scaled(x, x["value"]), _scaled(y, y["value"]))
        text = axes.annotate(
            str(x["design_id"]), place, (4, 4), textcoords="offset points", fontsize=7, zorder=9
        )
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])
    axes.grid(color="#E5E5E5", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.margins(0.08)


def _look(row: Mapping[str, Any]) -> str:
    return BEST if row["status"] == BEST else str(row["front"])


def _scaled(row: Mapping[str, Any], value: float) -> float:
    """Shares in percent."""
    return 100 * value if row["interval_method"] == "Wilson" else value


def _bar(row: Mapping[str, Any], side: str) -> float:
    """Length of the bar on one side: the candidates share their subjects, so what is uncertain is the difference."""
    return abs(_scaled(row, row[f"difference_{side}"]) - _scaled(row, row["difference"]))


def _axis_title(row: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    unit = ", %" if row["interval_method"] == "Wilson" else ""
    better = " (more is better)" if row["goal"] == "maximise" else ""
    return "\n".join(textwrap.wrap(f"{titles.get(row['endpoint'], row['endpoint'])}{unit}{better}", 42))


def _legend(figure: Any, height: float, seen: set[str]) -> None:
    from matplotlib.lines import Line2D

    shown = [look for look in WORDS if look in seen]
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=LOOKS[look]["marker"],
            markersize=LOOKS[look]["s"] ** 0.5,
            markerfacecolor=LOOKS[look]["facecolors"],
            markeredgecolor=LOOKS[look]["edgecolors"],
        )
        for look in shown
    ]
    figure.legend(
        handles,
        [WORDS[look] for look in shown],
        loc="upper left",
        bbox_to_anchor=(0.006, 1 - 0.32 / height),
        ncols=2,
        frameon=False,
        fontsize=8,
        handletextpad=0.3,
        columnspacing=1.2,
    )
