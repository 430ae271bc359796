"""Why: one interval shrinks with more subjects and the other does not, and side by side they tell where the next hour
is better spent: on subjects, or on evidence. Drawn from the contrasts alone, readable in grey and by the colour-blind.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from cartsim.report.figures import ARM_COLOURS, INK, STYLE
from cartsim.terms import DISCLAIMER

NAME = "differences"
#: Endpoints drawn where a run has them, with their names.
DRAWN = (
    ("crs_any", "CRS, any grade"),
    ("crs_ge2", "CRS, grade 2 or more"),
    ("crs_ge3", "CRS, grade 3 or more"),
    ("icans_any", "ICANS, any grade"),
    ("icans_ge3", "ICANS, grade 3 or more"),
    ("tocilizumab_any", "Tocilizumab"),
    ("steroid_any", "Steroid"),
    ("vasopressor", "Vasopressor"),
    ("icu_any", "ICU"),
    ("severe_infection", "Infection, grade 3 or more"),
)
#: Shapes carry the arms in grey.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LABEL_WIDTH = 44


def write_differences(
    contrasts: pa.Table,
    folder: str | Path,
    *,
    scale: str,
    draws: int,
    labels: Mapping[str, str] | None = None,
    title: str = "",
) -> list[Path]:
    """Write differences.png and .svg into `folder`; return the paths, none where nothing can be drawn.

    `contrasts` are those of a run over `draws` parameter sets, `scale` its CRS scale; `labels` maps arm_id to what
    readers call it. The same table gives the same bytes.
    """
    import matplotlib

    rows = _rows(contrasts, scale)
    if not rows:
        return []
    folder, paths = Path(folder), []
    style = STYLE | {"axes.spines.left": False}
    with matplotlib.rc_context(style):
        figure = _draw(rows, draws, dict(labels or {}), title)
        folder.mkdir(parents=True, exist_ok=True)
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            paths.append(folder / f"{NAME}.{kind}")
            figure.savefig(paths[-1], dpi=150, metadata=metadata)
    return paths


def _rows(contrasts: pa.Table, scale: str) -> dict[tuple[str, str], Mapping[str, Any]]:
    """(endpoint, arm) -> row of the whole population with both intervals, on the scenario's scale as observed."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    everybody = contrasts["population"][0].as_py() if contrasts.num_rows else None
    wanted = dict(DRAWN)
    for row in contrasts.to_pylist():
        on_scale = row["endpoint"].startswith("icans") or row["scale"] in (None, scale)
        if (
            row["endpoint"] in wanted
            and row["summary"] == "risk difference"
            and row["view"] in (None, "observed")
            and on_scale
            and row["population"] == everybody
            and row["param_lower"] is not None
        ):
            found[row["endpoint"], row["arm_id"]] = row
    return found


def _draw(
    rows: Mapping[tuple[str, str], Mapping[str, Any]], draws: int, labels: Mapping[str, str], title: str
) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    arms = list(dict.fromkeys(arm for _, arm in rows))
    endpoints = [(id_, name) for id_, name in DRAWN if any((id_, arm) in rows for arm in arms)]
    step = 0.24
    row_height = step * len(arms) + 0.2
    top, bottom = 0.62 + 0.18 * len(arms), 0.98
    height, width, left = top + bottom + row_height * len(endpoints), 8.2, 2.1
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    body = row_height * len(endpoints)
    axes = figure.add_axes((left / width, bottom / height, (width - left - 0.25) / width, body / height))
    axes.axvline(0, color="#888888", linewidth=0.8)
    handles = []
    for k, arm in enumerate(arms):
        colour, marker = ARM_COLOURS[(k + 1) % len(ARM_COLOURS)], MARKERS[k % len(MARKERS)]
        for place, (id_, _) in enumerate(endpoints):
            row = rows.get((id_, arm))
            if row is not None:
                _draw_row(axes, row, place * row_height + (k - (len(arms) - 1) / 2) * step, colour, marker)
        (handle,) = axes.plot([], [], color=colour, marker=marker, linewidth=3.2, markersize=5)
        handles.append(handle)
    axes.set_ylim(body - row_height / 2, -row_height / 2)
    axes.set_yticks([place * row_height for place in range(len(endpoints))], [name for _, name in endpoints])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    reference = next(iter(rows.values()))["reference_arm"]
    axes.set_xlabel(f"Difference from {labels.get(reference, reference)}, points (the same subjects)")
    figure.text(0.012, 1 - 0.27 / height, title or "Differences", fontsize=11, weight="bold", color=INK)
    figure.legend(
        handles,
        [textwrap.shorten(labels.get(arm) or arm, LABEL_WIDTH, placeholder=" ...") for arm in arms],
        loc="upper left",
        bbox_to_anchor=(0.005, 1 - 0.33 / height),
        frameon=False,
        fontsize=8,
        labelspacing=0.25,
    )
    figure.text(0.012, 0.09 / height, _note(rows.values(), draws), fontsize=7, color="#444444")
    return figure


def _draw_row(axes: Any, row: Mapping[str, Any], y: float, colour: str, marker: str) -> None:
    axes.plot([100 * row["param_lower"], 100 * row["param_upper"]], [y, y], color=colour, linewidth=1.0)
    for end in ("param_lower", "param_upper"):
        axes.plot([100 * row[end]], [y], color=colour, marker="|", markersize=6)
    if row["lower"] is not None:
        axes.plot(
            [100 * row["lower"], 100 * row["upper"]], [y, y], color=colour, linewidth=3.6, alpha=0.55,
            solid_capstyle="butt",
        )  # fmt: skip
    axes.plot([100 * row["value"]], [y], color=colour, marker=marker, markersize=4.5)


def _note(rows: Any, draws: int) -> str:
    counts: Sequence[int] = sorted({row["n_units"] for row in rows})
    n = ", ".join(f"{count:,}" for count in counts)
    return (
        f"N = {n}. Thick: 95 % Monte Carlo interval, narrower with more subjects. Thin: 95 % over {draws:,} parameter "
        f"sets, which more subjects do not narrow.\n{DISCLAIMER}"
    )
