"""Why: "which assumption flips the answer" is read from a curve over one input. Where the design has that curve it is
used as it stands; where it has not, a fitted response stands in, and every row says so.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cartsim.sensitivity.findings import Finding, TargetValues
from cartsim.sensitivity.layout import Layout, matrix, numeric_inputs
from cartsim.sensitivity.resample import LEVEL
from cartsim.sensitivity.response import Response, fit_response
from cartsim.sensitivity.tipping import Flips, find_flips
from cartsim.sensitivity.tornado import Slice, base_settings

#: Places on an input's range at which a fitted response is read.
PLACES = 129
#: A response that explains less than this of the spread between points is not to be relied on for a value.
GOOD_FIT = 0.8
SIGNS = {-1: "below 0", 0: "0", 1: "above 0"}


def slice_flips(piece: Slice, target: TargetValues) -> list[Finding]:
    """Tipping values of one input from points that differ in it alone."""
    points = list(piece.points)
    lower, upper = target.lower[points], target.upper[points]
    found = find_flips(piece.axis, target.pooled[points], lower, upper)
    rows = flip_findings(target.name, piece.input, found, "PCHIP, others held", len(points))
    if np.isfinite(lower).all() and np.isfinite(upper).all():
        return rows
    return [
        replace(row, lower=None, upper=None, note=f"{row.note}; no Monte Carlo interval is known")
        for row in rows
        if row.index == "tipping"
    ]


def response_flips(
    layout: Layout, target: TargetValues, points: NDArray[np.intp], level: float = LEVEL
) -> tuple[list[Finding], list[str]]:
    """Tipping values from a response fitted to `points`, all inputs but one held at the scenario's own settings."""
    numbers, others = numeric_inputs(layout)
    if not numbers:
        return [], ["No tipping values: no input is a number."]
    x = matrix(layout, numbers, points)
    try:
        response = fit_response(x, target.values[:, points])
    except ValueError as error:
        return [], [f"No tipping values: {error}."]
    base = base_settings({path: layout.columns[path] for path in numbers}, {})
    # a design that moves everything need not hold the scenario's own settings, but they are what "as it is" means
    base |= {path: layout.base[path] for path in numbers if path in layout.base}
    # Points share their virtual subjects: the Monte Carlo error may move all of them alike, so it is added in full.
    shared = 0.0 if target.noise is None else float(np.nan_to_num(target.noise[points]).mean())
    at = [float(base[p] or 0) for p in numbers]
    out = []
    for j, path in enumerate(numbers):
        axis = np.linspace(response.low[j], response.high[j], PLACES)
        along = np.tile(at, (PLACES, 1))
        along[:, j] = axis
        flips = find_flips(axis, *response.predict(along, shared, level))
        out += flip_findings(target.name, path, flips, _words(response), len(points))
    held = ", ".join(f"{path} {float(base[path] or 0):g}" for path in numbers)
    notes = [f"Tipping values are read from a {_words(response)} at: {held}."]
    if others:
        notes.append(f"They are averages over inputs that are not numbers: {', '.join(others)}.")
    if response.explained < GOOD_FIT:
        notes.append(
            "That response explains little of what the points show: take its tipping values as a hint, and sweep the "
            "input one at a time."
        )
    return out, notes


def _words(response: Response) -> str:
    return f"{response.form} response (adjusted R2 {response.explained:.2f})"


def flip_findings(target: str, path: str, flips: Flips, method: str, n: int) -> list[Finding]:
    """One row a tipping value; one row without a value where there is none, saying on which side of 0 it stays."""
    rows = []
    for t in flips.tipping:
        way = "from below to above 0" if t.rises else "from above to below 0"
        words = [way]
        if not t.clear:
            ends = [w for w, end in (("low", t.lower), ("high", t.upper)) if end is None]
            words.append(f"not certain: the interval is open at the {' and the '.join(ends)} end")
        if t.crossings > 1:
            words.append(f"middle of {t.crossings} crossings that noise does not tell apart")
        rows.append(
            Finding(
                target,
                path,
                "tipping",
                method,
                t.value,
                t.lower,
                t.upper,
                n,
                f"{t.value:.4g}",
                "; ".join(words),
            )
        )
    for start, end in flips.undecided:
        low = flips.low if start is None else start
        high = flips.high if end is None else end
        note = f"between {low:.4g} and {high:.4g} the interval of the contrast holds 0"
        rows.append(Finding(target, path, "undecided", method, None, start, end, n, None, note))
    if not flips.tipping:
        span = f"between {flips.low:.4g} and {flips.high:.4g}"
        stays = f"no flip {span}: the estimate stays {SIGNS[flips.sign]}"
        if (None, None) in flips.undecided:
            stays = f"no certain sign {span}: the interval of the contrast holds 0 throughout"
        rows.insert(0, Finding(target, path, "tipping", method, None, None, None, n, None, stays))
    return rows
