"""Virtual patients look as declared, and their constants are MODEL 1, 2 and 5 computed a second time."""

import math
from functools import cache

import numpy as np
import pytest
from clinic_builder import NO_DEATH, PRODUCTS, REGISTRY, Arm, make_arm, policy_of, same_bits
from scipy import special, stats

from cartsim.cohort import draw_cohort, margins_of
from cartsim.draws import study_key, uniforms
from cartsim.evidence.population import NAMES, Kind, Population
from cartsim.terms import Decision, Drug

N = 20_000
SEED = 7
REJECT = 1e-6
DRAWN = ("age_years", "weight_kg", "ldh_u_per_l", "ferritin_ng_per_ml", "crp_mg_per_l", "platelets_1e9_per_l",
         "creatinine_mg_per_dl", "cell_dose_1e6")  # fmt: skip


@cache
def drawn(product: str) -> tuple[Arm, np.ndarray, np.ndarray]:
    """An arm without rules, and its COHORT[N] and SUBJECT[N]."""
    arm = make_arm(product)
    return (arm, *arm.draw(N, seed=SEED))


def redrawn(product: str, population: Population, count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    return draw_cohort(make_arm(product).clinic["par"], margins_of(population), SEED, 0, 0, count)


def score(product: str, name: str, cohort: np.ndarray) -> np.ndarray:
    """The normal score behind a drawn covariate, NaN where it was clipped."""
    if name == "burden":
        return cohort["burden"]
    margin = REGISTRY.population(product).margins[NAMES.index(name)]
    x = np.log(cohort[name]) if margin.kind is Kind.LOGNORMAL else cohort[name]
    low, high = margin.cut
    with np.errstate(divide="ignore"):
        found = special.ndtri((special.ndtr((x - margin.p1) / margin.p2) - low) / (high - low))
    return np.where(np.isfinite(found), found, np.nan)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("name", DRAWN)
def test_covariates_follow_their_declared_margin(product: str, name: str) -> None:
    _, cohort, _ = drawn(product)
    margin = REGISTRY.population(product).margins[NAMES.index(name)]
    x = cohort[name]
    assert margin.low <= x.min() and x.max() <= margin.high
    if margin.kind is Kind.FIXED:
        assert (x == margin.p1).all()
        return
    base = stats.norm(margin.p1, margin.p2)
    low, high = margin.cut
    values = np.log(x) if margin.kind is Kind.LOGNORMAL else x
    test = stats.kstest(values, lambda v: np.clip((base.cdf(v) - low) / (high - low), 0.0, 1.0))
    assert test.pvalue > REJECT


@pytest.mark.parametrize("product", PRODUCTS)
def test_shares_are_as_declared(product: str) -> None:
    _, cohort, _ = drawn(product)
    population = REGISTRY.population(product)
    numbers = REGISTRY.numbers()
    wanted = {
        "male": population.margins[NAMES.index("male")].p1,
        "prior_neuro": population.margins[NAMES.index("prior_neuro")].p1,
        "high_burden": population.high_burden_share,
        "adherent": numbers["behaviour.adherence_grade1"],
        "comorbid": numbers[f"product.{product}.early_treatment_share"],
    }
    for name, share in wanted.items():
        assert set(np.unique(cohort[name])) <= {0, 1}
        assert stats.binomtest(int(cohort[name].sum()), N, share).pvalue > REJECT, name


@pytest.mark.parametrize("product", PRODUCTS)
def test_covariates_hang_together_as_declared(product: str) -> None:
    """Correlations of normal scores by Fisher's z, for every pair of continuous covariates."""
    _, cohort, _ = drawn(product)
    population = REGISTRY.population(product)
    limit = stats.norm.isf(REJECT / 2) / math.sqrt(N - 3)
    names = [
        name for name in ("burden", *DRAWN) if population.margins[NAMES.index(name)].kind is not Kind.FIXED
    ]
    scores = {name: score(product, name, cohort) for name in names}
    for i, one in enumerate(names):
        for other in names[:i]:
            both = np.isfinite(scores[one]) & np.isfinite(scores[other])
            found = np.corrcoef(scores[one][both], scores[other][both])[0, 1]
            told = population.correlation[NAMES.index(one), NAMES.index(other)]
            assert abs(math.atanh(found) - math.atanh(told)) < limit, (one, other, found, told)


@pytest.mark.parametrize("product", PRODUCTS)
def test_risk_is_standard_normal_and_made_of_its_markers(product: str) -> None:
    _, cohort, _ = drawn(product)
    weights = REGISTRY.population(product).risk_weights
    assert stats.kstest(cohort["risk"], "norm").pvalue > REJECT
    markers = [name for name, weight in zip(NAMES, weights, strict=True) if weight]
    assert markers == ["burden", "ldh_u_per_l", "ferritin_ng_per_ml", "crp_mg_per_l", "platelets_1e9_per_l"]
    total = sum(weights[NAMES.index(name)] * score(product, name, cohort) for name in markers)
    known = np.isfinite(total)
    assert known.mean() > 0.99
    assert np.allclose(cohort["risk"][known], total[known], atol=1e-6)
    easix = cohort["ldh_u_per_l"] * cohort["creatinine_mg_per_dl"] / cohort["platelets_1e9_per_l"]
    assert np.array_equal(cohort["easix"], easix)


def test_light_band_and_cap_matter() -> None:
    """In children the 30 kg band decides many doses, in adults the 800 mg cap; both stand in the doses given."""
    policy = policy_of({}, prophylaxis={"one": {"drug": "tocilizumab", "at_h": 24}})
    for product, light, heavy in (("tisa-cel-all", 0.15, 0.0), ("axi-cel", 0.0, 0.05)):
        arm = make_arm(product, policy, **NO_DEATH)
        cohort, subjects = arm.draw(4000)
        kg = cohort["weight_kg"]
        assert (kg < 30).mean() >= light and (kg > 100).mean() >= heavy
        doses = arm.run(cohort, subjects).doses
        assert (doses["drug"] == Drug.TOCILIZUMAB).all() and len(doses) == len(cohort)
        label = np.minimum(np.where(kg < 30, 12 * kg, 8 * kg), 800.0)
        assert np.allclose(doses["mg"], label[doses["row"]], rtol=1e-15)


def z_of(decision: Decision, subjects: np.ndarray) -> np.ndarray:
    return special.ndtri(uniforms(study_key(SEED), subjects, decision))


def psi(p: np.ndarray, z: np.ndarray) -> np.ndarray:
    return z + p["k_skew"] * np.maximum(z, 0.0) ** 2


@pytest.mark.parametrize("product", PRODUCTS)
def test_constants_a_second_time(product: str) -> None:
    """MODEL 1, 2, 4 and 5 in NumPy, from addressed numbers and the printed equations alone."""
    arm, cohort, subjects = drawn(product)
    p = arm.clinic["par"][0]
    number = cohort["subject"]
    u = {decision: uniforms(study_key(SEED), number, decision) for decision in Decision}
    z = {decision: special.ndtri(u[decision]) for decision in Decision}
    r = p["risk_weight"]
    z0 = r * cohort["risk"] + np.sqrt(1 - r**2) * z[Decision.CRS_AMPLITUDE]
    z1 = p["rho"] * z0 + np.sqrt(1 - p["rho"] ** 2) * z[Decision.ICANS_AMPLITUDE]
    dose = p["dose_slope"] * np.log(cohort["cell_dose_1e6"] / p["reference_dose_1e6"])
    a = p["mu"] + p["sigma"] * psi(p, z0) + dose
    b = p["mu_n"] + p["sigma_n"] * psi(p, z1) + dose - p["c_na"] * np.maximum(0, p["c_na_from"] - a)
    peak = p["peak_d"] * np.exp(p["peak_spread"] * z[Decision.CRS_PEAK_TIME])
    lag = p["lag_d"] + p["lag_sd_d"] * z[Decision.ICANS_LAG]
    has_fever = u[Decision.OTHER_FEVER] > 1 - p["other_fever_share"]
    fever = np.maximum(
        0, p["other_fever_onset_d"] + p["other_fever_onset_sd_d"] * z[Decision.OTHER_FEVER_ONSET]
    )
    length = p["other_fever_length_d"] * np.exp(
        p["other_fever_length_spread"] * z[Decision.OTHER_FEVER_LENGTH]
    )
    kg = cohort["weight_kg"]
    wanted = {
        "crs_peak": a,
        "icans_peak": b,
        "crs_peak_d": peak,
        "icans_peak_d": np.maximum(p["icans_peak_min_d"], peak + lag),
        "crs_ascent": p["ascent"] * np.exp(-p["ascent_spread"] * z[Decision.CRS_ASCENT]),
        "crs_decline": p["decline"] * np.exp(-p["decline_spread"] * z[Decision.CRS_DECLINE]),
        "icans_ascent": np.full(N, p["ascent_n"]),
        "icans_decline": p["decline_n"] * np.exp(-p["decline_spread"] * z[Decision.ICANS_DECLINE]),
        "toci_effect": p["toci_effect"] * np.exp(-p["toci_effect_spread"] * z[Decision.TOCILIZUMAB_SIZE]),
        "steroid_size": np.exp(-p["steroid_spread"] * z[Decision.STEROID_SIZE]),
        "steroid_scale": np.where(kg < p["steroid_light_kg"], p["steroid_ref_kg"] / kg, 1.0),
        "weight_kg": kg,
        "crp_base": cohort["crp_mg_per_l"],
        "ferritin_base": cohort["ferritin_ng_per_ml"],
        "death_threshold": -np.log(u[Decision.DEATH]),
        "death_cause_u": u[Decision.DEATH_CAUSE],
        "seizure_threshold": -np.log(u[Decision.SEIZURE]),
        "order_delay_u": u[Decision.ORDER_DELAY],
        "other_fever_start": np.where(has_fever, fever, np.inf),
        "other_fever_end": np.where(has_fever, fever + length, -np.inf),
    }
    for name, value in wanted.items():
        assert np.allclose(subjects[name], value, rtol=1e-11, atol=1e-12), name
    offsets = (Decision.BP_OFFSET, Decision.OXYGEN_OFFSET, Decision.LIVER_OFFSET, Decision.KIDNEY_OFFSET)
    for axis, decision in enumerate(offsets):
        assert np.allclose(subjects["eps"][:, axis], p["eps_sd"][axis] * z[decision], rtol=1e-11)
    responds = u[Decision.TOCILIZUMAB_RESPONSE] < special.ndtr(
        p["toci_q"] - p["toci_zeta_scale"] * p["toci_zeta"] * z0
    )
    assert np.array_equal(subjects["toci_response"], np.where(responds, 1.0, p["toci_nonresponse"]))
    assert np.array_equal(subjects["iv_fever"], u[Decision.IV_FEVER] > 1 - p["iv_fever_share"])
    assert np.array_equal(cohort["adherent"], u[Decision.ADHERENCE] < p["adherence"])
    assert np.array_equal(cohort["comorbid"], u[Decision.COMORBIDITY] > 1 - p["comorbid_share"])
    assert set(subjects.dtype.names or ()) == set(wanted) | {
        "eps", "toci_response", "iv_fever", "subject", "key0", "key1"
    }  # fmt: skip
    assert tuple(int(subjects[name][0]) for name in ("key0", "key1")) == tuple(map(int, study_key(SEED)))


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_larger_number_is_worse_or_later(product: str) -> None:
    """Signs of all slopes, as every pairing of arms rests on them."""
    _, cohort, subjects = drawn(product)
    number = cohort["subject"]
    for decision, field, sign in (
        (Decision.CRS_AMPLITUDE, "crs_peak", 1),
        (Decision.ICANS_AMPLITUDE, "icans_peak", 1),
        (Decision.CRS_PEAK_TIME, "crs_peak_d", 1),
        (Decision.ICANS_LAG, "icans_peak_d", 1),
        (Decision.CRS_DECLINE, "crs_decline", -1),
        (Decision.ICANS_DECLINE, "icans_decline", -1),
        (Decision.CRS_ASCENT, "crs_ascent", -1),
        (Decision.TOCILIZUMAB_RESPONSE, "toci_response", -1),
        (Decision.TOCILIZUMAB_SIZE, "toci_effect", -1),
        (Decision.STEROID_SIZE, "steroid_size", -1),
        (Decision.DEATH, "death_threshold", -1),
        (Decision.SEIZURE, "seizure_threshold", -1),
        (Decision.ORDER_DELAY, "order_delay_u", 1),
    ):
        tau = stats.spearmanr(uniforms(study_key(SEED), number, decision), subjects[field]).statistic
        assert sign * tau > 0.25, (decision.name, tau)


@pytest.mark.parametrize(
    ("name", "spec", "moved"),
    [
        ("age_years", {"dist": "truncnorm", "mean": 40.0, "sd": 5.0}, set()),
        ("male_share", 0.01, set()),
        ("ldh_u_per_l", {"dist": "lognormal", "median": 2000.0, "sdlog": 1.5}, set()),
        ("ferritin_ng_per_ml", {"dist": "lognormal", "median": 9000.0, "sdlog": 0.3}, {"ferritin_base"}),
        ("crp_mg_per_l", {"dist": "lognormal", "median": 200.0, "sdlog": 0.3}, {"crp_base"}),
        ("platelets_1e9_per_l", {"dist": "lognormal", "median": 20.0, "sdlog": 0.3}, set()),
        ("creatinine_mg_per_dl", {"dist": "lognormal", "median": 2.0, "sdlog": 0.3}, set()),
        ("prior_neuro_share", 0.9, set()),
        ("high_burden_share", 0.9, set()),
        ("weight_kg", 20.0, {"weight_kg", "steroid_scale"}),
    ],
)
def test_covariates_act_through_the_risk_alone(name: str, spec: object, moved: set[str]) -> None:
    """Another margin keeps everybody's normal scores, therefore the risk, therefore the course."""
    population = REGISTRY.population("axi-cel")
    cohort, subjects = redrawn("axi-cel", population)
    other_cohort, other = redrawn("axi-cel", population.with_covariate(name, spec))
    assert set(same_bits(subjects, other)) == moved
    assert "risk" not in same_bits(cohort, other_cohort)
    assert set(same_bits(cohort, other_cohort)) <= {name, name.replace("_share", ""), "easix"}


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("times", [0.25, 3.0])
def test_cell_dose_shifts_both_amplitudes_alike(product: str, times: float) -> None:
    arm = make_arm(product, c_na=0.0)
    p = arm.clinic["par"]
    reference = float(p["reference_dose_1e6"][0])
    population = REGISTRY.population(product)
    at, moved = (
        draw_cohort(p, margins_of(population.with_covariate("cell_dose_1e6", dose)), SEED, 0, 0, 300)[1]
        for dose in (reference, times * reference)
    )
    shift = float(p["dose_slope"][0]) * math.log(times)
    assert np.allclose(moved["crs_peak"] - at["crs_peak"], shift, rtol=0, atol=1e-12)
    assert np.allclose(moved["icans_peak"] - at["icans_peak"], shift, rtol=0, atol=1e-12)
    assert set(same_bits(at, moved)) == {"crs_peak", "icans_peak"}


@pytest.mark.parametrize("source", ["philox", "sobol"])
def test_a_subject_is_the_same_in_any_cohort(source: str) -> None:
    arm = make_arm("axi-cel")
    cohort, subjects = arm.draw(300, source=source)
    part_cohort, part = arm.draw(77, first=123, source=source)
    assert same_bits(cohort[123:200], part_cohort) == []
    assert same_bits(subjects[123:200], part) == []


def test_sobol_points_change_baseline_numbers_only() -> None:
    arm = make_arm("axi-cel")
    (_, subjects), (points, other) = arm.draw(256), arm.draw(256, source="sobol")
    assert set(same_bits(subjects, other, without=("subject", "key0", "key1", "icans_ascent"))) == set(
        subjects.dtype.names or ()
    ) - {"subject", "key0", "key1", "icans_ascent", "steroid_scale"}
    assert same_bits(subjects[["subject", "key0", "key1"]], other[["subject", "key0", "key1"]]) == []
    assert stats.kstest(points["risk"], "norm").pvalue > 0.5, "points fill evenly"


def test_replicates_and_seeds_are_other_subjects() -> None:
    arm = make_arm("axi-cel")
    margins = margins_of(REGISTRY.population("axi-cel"))
    cohorts = [
        draw_cohort(arm.clinic["par"], margins, *which, 0, 50)[0] for which in ((1, 0), (1, 1), (2, 0))
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (cohorts[one]["risk"] != cohorts[other]["risk"]).all()


def test_an_empty_cohort() -> None:
    for source in ("philox", "sobol"):
        cohort, subjects = make_arm("axi-cel").draw(0, source=source)
        assert len(cohort) == len(subjects) == 0
