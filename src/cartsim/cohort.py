"""Who the virtual patients are: baseline covariates, and the constants that decide each one's course.

Covariates are drawn jointly (normal scores with a declared correlation, then each margin's inverse distribution)
and act through one latent risk, so that burden, LDH, ferritin, CRP and platelets cannot be counted several times.
Everything is a function of the subject's number and the study key: which arms exist, or how many subjects, changes
nobody.
"""

import math

import numpy as np

from cartsim.compiled import compiled
from cartsim.draws import fill_baseline, normal_cdf, normal_quantile, sobol_baseline, study_key
from cartsim.evidence.population import NAMES, Kind, Population
from cartsim.model.disease import skewed
from cartsim.model.state import SUBJECT
from cartsim.model.views import as_records
from cartsim.terms import BASELINE_DECISIONS, Decision

# places of the covariates in their correlation matrix, which is the order of their decisions too
(
    AGE_AT, WEIGHT_AT, MALE_AT, BURDEN_AT, LDH_AT, FERRITIN_AT, CRP_AT, PLATELETS_AT, CREATININE_AT,
    NEURO_AT, DOSE_AT,
) = range(len(NAMES))  # fmt: skip
TRUNCNORM = int(Kind.TRUNCNORM)
LOGNORMAL = int(Kind.LOGNORMAL)
BERNOULLI = int(Kind.BERNOULLI)
FIXED = int(Kind.FIXED)

#: The declared joint distribution as compiled code reads it.
MARGINS = np.dtype(
    [
        ("chol", "f8", (len(NAMES), len(NAMES))),
        ("kind", "i1", len(NAMES)),
        ("p1", "f8", len(NAMES)),
        ("p2", "f8", len(NAMES)),
        ("low", "f8", len(NAMES)),
        ("high", "f8", len(NAMES)),
        ("u_low", "f8", len(NAMES)),
        ("u_high", "f8", len(NAMES)),
        ("risk_weights", "f8", len(NAMES)),
        ("burden_cut", "f8"),
    ],
    align=True,
)

COHORT = np.dtype(
    [
        ("subject", "i8"),
        ("source_row", "i8"),  # of the user's own cohort, where there is one
        ("age_years", "f8"),
        ("male", "i1"),
        ("weight_kg", "f8"),
        ("burden", "f8"),
        ("high_burden", "i1"),
        ("ldh_u_per_l", "f8"),
        ("ferritin_ng_per_ml", "f8"),
        ("crp_mg_per_l", "f8"),
        ("platelets_1e9_per_l", "f8"),
        ("creatinine_mg_per_dl", "f8"),
        ("easix", "f8"),
        ("prior_neuro", "i1"),
        ("cell_dose_1e6", "f8"),
        ("risk", "f8"),
        ("comorbid", "i1"),
        ("adherent", "i1"),
    ],
    align=True,
)

FIRST_COVARIATE = int(Decision.AGE)
ADHERENCE = int(Decision.ADHERENCE)
COMORBIDITY = int(Decision.COMORBIDITY)
_CRS_AMPLITUDE = int(Decision.CRS_AMPLITUDE)
_ICANS_AMPLITUDE = int(Decision.ICANS_AMPLITUDE)
_CRS_PEAK_TIME = int(Decision.CRS_PEAK_TIME)
_ICANS_LAG = int(Decision.ICANS_LAG)
_CRS_DECLINE = int(Decision.CRS_DECLINE)
_ICANS_DECLINE = int(Decision.ICANS_DECLINE)
_CRS_ASCENT = int(Decision.CRS_ASCENT)
_RESPONSE = int(Decision.TOCILIZUMAB_RESPONSE)
_TOCI_SIZE = int(Decision.TOCILIZUMAB_SIZE)
_STEROID_SIZE = int(Decision.STEROID_SIZE)
_DEATH = int(Decision.DEATH)
_DEATH_CAUSE = int(Decision.DEATH_CAUSE)
_SEIZURE = int(Decision.SEIZURE)
_FEVER = int(Decision.OTHER_FEVER)
_FEVER_ONSET = int(Decision.OTHER_FEVER_ONSET)
_FEVER_LENGTH = int(Decision.OTHER_FEVER_LENGTH)
_IV_FEVER = int(Decision.IV_FEVER)
_DELAY = int(Decision.ORDER_DELAY)
_OFFSETS = (
    int(Decision.BP_OFFSET),
    int(Decision.OXYGEN_OFFSET),
    int(Decision.LIVER_OFFSET),
    int(Decision.KIDNEY_OFFSET),
)


def margins_of(population: Population) -> np.ndarray:
    """`MARGINS[1]` of a population."""
    given = population.parameters()
    margins = np.zeros(1, MARGINS)
    for name in MARGINS.names or ():
        margins[name] = given[name]
    return margins


@compiled
def from_score(m: np.record, k: int, z: float) -> float:
    """Covariate `k` at normal score `z`: truncation rescales the probability, it never piles up at the ends."""
    kind = m.kind[k]
    if kind == FIXED:
        return m.p1[k]
    if kind == BERNOULLI:
        return 1.0 if z > m.p2[k] else 0.0
    u = m.u_low[k] + normal_cdf(z) * (m.u_high[k] - m.u_low[k])
    if u <= 0.0:
        return m.low[k]
    if u >= 1.0:
        return m.high[k]
    value = m.p1[k] + m.p2[k] * normal_quantile(u)
    if kind == LOGNORMAL:
        value = math.exp(value)
    return min(max(value, m.low[k]), m.high[k])


@compiled
def _draw_covariates(p: np.record, m: np.record, row: np.record, u: np.ndarray, scores: np.ndarray) -> None:
    n = scores.size
    for k in range(n):
        scores[k] = normal_quantile(u[FIRST_COVARIATE + k])
    # from the last down, so that each correlated score still reads the independent ones before it
    for k in range(n - 1, -1, -1):
        total = 0.0
        for j in range(k + 1):
            total += m.chol[k, j] * scores[j]
        scores[k] = total
    risk = 0.0
    for k in range(n):
        risk += m.risk_weights[k] * scores[k]
    row.risk = risk
    row.age_years = from_score(m, AGE_AT, scores[AGE_AT])
    row.weight_kg = from_score(m, WEIGHT_AT, scores[WEIGHT_AT])
    row.male = int(from_score(m, MALE_AT, scores[MALE_AT]))
    row.burden = scores[BURDEN_AT]
    row.high_burden = 1 if scores[BURDEN_AT] > m.burden_cut else 0
    row.ldh_u_per_l = from_score(m, LDH_AT, scores[LDH_AT])
    row.ferritin_ng_per_ml = from_score(m, FERRITIN_AT, scores[FERRITIN_AT])
    row.crp_mg_per_l = from_score(m, CRP_AT, scores[CRP_AT])
    row.platelets_1e9_per_l = from_score(m, PLATELETS_AT, scores[PLATELETS_AT])
    row.creatinine_mg_per_dl = from_score(m, CREATININE_AT, scores[CREATININE_AT])
    row.easix = row.ldh_u_per_l * row.creatinine_mg_per_dl / row.platelets_1e9_per_l
    row.prior_neuro = int(from_score(m, NEURO_AT, scores[NEURO_AT]))
    row.cell_dose_1e6 = from_score(m, DOSE_AT, scores[DOSE_AT])
    row.adherent = 1 if u[ADHERENCE] < p.adherence else 0
    row.comorbid = 1 if u[COMORBIDITY] > 1.0 - p.comorbid_share else 0


@compiled
def derive_constants(p: np.record, s: np.record, row: np.record, u: np.ndarray) -> None:
    """What decides a subject's course, from its covariates and numbers (MODEL 1, 2, 5): larger u is worse or later."""
    s.subject = row.subject
    r = p.risk_weight
    z0 = r * row.risk + math.sqrt(1.0 - r * r) * normal_quantile(u[_CRS_AMPLITUDE])
    z1 = p.rho * z0 + math.sqrt(1.0 - p.rho * p.rho) * normal_quantile(u[_ICANS_AMPLITUDE])
    dose = p.dose_slope * math.log(row.cell_dose_1e6 / p.reference_dose_1e6)
    s.crs_peak = p.mu + p.sigma * skewed(p, z0) + dose
    s.icans_peak = p.mu_n + p.sigma_n * skewed(p, z1) + dose - p.c_na * max(0.0, p.c_na_from - s.crs_peak)
    s.crs_peak_d = p.peak_d * math.exp(p.peak_spread * normal_quantile(u[_CRS_PEAK_TIME]))
    lag = p.lag_d + p.lag_sd_d * normal_quantile(u[_ICANS_LAG])
    s.icans_peak_d = max(p.icans_peak_min_d, s.crs_peak_d + lag)
    s.crs_ascent = p.ascent * math.exp(-p.ascent_spread * normal_quantile(u[_CRS_ASCENT]))
    s.crs_decline = p.decline * math.exp(-p.decline_spread * normal_quantile(u[_CRS_DECLINE]))
    s.icans_ascent = p.ascent_n
    s.icans_decline = p.decline_n * math.exp(-p.decline_spread * normal_quantile(u[_ICANS_DECLINE]))
    for axis in range(len(_OFFSETS)):
        s.eps[axis] = p.eps_sd[axis] * normal_quantile(u[_OFFSETS[axis]])
    responds = u[_RESPONSE] < normal_cdf(p.toci_q - p.toci_zeta_scale * p.toci_zeta * z0)
    s.toci_response = 1.0 if responds else p.toci_nonresponse
    s.toci_effect = p.toci_effect * math.exp(-p.toci_effect_spread * normal_quantile(u[_TOCI_SIZE]))
    s.steroid_size = math.exp(-p.steroid_spread * normal_quantile(u[_STEROID_SIZE]))
    s.weight_kg = row.weight_kg
    s.crp_base = row.crp_mg_per_l
    s.ferritin_base = row.ferritin_ng_per_ml
    s.steroid_scale = p.steroid_ref_kg / row.weight_kg if row.weight_kg < p.steroid_light_kg else 1.0
    s.other_fever_start = math.inf
    s.other_fever_end = -math.inf
    if u[_FEVER] > 1.0 - p.other_fever_share:
        onset = p.other_fever_onset_d + p.other_fever_onset_sd_d * normal_quantile(u[_FEVER_ONSET])
        spread = p.other_fever_length_spread * normal_quantile(u[_FEVER_LENGTH])
        s.other_fever_start = max(0.0, onset)
        s.other_fever_end = s.other_fever_start + p.other_fever_length_d * math.exp(spread)
    s.iv_fever = 1 if u[_IV_FEVER] > 1.0 - p.iv_fever_share else 0
    s.order_delay_u = u[_DELAY]
    s.death_threshold = -math.log(u[_DEATH])
    s.death_cause_u = u[_DEATH_CAUSE]
    s.seizure_threshold = -math.log(u[_SEIZURE])


@compiled
def _draw(
    par: np.ndarray, margins: np.ndarray, key0: np.uint64, key1: np.uint64, sobol: np.ndarray, cohort: np.ndarray,
    subjects: np.ndarray,
) -> None:  # fmt: skip
    p = par[0]
    m = margins[0]
    u = np.empty(BASELINE_DECISIONS)
    scores = np.empty(len(NAMES))
    for i in range(cohort.size):
        row = cohort[i]
        s = subjects[i]
        if sobol.shape[0] > 0:
            for k in range(BASELINE_DECISIONS):
                u[k] = sobol[i, k]
        else:
            fill_baseline(key0, key1, row.subject, u)
        _draw_covariates(p, m, row, u, scores)
        derive_constants(p, s, row, u)
        s.key0 = key0
        s.key1 = key1


def draw_cohort(
    par: np.ndarray,
    margins: np.ndarray,
    seed: int,
    replicate: int,
    first: int,
    count: int,
    source: str = "philox",
    baseline: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Subjects `first .. first+count-1`: (COHORT[count], SUBJECT[count]).

    `par` is PARAMETERS[1], `margins` MARGINS[1]; `source` is "philox" or "sobol" (baseline decisions only). A pure
    function of the arguments: the same subject has the same row whatever `first` and `count`. `baseline`, [count, 64]:
    the baseline numbers of just these subjects, where the caller has drawn them before.
    """
    cohort = np.zeros(count, COHORT)
    cohort["subject"] = np.arange(first, first + count)
    subjects = np.zeros(count, SUBJECT)
    key0, key1 = study_key(seed, replicate)
    if baseline is None:
        baseline = np.empty((0, BASELINE_DECISIONS))
        if source == "sobol":
            baseline = sobol_baseline(seed, replicate, first, count)
    _draw(
        as_records(par), as_records(margins), key0, key1, baseline, as_records(cohort), as_records(subjects)
    )
    return cohort, subjects
