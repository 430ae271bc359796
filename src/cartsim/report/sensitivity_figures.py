"""Why: which assumption matters is seen faster than read. One panel a target: a bar for every input with its interval,
the strongest first, drawn from the table of findings alone, readable in grey and by the colour-blind.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from cartsim.report.figures import INK, STYLE
from cartsim.terms import DISCLAIMER

#: Okabe and Ito (2008); the lighter one is hatched, so that grey keeps them apart.
DARK, LIGHT = "#0072B2", "#E69F00"
MOST_INPUTS = 16
LABEL_WIDTH = 44
#: What is drawn of each kind of design: (index, name in the legend), and what the axis says.
KINDS: tuple[tuple[tuple[tuple[str, str], ...], str], ...] = (
    (
        (("ST", "total, with interactions"), ("S1", "first order, alone")),
        "Share of the target's variance (Sobol' index)",
    ),
    ((("mu_star", "mean absolute effect"),), "Mean absolute effect of one step of the input"),
    ((("SRRC", "rank regression"),), "Standardised rank regression coefficient"),
)
ROW, BAR = 0.46, 0.34
#: Indices that are in the unit of the target.
IN_UNITS = ("mu_star", "low", "high", "at")

Row = Mapping[str, Any]


def write_sensitivity(
    findings: pa.Table,
    folder: str | Path,
    *,
    shares: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    title: str = "",
) -> list[Path]:
    """Write sensitivity.png and .svg into `folder`; return the paths, none where nothing can be drawn.

    `findings` is the table `sensitivity`; `shares` names the targets whose values are shares, shown in percent;
    `labels` maps an input to what readers call it. The same table gives the same bytes.
    """
    import matplotlib

    folder = Path(folder)
    style = STYLE | {"hatch.linewidth": 0.6}
    paths = []
    with matplotlib.rc_context(style):
        figure = draw_sensitivity(findings, shares=shares, labels=labels, title=title)
        if figure is None:
            return []
        folder.mkdir(parents=True, exist_ok=True)
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            paths.append(folder / f"sensitivity.{kind}")
            figure.savefig(paths[-1], dpi=150, metadata=metadata)
    return paths


def draw_sensitivity(
    findings: pa.Table,
    *,
    shares: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    title: str = "",
) -> Any:
    """The figure, or None where the table has no index that could be drawn as a bar."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    by_target: dict[str, list[Row]] = {}
    for row in findings.to_pylist():
        by_target.setdefault(row["target"], []).append(row)
    panels = [(t, rows, ranked(rows)) for t, rows in by_target.items()]
    panels = [(t, rows, inputs) for t, rows, inputs in panels if inputs]
    if not panels:
        return None
    top, gap, bottom, left, width = 0.55, 1.15, 0.55, 3.35, 9.6
    heights = [ROW * min(len(inputs), MOST_INPUTS) for _, _, inputs in panels]
    height = top + sum(heights) + gap * len(panels) + bottom
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    above = height - top
    for (target, rows, inputs), tall in zip(panels, heights, strict=True):
        base = above - 0.5 - tall
        axes = figure.add_axes((left / width, base / height, (width - left - 0.35) / width, tall / height))
        _panel(axes, target, rows, inputs[:MOST_INPUTS], target in shares, labels or {})
        left_out = (
            f"; {len(inputs) - MOST_INPUTS} weaker inputs not shown" if len(inputs) > MOST_INPUTS else ""
        )
        figure.text(
            0.012, (base + tall + 0.2) / height, f"{target}{left_out}", fontsize=9.5, weight="bold", color=INK
        )
        above = base - gap + 0.5
    figure.text(0.012, 1 - 0.3 / height, title or "Sensitivity to assumptions", fontsize=11, weight="bold")
    note = "Whiskers are 95 % intervals; where inputs are indices, Monte Carlo noise is not counted as sensitivity."
    figure.text(0.012, 0.09 / height, f"{note}\n{DISCLAIMER}", fontsize=7, color="#444444")
    return figure


def ranked(rows: Sequence[Row]) -> list[str]:
    """Inputs that have a bar, the strongest first."""
    strength: dict[str, float] = {}
    for row in rows:
        if row["index"] in ("ST", "mu_star", "SRRC", "swing") and row["value"] is not None:
            strength[row["input"]] = abs(row["value"])
    levels: dict[str, list[float]] = {}
    for row in rows:
        if row["index"] == "at" and row["value"] is not None:
            levels.setdefault(row["input"], []).append(row["value"])
    strength |= {name: max(values) - min(values) for name, values in levels.items()}
    return sorted(strength, key=lambda name: -strength[name])


def tipping_words(rows: Sequence[Row], name: str) -> str:
    """Where the answer flips over one input, in a few words; empty where that was not asked."""
    found = [row for row in rows if row["input"] == name and row["index"] == "tipping"]
    if not found:
        return ""
    values = [row for row in found if row["value"] is not None]
    if not values:
        return "no flip in its range"
    return "flips at " + ", ".join(_with_interval(row) for row in values)


def _with_interval(row: Row) -> str:
    if row["lower"] is None and row["upper"] is None:
        return f"{row['value']:.3g} (not certain)"
    low = "…" if row["lower"] is None else f"{row['lower']:.3g}"
    high = "…" if row["upper"] is None else f"{row['upper']:.3g}"
    return f"{row['value']:.3g} ({low} to {high})"


def _panel(
    axes: Any,
    target: str,
    rows: Sequence[Row],
    inputs: Sequence[str],
    is_share: bool,
    names: Mapping[str, str],
) -> None:
    held = {(row["input"], row["index"], row["seq"]): row for row in rows}
    scale = 100.0 if is_share else 1.0
    drawn = [(bars, words) for bars, words in KINDS if any(row["index"] == bars[0][0] for row in rows)]
    if drawn:
        bars, words = drawn[0]
        factor = scale if bars[0][0] in IN_UNITS else 1.0
        for k, (index, label) in enumerate(bars):
            for i, name in enumerate(inputs):
                y = i + (k - (len(bars) - 1) / 2) * BAR
                _bar(axes, y, held.get((name, index, 1)), factor, (DARK, LIGHT)[k], label if i == 0 else None)
        axes.axvline(0, color=INK, linewidth=0.8)
    else:
        base = next((scale * row["value"] for row in rows if row["index"] == "base"), None)
        words = "Target at the low (filled) and high (hatched) setting, others held"
        for i, name in enumerate(inputs):
            _tornado(axes, i, [row for row in rows if row["input"] == name], scale, base)
        if base is not None:
            axes.axvline(base, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))
            words += "; dashed: none moved"
        if target.startswith("contrast"):
            axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel(
        words + (", percentage points" if scale > 1 and (not drawn or factor > 1) else ""), fontsize=8
    )
    labels = []
    for name in inputs:
        shown = names.get(name, name)
        shown = textwrap.shorten(shown, LABEL_WIDTH, placeholder="…") if " " in shown else _shorten(shown)
        flip = tipping_words(rows, name)
        labels.append(f"{shown}\n{flip}" if flip else shown)
    axes.set_yticks(range(len(inputs)), labels, fontsize=7.5)
    axes.set_ylim(len(inputs) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    if drawn and len(drawn[0][0]) > 1:
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=2,
            frameon=False,
            fontsize=8,
            borderaxespad=0.2,
        )


def _shorten(path: str) -> str:
    """A dotted path keeps its last parts, which say what moves."""
    parts = path.split(".")
    while len(parts) > 1 and len(".".join(parts)) > LABEL_WIDTH:
        parts = parts[1:]
    shown = ".".join(parts)[-LABEL_WIDTH:]
    return shown if shown == path else f"… {shown}"


def _bar(axes: Any, y: float, row: Row | None, factor: float, colour: str, label: str | None) -> None:
    if row is None or row["value"] is None:
        return
    value = factor * row["value"]
    hatch = "////" if colour == LIGHT else None
    axes.barh(y, value, BAR * 0.9, color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=label)
    if row["lower"] is not None and row["upper"] is not None:
        axes.plot([factor * row["lower"], factor * row["upper"]], [y, y], color=INK, linewidth=1.1)


def _tornado(axes: Any, y: int, rows: Sequence[Row], scale: float, base: float | None) -> None:
    """Low and high of a number as bars from the base, with their settings; settings of a switch as points."""
    ends = {row["index"]: row for row in rows if row["index"] in ("low", "high")}
    if len(ends) == 2:
        low, high = (scale * ends[k]["value"] for k in ("low", "high"))
        middle = 0.5 * (low + high) if base is None else base
        for row, value, colour in ((ends["low"], low, DARK), (ends["high"], high, LIGHT)):
            hatch = "////" if colour == LIGHT else None
            axes.barh(
                y, value - middle, BAR, left=middle, color=colour, hatch=hatch, edgecolor="white", linewidth=0
            )
            if row["lower"] is not None and row["upper"] is not None:
                axes.plot([scale * row["lower"], scale * row["upper"]], [y, y], color=INK, linewidth=1.1)
    shown = list(ends.values()) or [row for row in rows if row["index"] == "at"]
    for k, row in enumerate(shown):
        if not ends:
            axes.plot(scale * row["value"], y, "o", color=DARK, markersize=4)
        others = [r["value"] for r in shown if r is not row]
        right = all(row["value"] >= v for v in others) if ends else k % 2 == 0
        edge = (
            (row["upper"] if right else row["lower"]) if ends and row["lower"] is not None else row["value"]
        )
        axes.annotate(
            textwrap.shorten(str(row["setting"]), 24, placeholder="…"),
            (scale * edge, y),
            xytext=(4 if right else -4, 0) if ends else (0, 5 if right else -11),
            textcoords="offset points",
            ha=("left" if right else "right") if ends else "center",
            va="center" if ends else "baseline",
            fontsize=6.5,
            color="#444444",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.85},
        )
    axes.margins(x=0.12)
