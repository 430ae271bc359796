"""Why: a user has one sweep and one question. Which mathematics fits is decided here by how the sweep was designed,
and what it took for granted is said beside every answer.
"""

from textwrap import shorten

import numpy as np
from numpy.typing import NDArray

from cartsim.errors import Incomplete
from cartsim.sensitivity.findings import WHOLE, Answer, Finding, TargetValues, finding
from cartsim.sensitivity.flips import response_flips, slice_flips
from cartsim.sensitivity.indices import sobol_indices
from cartsim.sensitivity.layout import Layout, matrix, morris_steps, numeric_inputs, saltelli_rows
from cartsim.sensitivity.morris import morris_effects
from cartsim.sensitivity.products import Floats
from cartsim.sensitivity.ranks import rank_regression, reliability
from cartsim.sensitivity.resample import LEVEL, Uniform
from cartsim.sensitivity.tornado import (
    base_point,
    base_settings,
    setting_finding,
    show,
    slices,
    tornado_findings,
    with_values,
)

SALTELLI, MORRIS, SPREAD = "saltelli", "morris", ("lhs", "sobol")
#: Below this many rows or trajectories no interval is worth printing.
FEWEST_ROWS = 4
ONE_REPLICATE = (
    "One replicate: the known Monte Carlo variance is subtracted as if points had independent errors. They share "
    "their virtual subjects, so this removes too much; two replicates of half the subjects need no such assumption."
)


def answer(layout: Layout, target: TargetValues, uniform: Uniform, level: float = LEVEL) -> Answer:
    """Everything the design can say about one target. Raises `Incomplete` where too few of its points have a value."""
    if layout.method == SALTELLI:
        found, notes = _saltelli(layout, target, uniform, level)
    elif layout.method == MORRIS:
        found, notes = _morris(layout, target, uniform, level)
    elif layout.method in SPREAD:
        found, notes = _spread(layout, target, uniform, level)
    else:
        found, notes = _slices(layout, target)
    return Answer(target.name, tuple(found), tuple(notes))


def _saltelli(
    layout: Layout, target: TargetValues, uniform: Uniform, level: float
) -> tuple[list[Finding], list[str]]:
    names, rows = saltelli_rows(layout)
    rows, notes = _whole_rows(rows, target, "base row", "base rows")
    values, noise = target.values[:, rows], None
    if len(target.values) == 1:
        noise = _noise(target, notes)[rows]
    found = sobol_indices(
        values[:, :, 0],
        values[:, :, -1],
        values[:, :, 1:-1],
        uniform,
        noise=None if noise is None else (noise[:, 0], noise[:, -1], noise[:, 1:-1]),
        level=level,
    )
    if found.variance.value is None or found.variance.value <= 0:
        notes.append("The target does not vary beyond Monte Carlo error: there is nothing to share out.")
    method = _method("Saltelli 2010 and Jansen 1999", len(target.values))
    out = [finding(target.name, WHOLE, "variance", method, found.variance)]
    for k, name in enumerate(names):
        out.append(finding(target.name, name, "S1", method, found.first[k]))
        out.append(finding(target.name, name, "ST", method, found.total[k]))
    if target.is_contrast:
        ends = np.unique(rows[:, [0, -1]])
        flips, more = response_flips(layout, target, ends, level)
        out += flips
        notes += more
    return out, notes


def _morris(
    layout: Layout, target: TargetValues, uniform: Uniform, level: float
) -> tuple[list[Finding], list[str]]:
    steps = morris_steps(layout)
    members = np.column_stack([steps.before, steps.after])
    _, notes = _whole_rows(members, target, "trajectory", "trajectories")
    kept = np.isfinite(target.values[:, members]).all(axis=(0, 2))
    before, after, direction = steps.before[kept], steps.after[kept], steps.direction[kept]
    effects = (target.values[:, after] - target.values[:, before]) * direction
    noise = None
    if len(target.values) == 1:
        known = _noise(target, notes)
        noise = known[before] + known[after]
    method = _method("Morris 1991, for one step of the design", len(target.values))
    out = []
    found = morris_effects(effects, uniform, noise=noise, level=level)
    for name, single, effect in zip(steps.names, steps.single, found, strict=True):
        out.append(finding(target.name, name, "mu_star", method, effect.mu_star))
        if single:
            out.append(finding(target.name, name, "mu", method, effect.mu))
            out.append(finding(target.name, name, "sigma", method, effect.sigma))
    if not all(steps.single):
        notes.append("Groups and inputs that are not numbers have no direction: only mu_star is given.")
    return out, notes


def _spread(
    layout: Layout, target: TargetValues, uniform: Uniform, level: float
) -> tuple[list[Finding], list[str]]:
    kept, notes = _points(target)
    numbers, others = numeric_inputs(layout)
    if others:
        notes.append(f"Not numbers, therefore left out of the rank regression: {', '.join(others)}.")
    out: list[Finding] = []
    try:
        found, explained = rank_regression(
            matrix(layout, numbers, kept), target.values[:, kept], uniform, level
        )
    except ValueError as error:
        notes.append(f"No rank regression: {error}.")
    else:
        out.append(finding(target.name, WHOLE, "rank R2", "rank regression", explained))
        out += [
            finding(target.name, name, "SRRC", "rank regression", one)
            for name, one in zip(numbers, found, strict=True)
        ]
        noise = target.noise[kept] if len(target.values) == 1 and target.noise is not None else None
        share = reliability(target.values[:, kept], noise)
        if share is not None and share < 0.9:
            notes.append(
                f"Monte Carlo noise is {100 * (1 - share):.0f} % of the variance between points: rank coefficients are "
                f"shrunk to about {np.sqrt(share):.2f} of their size. More subjects would mend it."
            )
    if target.is_contrast:
        flips, more = response_flips(layout, target, kept, level)
        out += flips
        notes += more
    return out, notes


def _slices(layout: Layout, target: TargetValues) -> tuple[list[Finding], list[str]]:
    base = base_settings(layout.columns, layout.base)
    notes: list[str] = []
    out: list[Finding] = []
    cut = slices(layout.columns, base)
    without = [path for path in layout.columns if path not in {s.input for s in cut}]
    if without:
        notes.append(f"No two points differ only in: {', '.join(without)}.")
    if len(layout.columns) > 1:
        held = ", ".join(
            f"{path} {shorten(show(base[path]), 40, placeholder='…')}" for path in layout.columns
        )
        notes.append(f"Other inputs are held at: {held}.")
    at_base = base_point(layout.columns, base)
    if at_base is not None and np.isfinite(target.pooled[at_base]):
        out.append(setting_finding(target, WHOLE, "base", at_base))
    for piece in cut:
        missing = [p for p in piece.points if not np.isfinite(target.pooled[p])]
        if missing:
            notes.append(
                f"{piece.input}: {len(missing)} of {len(piece.points)} values have no result and are left out."
            )
        piece = with_values(piece, target)
        if len(piece.points) < 2:
            continue
        out += tornado_findings(piece, target, base[piece.input])
        if target.is_contrast and piece.is_numeric:
            out += slice_flips(piece, target)
    if all(f.input == WHOLE for f in out):
        raise Incomplete(
            "nothing can be compared in this sweep",
            where=target.name,
            why="no two points that have a result differ in one input only",
            mend="cartsim status RUN to see what failed; a sweep of method one_at_a_time answers this best",
        )
    return out, notes


def _whole_rows(
    rows: NDArray[np.intp], target: TargetValues, one: str, many: str
) -> tuple[NDArray[np.intp], list[str]]:
    """The rows of which every point has a value in every replicate, and a note on the others."""
    held = np.asarray(np.isfinite(target.values[:, rows]).all(axis=(0, 2)))
    if held.sum() < FEWEST_ROWS:
        raise Incomplete(
            f"only {held.sum()} of {len(rows)} {many} are whole",
            where=target.name,
            why=f"at least {FEWEST_ROWS} are needed; a {one} counts only when each of its points has a value",
            mend="cartsim status RUN to see what failed, and --retry it; or a sweep with more points",
        )
    if held.all():
        return rows, []
    lost = int((~held).sum())
    return rows[held], [f"{lost} of {len(rows)} {many} are left out: a point of each has no value."]


def _points(target: TargetValues) -> tuple[NDArray[np.intp], list[str]]:
    held = np.asarray(np.isfinite(target.values).all(axis=0))
    if held.sum() < FEWEST_ROWS:
        raise Incomplete(
            f"only {held.sum()} of {len(held)} points have a value",
            where=target.name,
            mend="cartsim status RUN to see what failed",
        )
    notes = (
        [] if held.all() else [f"{int((~held).sum())} of {len(held)} points have no value and are left out."]
    )
    return np.flatnonzero(held), notes


def _noise(target: TargetValues, notes: list[str]) -> Floats:
    if target.noise is None or not np.isfinite(target.noise).any():
        notes.append(
            "One replicate and no Monte Carlo error known: noise is not removed and passes for sensitivity. Use two "
            "replicates."
        )
        return np.zeros(len(target.pooled))
    notes.append(ONE_REPLICATE)
    return np.nan_to_num(target.noise)


def _method(name: str, replicates: int) -> str:
    return f"{name}; {f'{replicates} replicates crossed' if replicates > 1 else 'Monte Carlo variance subtracted'}"
