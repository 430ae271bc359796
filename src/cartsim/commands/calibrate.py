"""Why: `cartsim calibrate` answers three questions on one screen: does the model reach the published figures, where
does it not, and which of its numbers do the figures not know?
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartsim.commands.terminal import make_console, make_table

if TYPE_CHECKING:
    from rich.console import Console

    from cartsim.calibrate.calibrated import Line, Report
    from cartsim.calibrate.calibration import Asked

#: Rows with a residual above this are shown.
SHOWN = 1.0
DEFAULT_OUT = Path("results") / "calibration"


def run_calibration(
    asked: "Asked",
    out: Path | None,
    *,
    workers: int = 0,
    fresh: bool = False,
    as_json: bool = False,
    quiet: bool = False,
) -> None:
    """Fit, write and print; see `cartsim.calibrate.calibration.calibrate` for what is raised."""
    import json

    from cartsim.calibrate.calibration import calibrate
    from cartsim.commands.progress import progress_bar
    from cartsim.sweep.executors.base import cores

    folder = out or DEFAULT_OUT
    with progress_bar(quiet) as progress:
        report = calibrate(asked, folder, workers=workers or cores(), fresh=fresh, tell=progress)
    if as_json:
        print(json.dumps(as_data(report, folder), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(make_console(), report, folder)


def as_data(report: "Report", folder: Path) -> dict[str, Any]:
    """Everything of a report as plain data."""
    from dataclasses import asdict

    return {
        "out": str(folder),
        "loss": dict(report.loss),
        "cohorts": report.by_cohort(),
        "rows": [{key: _number(value) for key, value in asdict(line).items()} for line in report.lines],
        "left_out": [{"row": row, "why": why} for row, why in report.left_out],
        "parameters": list(report.parameters),
        "pooled": list(report.pooled),
        "weakly_identified": report.weak,
        "posterior": dict(report.fit.posterior.checks),
    }


def _number(value: Any) -> Any:
    """A figure about nobody is null."""
    return None if isinstance(value, float) and value != value else value


def _print(console: "Console", report: "Report", folder: Path) -> None:
    loss = report.loss
    console.print(
        f"Loss {loss['start']:.1f} before, {loss['data']:.1f} after the fit, for {len(report.lines)} terms "
        f"(and {loss['prior']:.1f} for distance from the priors)."
    )
    table = make_table(("cohort", "terms", "before", "after"), right=(1, 2, 3))
    for row in report.by_cohort():
        table.add_row(row["cohort"], str(row["rows"]), f"{row['before']:.1f}", f"{row['after']:.1f}")
    console.print(table)
    far = sorted((line for line in report.lines if abs(line.residual) > SHOWN), key=lambda line: -line.square)
    if far:
        console.print(
            f"Further from the published figure than its error ({len(far)} of {len(report.lines)}):"
        )
        table = make_table(("cohort", "figure", "use", "observed", "simulated", "residual"), right=(3, 4, 5))
        for line in far:
            table.add_row(*_row(line))
        console.print(table)
    console.print(_weak(report.parameters))
    console.print(_mixed(report.fit.posterior.checks))
    console.print(f"{len(report.fit.posterior.draws)} draws; figures in {folder}", markup=False)


def _row(line: "Line") -> tuple[str, ...]:
    name = " ".join(
        filter(None, (line.endpoint, line.part or ("median" if line.statistic == "median" else "")))
    )
    share = line.statistic in ("proportion", "count")
    shown = [f"{100 * x:.0f} %" if share else f"{x:.1f} d" for x in (line.observed, line.simulated)]
    return line.cohort, name, line.use, *shown, f"{line.residual:+.1f}"


def _weak(parameters: Any) -> str:
    from cartsim.evidence.weak import WEAK_FROM

    weak = [one["key"] for one in parameters if one["identifiability"] > WEAK_FROM]
    return (
        f"Hardly moved by any figure (posterior sd above {WEAK_FROM:g} of the prior's): {len(weak)} of "
        f"{len(parameters)} numbers: {', '.join(weak) or 'none'}."
    )


def _mixed(checks: Mapping[str, Any]) -> str:
    said = [
        f"Laplace draws are worth {100 * line['ess']['all']:.0f} % of their number"
        for line in checks["lines"]
        if "ess" in line
    ]
    taken = [line["accepted"] for line in checks["lines"] if "accepted" in line]
    if taken:
        last = [share for share in taken[-1].values() if share is not None]
        said.append(
            f"of the moves that mend them, {100 * min(last):.0f} to {100 * max(last):.0f} % were accepted"
        )
    return "; ".join(said) + "."
