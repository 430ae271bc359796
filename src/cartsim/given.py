"""Why: a user's own patients have measured covariates, of which some may be missing, and a lever before infusion may
change a covariate that everybody has. Here subjects are made whose covariates are partly known.

A known covariate keeps its value. Its normal score, through which it acts on the latent risk, is its place in the
margin of the product's population. What is not known is drawn given what is known, from the joint distribution of the
scores, at the same addresses as ever: a subject of whom nothing is known is the one that `draw_cohort` makes, bit for
bit.
"""

import math
from dataclasses import dataclass

import numpy as np

from cartsim.cohort import (
    ADHERENCE,
    AGE_AT,
    BERNOULLI,
    BURDEN_AT,
    COHORT,
    COMORBIDITY,
    CREATININE_AT,
    CRP_AT,
    DOSE_AT,
    FERRITIN_AT,
    FIRST_COVARIATE,
    FIXED,
    LDH_AT,
    LOGNORMAL,
    MALE_AT,
    NEURO_AT,
    PLATELETS_AT,
    WEIGHT_AT,
    derive_constants,
    from_score,
)
from cartsim.compiled import compiled
from cartsim.draws import fill_baseline, normal_cdf, normal_quantile, sobol_baseline, study_key, uniform
from cartsim.evidence.population import NAMES
from cartsim.model.state import SUBJECT
from cartsim.model.views import as_records
from cartsim.terms import BASELINE_DECISIONS, Decision

_BRIDGING = int(Decision.BRIDGING)
#: What is known of a covariate: nothing, its value, or on which side of a cut its score lies.
_FREE, _VALUE, _BELOW, _ABOVE = 0, 1, 2, 3
#: Scores end here: a value beyond what the margin holds counts as the most extreme of some hundreds in it.
_EXTREME = 3.0
#: Probabilities nearest to 0 and 1 whose normal scores are finite.
_LEAST, _MOST = 1e-300, 1.0 - 2.0**-53


@dataclass(frozen=True)
class Known:
    """What is known of the covariates of some subjects, row by row.

    `values` [rows, len(NAMES)]: NaN where unknown, `burden` as a normal score; `high_burden` [rows]: 0, 1 or NaN;
    `rows` [subjects]: the row that each subject is.
    """

    values: np.ndarray
    high_burden: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class Bridging:
    """Treatment between apheresis and infusion: in a `share` of subjects the burden score falls by `reduction`."""

    share: float = 0.0
    reduction: float = 0.0


NO_BRIDGING = Bridging()


@compiled
def _score(m: np.record, k: int, x: float) -> float:
    """Normal score of a value, the inverse of `from_score`."""
    if k == BURDEN_AT:
        return x
    if m.kind[k] == LOGNORMAL:
        x = math.log(x)
    u = (normal_cdf((x - m.p1[k]) / m.p2[k]) - m.u_low[k]) / (m.u_high[k] - m.u_low[k])
    if u <= 0.0:
        return -_EXTREME
    if u >= 1.0:
        return _EXTREME
    return min(max(normal_quantile(u), -_EXTREME), _EXTREME)


@compiled
def _what_is_known(m: np.record, known: np.ndarray, high_burden: float, told: np.ndarray) -> None:
    for k in range(told.size):
        told[k] = _FREE
        side, cut = known[k], m.p2[k]
        if k == BURDEN_AT and math.isnan(known[k]):
            side, cut = high_burden, m.burden_cut
        elif m.kind[k] != BERNOULLI:
            if not math.isnan(known[k]) and m.kind[k] != FIXED:
                told[k] = _VALUE
            continue
        if not math.isnan(side) and math.isfinite(cut):
            told[k] = _ABOVE if side > 0.0 else _BELOW


@compiled
def _arrange(chol: np.ndarray, told: np.ndarray, order: np.ndarray, factor: np.ndarray) -> None:
    """Order covariates by how much is known of them, and factorise their correlation in that order.

    Among scores in this order each is what the earlier ones make of it and a part of its own, so that one pass gives
    the unknown ones given the known.
    """
    n = told.size
    place = 0
    for k in range(n):
        if told[k] == _VALUE:
            order[place] = k
            place += 1
    for k in range(n):
        if told[k] == _BELOW or told[k] == _ABOVE:
            order[place] = k
            place += 1
    for k in range(n):
        if told[k] == _FREE:
            order[place] = k
            place += 1
    natural = True
    for i in range(n):
        natural = natural and order[i] == i
    for i in range(n):
        for j in range(i + 1):
            if natural:
                factor[i, j] = chol[i, j]
                continue
            total = 0.0
            for c in range(n):
                total += chol[order[i], c] * chol[order[j], c]
            for c in range(j):
                total -= factor[i, c] * factor[j, c]
            factor[i, j] = math.sqrt(total) if i == j else total / factor[j, j]


@compiled
def _beyond(cut: float, above: bool, u: float) -> float:
    """A normal score on one side of `cut`, rising with `u`."""
    low = normal_cdf(cut)
    u = low + u * (1.0 - low) if above else u * low
    return normal_quantile(min(max(u, _LEAST), _MOST))


@compiled
def _draw_scores(
    m: np.record, known: np.ndarray, told: np.ndarray, order: np.ndarray, factor: np.ndarray, u: np.ndarray,
    own: np.ndarray, scores: np.ndarray,
) -> None:  # fmt: skip
    """Scores of a subject; `own` is room for the part of each that the earlier ones do not explain."""
    for i in range(order.size):
        k = order[i]
        explained = 0.0
        for j in range(i):
            explained += factor[i, j] * own[j]
        if told[k] == _VALUE:
            scores[k] = _score(m, k, known[k])
            own[i] = (scores[k] - explained) / factor[i, i]
            continue
        if told[k] == _FREE:
            own[i] = normal_quantile(u[FIRST_COVARIATE + k])
        else:
            cut = m.burden_cut if k == BURDEN_AT else m.p2[k]
            own[i] = _beyond((cut - explained) / factor[i, i], told[k] == _ABOVE, u[FIRST_COVARIATE + k])
        scores[k] = explained + factor[i, i] * own[i]


@compiled
def _value(m: np.record, k: int, known: np.ndarray, scores: np.ndarray) -> float:
    return from_score(m, k, scores[k]) if math.isnan(known[k]) else known[k]


@compiled
def _fill(
    p: np.record, m: np.record, row: np.record, u: np.ndarray, known: np.ndarray, scores: np.ndarray
) -> None:
    risk = 0.0
    for k in range(scores.size):
        risk += m.risk_weights[k] * scores[k]
    row.risk = risk
    row.age_years = _value(m, AGE_AT, known, scores)
    row.weight_kg = _value(m, WEIGHT_AT, known, scores)
    row.male = int(_value(m, MALE_AT, known, scores))
    row.burden = scores[BURDEN_AT]
    row.ldh_u_per_l = _value(m, LDH_AT, known, scores)
    row.ferritin_ng_per_ml = _value(m, FERRITIN_AT, known, scores)
    row.crp_mg_per_l = _value(m, CRP_AT, known, scores)
    row.platelets_1e9_per_l = _value(m, PLATELETS_AT, known, scores)
    row.creatinine_mg_per_dl = _value(m, CREATININE_AT, known, scores)
    row.easix = row.ldh_u_per_l * row.creatinine_mg_per_dl / row.platelets_1e9_per_l
    row.prior_neuro = int(_value(m, NEURO_AT, known, scores))
    row.cell_dose_1e6 = _value(m, DOSE_AT, known, scores)
    row.adherent = 1 if u[ADHERENCE] < p.adherence else 0
    row.comorbid = 1 if u[COMORBIDITY] > 1.0 - p.comorbid_share else 0


@compiled
def _draw_known(
    par: np.ndarray, margins: np.ndarray, key0: np.uint64, key1: np.uint64, sobol: np.ndarray, values: np.ndarray,
    high_burden: np.ndarray, rows: np.ndarray, share: float, reduction: float, cohort: np.ndarray,
    subjects: np.ndarray,
) -> None:  # fmt: skip
    p = par[0]
    m = margins[0]
    n = values.shape[1]
    u = np.empty(BASELINE_DECISIONS)
    scores = np.empty(n)
    own = np.empty(n)
    told = np.empty(n, np.int8)
    before = np.full(n, -1, np.int8)
    order = np.empty(n, np.int64)
    factor = np.zeros((n, n))
    for i in range(cohort.size):
        row = cohort[i]
        s = subjects[i]
        known = values[rows[i]]
        if sobol.shape[0] > 0:
            for k in range(BASELINE_DECISIONS):
                u[k] = sobol[i, k]
        else:
            fill_baseline(key0, key1, row.subject, u)
        _what_is_known(m, known, high_burden[rows[i]], told)
        changed = False
        for k in range(n):
            changed = changed or told[k] != before[k]
            before[k] = told[k]
        if changed:
            _arrange(m.chol, told, order, factor)
        _draw_scores(m, known, told, order, factor, u, own, scores)
        flag = high_burden[rows[i]]
        if share > 0.0 and uniform(key0, key1, row.subject, _BRIDGING, 0) < share:
            scores[BURDEN_AT] -= reduction
            flag = math.nan
        row.high_burden = int(flag) if not math.isnan(flag) else 1 if scores[BURDEN_AT] > m.burden_cut else 0
        _fill(p, m, row, u, known, scores)
        derive_constants(p, s, row, u)
        s.key0 = key0
        s.key1 = key1


#: One row of which nothing is known.
_NOTHING = np.full((1, len(NAMES)), np.nan)


def draw_known(
    par: np.ndarray,
    margins: np.ndarray,
    seed: int,
    replicate: int,
    first: int,
    count: int,
    source: str = "philox",
    known: Known | None = None,
    bridging: Bridging = NO_BRIDGING,
) -> tuple[np.ndarray, np.ndarray]:
    """As `draw_cohort`, for subjects of whom something is `known` (None: nothing), some with `bridging`.

    `known.rows` must have `count` entries. The same subject has the same row whatever `first` and `count`.
    """
    cohort = np.zeros(count, COHORT)
    cohort["subject"] = np.arange(first, first + count)
    subjects = np.zeros(count, SUBJECT)
    key0, key1 = study_key(seed, replicate)
    sobol = np.empty((0, BASELINE_DECISIONS))
    if source == "sobol":
        sobol = sobol_baseline(seed, replicate, first, count)
    if known is None:
        known = Known(_NOTHING, np.full(1, np.nan), np.zeros(count, np.int64))
    else:
        cohort["source_row"] = known.rows
    _draw_known(
        as_records(par), as_records(margins), key0, key1, sobol, known.values, known.high_burden, known.rows,
        float(bridging.share), float(bridging.reduction), as_records(cohort), as_records(subjects),
    )  # fmt: skip
    return cohort, subjects
