"""Why: effect claims circulate with more confidence than evidence, and a model could be believed because it repeats
them. Here each claim stands beside what a primary source counted, its evidence status, and what emerges from the model
under the matching policy, with Monte Carlo interval and the interval over parameter sets.

The model agreeing with a claim is no evidence for it: sizes of drug effects are priors or fits, not trials.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cartsim.analysis.intervals import exact_binomial, normal_quantile
from cartsim.claims.claim_list import Claim, load_claims
from cartsim.claims.claim_variables import VARIABLES
from cartsim.claims.figures import (
    NOTHING,
    Figure,
    median,
    needed_to_treat,
    risk_difference,
    risk_ratio,
    share,
)
from cartsim.claims.settings import Arms, Stage, setting, simulate
from cartsim.sweep.executors.base import cores

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario

SEED = 20261122
STAGE = "checking claims"
#: A parameter set takes this part of the subjects, and no fewer than the least.
PART, LEAST = 10, 1000
TAILS = (0.025, 0.975)
#: An interval over parameter sets is shown where at least this share of them gave a figure.
ENOUGH = 0.95


@dataclass(frozen=True)
class ClaimRow:
    """A claim beside the model. `value` with its 95 % Monte Carlo interval `lower`, `upper`; `param_*`: median and 95 %
    interval over parameter sets, whose Monte Carlo error is `param_mcse`. Null: no figure, or no size claimed."""

    id: str
    statement: str
    claimed_low: float | None
    claimed_high: float | None
    status: str
    why: str
    source: str
    mark: str
    primary: str | None  # what a primary source counted, with its exact interval
    setting: str | None
    statistic: str | None
    variable: str | None
    arm: str | None
    reference: str | None
    value: float | None
    lower: float | None
    upper: float | None
    subjects: int
    n: int
    param_median: float | None
    param_lower: float | None
    param_upper: float | None
    param_mcse: float | None
    draws: int
    verdict: str
    note: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def check_claims(
    subjects: int = 20_000,
    draws: int = 50,
    seed: int = SEED,
    workers: int = 0,
    progress: Callable[[Any], None] | None = None,
) -> list[ClaimRow]:
    """Every claim in the order of its file, on `subjects` virtual subjects at the registry's values and on a tenth of
    them (1000 at least) under each of `draws` parameter sets (0: no such interval).

    `workers` (threads; 0: one a core) change nothing. The same arguments give the same rows.
    """
    claims, settings = load_claims()
    scenarios = {name: setting(name, seed, block.scenario) for name, block in settings.items()}
    used = [name for name in scenarios if any(claim.setting == name for claim in claims)]
    report = progress or (lambda _: None)
    total, done = len(used) * (draws + 1), 0
    report(Stage(STAGE, 0, total))
    few = min(subjects, max(LEAST, subjects // PART))
    rows: dict[str, ClaimRow] = {}
    with ThreadPoolExecutor(workers or cores()) as pool:
        for name in used:
            own = [claim for claim in claims if claim.setting == name]
            arms = simulate(scenarios[name], subjects, workers=workers)
            at_values = {claim.id: estimate(claim, arms) for claim in own}
            notes = {claim.id: _note(claim, arms) for claim in own}
            del arms
            done += 1
            report(Stage(STAGE, done, total))
            sets: list[dict[str, Figure]] = []
            for figures in pool.map(partial(_under, scenarios[name], own, few), range(draws)):
                sets.append(figures)
                done += 1
                report(Stage(STAGE, done, total))
            for claim in own:
                title = settings[name].title
                over = [figures[claim.id] for figures in sets]
                rows[claim.id] = _row(claim, title, subjects, at_values[claim.id], over, notes[claim.id])
    for claim in claims:
        if claim.setting is None:
            rows[claim.id] = _row(claim, None, 0, NOTHING, [], f"not in the model: {claim.not_modelled}")
    return [rows[claim.id] for claim in claims]


def estimate(claim: Claim, arms: Arms) -> Figure:
    """The claim's estimand in simulated arms."""
    assert claim.estimand is not None
    among, values = VARIABLES[claim.estimand.variable](arms[claim.estimand.arm])
    if claim.estimand.statistic == "share":
        return share(among, values)
    if claim.estimand.statistic == "median":
        return median(values[among])
    assert claim.estimand.reference is not None
    _, reference = VARIABLES[claim.estimand.variable](arms[claim.estimand.reference])
    ratio = claim.estimand.statistic == "risk_ratio"
    return risk_ratio(values, reference) if ratio else needed_to_treat(values, reference)


def _under(scenario: "Scenario", claims: Sequence[Claim], subjects: int, draw: int) -> dict[str, Figure]:
    """Claims under one parameter set; a number needed to treat as the difference that it is made from."""
    arms = simulate(scenario, subjects, workers=1, draw=draw)
    return {
        claim.id: _difference(claim, arms) if _counts_needed(claim) else estimate(claim, arms)
        for claim in claims
    }


def _counts_needed(claim: Claim) -> bool:
    return claim.estimand is not None and claim.estimand.statistic == "number_needed"


def _difference(claim: Claim, arms: Arms) -> Figure:
    assert claim.estimand is not None and claim.estimand.reference is not None
    variable = VARIABLES[claim.estimand.variable]
    return risk_difference(variable(arms[claim.estimand.arm])[1], variable(arms[claim.estimand.reference])[1])


def _note(claim: Claim, arms: Arms) -> str:
    """What a reader needs beside the figure: the risks behind a ratio, the difference behind a number needed."""
    assert claim.estimand is not None
    if claim.estimand.reference is None:
        return ""
    variable, asked = VARIABLES[claim.estimand.variable], claim.estimand
    risks = {arm: 100 * float(variable(arms[arm])[1].mean()) for arm in (claim.estimand.reference, asked.arm)}
    return "risks " + ", ".join(f"{risk:.1f} % ({arm})" for arm, risk in risks.items())


def over_sets(figures: Sequence[Figure], needed: bool = False) -> tuple[float, float, float, float]:
    """(median, lower, upper, Monte Carlo standard error of one set) of figures under parameter sets.

    NaN where too few sets gave a figure. With `needed` the figures are risk differences, the result numbers needed to
    treat; NaN unless at least 97.5 % of the sets have a difference below 0.
    """
    values = np.array([figure.value for figure in figures])
    known = values[~np.isnan(values)]
    if len(known) == 0 or len(known) < ENOUGH * len(values):
        return (math.nan,) * 4
    # infinity ("never") is a value, so no interpolation between two of them
    low, middle, high = (
        float(x) for x in np.quantile(known, [TAILS[0], 0.5, TAILS[1]], method="inverted_cdf")
    )
    widths = np.array([figure.upper - figure.lower for figure in figures])
    widths = widths[np.isfinite(widths)]
    mcse = float(np.median(widths)) / (2 * normal_quantile()) if len(widths) else math.nan
    if not needed:
        return middle, low, high, mcse
    if high >= 0:
        return (math.nan,) * 4
    return -1 / middle, -1 / low, -1 / high, math.nan


def verdict(claim: Claim, value: float, low: float, high: float) -> str:
    """The model beside the claim; `low`, `high`: the interval over parameter sets, NaN where there is none."""
    if claim.setting is None:
        return "not in the model"
    if math.isnan(value):
        return "no benefit shown in the model" if _counts_needed(claim) else "the model has no figure"
    if claim.claimed is None:
        return "no size claimed"
    if claim.by_construction:
        return "so by construction"
    least, most = claim.bounds
    if least <= value <= most:
        return "agrees"
    if low <= most and high >= least:
        return "within parameter uncertainty"
    return "differs"


def _row(
    claim: Claim, title: str | None, subjects: int, figure: Figure, sets: Sequence[Figure], note: str
) -> ClaimRow:
    middle, low, high, mcse = over_sets(sets, _counts_needed(claim)) if sets else (math.nan,) * 4
    asked, claimed = claim.estimand, claim.claimed or (None, None)
    return ClaimRow(
        claim.id,
        claim.statement,
        claimed[0],
        claimed[1],
        claim.status,
        claim.why,
        claim.source,
        claim.mark,
        primary_count(claim.events, claim.n),
        title,
        None if asked is None else asked.statistic,
        None if asked is None else asked.variable,
        None if asked is None else asked.arm,
        None if asked is None else asked.reference,
        _finite(figure.value),
        _finite(figure.lower),
        _finite(figure.upper),
        subjects,
        figure.n,
        _finite(middle),
        _finite(low),
        _finite(high),
        _finite(mcse),
        len(sets),
        verdict(claim, figure.value, low, high),
        note,
    )


def primary_count(events: int | None, n: int | None) -> str | None:
    """`31 of 45, 69 % (53 to 82)` with the exact interval; None where no source counted."""
    if events is None or n is None:
        return None
    low, high = exact_binomial(events, n)
    return f"{events} of {n}, {100 * events / n:.3g} % ({100 * float(low):.2g} to {100 * float(high):.3g})"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
