"""The registry: complete, grounded, without orphans, equal to the sources it names, and strict about changes."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from cartsim.evidence.calibrated import own_calibration
from cartsim.evidence.entries import DistributionEntry, NumberEntry
from cartsim.evidence.grading import AXIS_KEYS
from cartsim.evidence.population import NAMES, Kind, build_correlation
from cartsim.evidence.reader import DATA, read_evidence, read_files
from cartsim.evidence.registry import Registry, load_registry, starting_registry
from cartsim.harms import read_numbers
from cartsim.model.parameters import FIELDS, RUN_FIELDS, fill_parameters, registry_keys
from cartsim.scenario.levers import bridging_of, lever_numbers
from cartsim.scenario.models import Levers
from cartsim.terms import Axis, BpSupport, CrsScale, Decision, Oxygen

REGISTRY = load_registry()
PRODUCTS = [
    "axi-cel",
    "brexu-cel",
    "cd19-lupus",
    "cilta-cel",
    "ide-cel",
    "liso-cel",
    "tisa-cel-all",
    "tisa-cel-lbcl",
]
COVARIATES = [
    "age_years",
    "weight_kg",
    "male_share",
    "high_burden_share",
    "ldh_u_per_l",
    "ferritin_ng_per_ml",
    "crp_mg_per_l",
    "platelets_1e9_per_l",
    "creatinine_mg_per_dl",
    "prior_neuro_share",
]
#: Keys that neither the clinic's parameters, nor the grading tables, nor the covariates read: key -> reader.
OTHER_READERS = {
    "population.risk_weights": "cohort: latent risk",
    "population.correlations.adult": "cohort",
    "population.correlations.paediatric": "cohort",
    **{f"product.{p}.reference_dose_cells_1e6": "cohort: dose shift of the amplitudes" for p in PRODUCTS},
    **{f"product.{p}.cell_dose_1e6": "cohort" for p in PRODUCTS},
    **{f"product.{p}.g1_fever_d": "policies of that cohort" for p in ("ide-cel", "cilta-cel", "cd19-lupus")},
}

# CLINICAL A4: ASTCT, Lee, Penn, CARTOX, CTCAE v5 for (fever, treated IV, axis, level).
A4_SCALES = (CrsScale.ASTCT2019, CrsScale.LEE2014, CrsScale.PENN, CrsScale.CARTOX2018, CrsScale.CTCAE5)
A4 = [
    ("fever only", 0, None, 0, (1, 1, 1, 1, 1)),
    ("fever, treated IV", 1, None, 0, (1, 1, 2, 1, 1)),
    ("one fluid bolus", 0, Axis.BP_SUPPORT, BpSupport.ONE_BOLUS, (2, 2, 2, 2, 2)),
    ("repeated boluses", 0, Axis.BP_SUPPORT, BpSupport.REPEATED_BOLUSES, (2, 2, 3, 2, 2)),
    ("one pressor, low dose", 0, Axis.BP_SUPPORT, BpSupport.LOW_DOSE_PRESSOR, (3, 2, 3, 2, 3)),
    ("one pressor, high dose", 0, Axis.BP_SUPPORT, BpSupport.HIGH_DOSE_PRESSOR, (3, 3, 4, 3, 3)),
    ("two or more pressors", 0, Axis.BP_SUPPORT, BpSupport.SEVERAL_PRESSORS, (4, 3, 4, 3, 4)),
    ("nasal cannula", 0, Axis.OXYGEN, Oxygen.LOW_FLOW, (2, 2, 3, 2, 2)),
    ("high flow", 0, Axis.OXYGEN, Oxygen.HIGH_FLOW, (3, 3, 3, 3, 3)),
    ("CPAP", 0, Axis.OXYGEN, Oxygen.CPAP, (4, 3, 3, 3, 3)),
    ("intubated", 0, Axis.OXYGEN, Oxygen.VENTILATOR, (4, 4, 4, 4, 4)),
    ("liver 3, fever", 0, Axis.LIVER, 3, (1, 2, 2, 2, 1)),
    ("liver 4, fever", 0, Axis.LIVER, 4, (1, 3, 3, 3, 1)),
    ("creatinine 2, fever", 0, Axis.KIDNEY, 2, (1, 2, 2, 2, 1)),
    ("creatinine 3, fever", 0, Axis.KIDNEY, 3, (1, 3, 3, 3, 1)),
]
# MODEL 3: grades of levels 1, 2, ... on ASTCT, Lee, Penn, CTCAE v5; 0 where the table has a dash.
MODEL_3 = {
    Axis.BP_SUPPORT: [(2, 2, 2, 2), (2, 2, 3, 2), (3, 2, 3, 3), (3, 3, 4, 3), (4, 3, 4, 4)],
    Axis.OXYGEN: [(2, 2, 3, 2), (3, 3, 3, 3), (4, 3, 3, 3), (4, 4, 4, 4)],
    Axis.LIVER: [(0, 1, 0, 0), (0, 2, 0, 0), (0, 2, 2, 0), (0, 3, 3, 0)],
    Axis.KIDNEY: [(0, 1, 0, 0), (0, 2, 2, 0), (0, 3, 3, 0), (0, 4, 3, 0)],
}


@pytest.mark.parametrize("registry", [starting_registry(), REGISTRY], ids=["files", "calibrated"])
def test_entries_say_what_they_rest_on(registry: Registry) -> None:
    for key, entry in registry.items():
        assert entry.unit and len(entry.meaning) > 2, key
        match entry.status:
            case "reported":
                assert entry.source and (entry.source.doi or entry.source.citation), key
            case "derived":
                assert entry.formula and entry.inputs, key
            case "assumed":
                assert entry.reason and entry.range, key
            case "calibrated":
                assert registry is REGISTRY, f"{key}: a file calls a number calibrated"
                assert entry.targets and entry.command and entry.range, key
                # a reason would be that of the starting value
                assert entry.reason is None and isinstance(entry, NumberEntry), key
                # laid over without validation, so that value, range and spread are checked here
                NumberEntry.model_validate(entry.model_dump())
            case other:
                raise AssertionError(f"{key}: {other}")
        if entry.status == "assumed" and "recalled" in (entry.reason or ""):
            assert not entry.verified, key


def test_calibrated_entries_are_those_of_the_calibration() -> None:
    calibration = own_calibration()
    assert calibration is not None
    calibrated = {key for key, entry in REGISTRY.items() if entry.status == "calibrated"}
    assert calibrated == set(calibration.keys) and len(calibrated) == REGISTRY.counts()["calibrated"] > 50
    for key, entry in REGISTRY.items():
        assert key in calibrated or entry == starting_registry()[key], key


def test_counts_cover_every_entry_and_only_file_statuses() -> None:
    counts = REGISTRY.counts()
    assert sum(counts.values()) == len(REGISTRY) > 250
    assert counts["override"] == 0
    assert min(counts["reported"], counts["derived"], counts["assumed"]) > 10


class Read(dict):
    """Remembers which of its keys were asked for."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)
        self.keys_read: set[str] = set()

    def __getitem__(self, key: str) -> object:
        self.keys_read.add(key)
        return super().__getitem__(key)


def test_every_key_has_a_reader() -> None:
    read = {key for product in PRODUCTS for key in registry_keys(product).values()} | set(OTHER_READERS)
    read |= {
        f"grading.{s.name.lower()}.{t}"
        for s in CrsScale
        for t in (*AXIS_KEYS.values(), "fever", "needs_fever")
    }
    read |= {f"population.{p}.{name}" for p in REGISTRY.populations() for name in COVARIATES}
    harms = Read(REGISTRY.numbers())
    read_numbers(harms, ["tocilizumab", "steroid", "anakinra"], infection_per_tocilizumab_dose=True)
    read |= {key for key in harms.keys_read if key.startswith("harms.")}
    levers = Read(REGISTRY.numbers())
    for conditioning in get_args(get_args(Levers.model_fields["lymphodepletion"].annotation)[0]):
        lever_numbers(Levers(lymphodepletion=conditioning), "axi-cel", levers)
    bridging_of(levers)
    read |= levers.keys_read
    assert set(REGISTRY) - read == set()
    assert read - set(REGISTRY) == set()


@pytest.mark.parametrize("product", PRODUCTS)
def test_products_fill_the_parameters(product: str) -> None:
    par = fill_parameters(REGISTRY.numbers(), product, dict.fromkeys(RUN_FIELDS, 0.0))
    for name in FIELDS:
        assert np.isfinite(par[name]).all(), name
    assert (np.diff(par["h"][0]) > 0).all()
    info = REGISTRY.product(product)
    assert info.population in REGISTRY.populations()
    assert info.cd28 == (product in ("axi-cel", "brexu-cel"))


def test_products_are_those_named() -> None:
    assert REGISTRY.products() == PRODUCTS


@pytest.mark.parametrize("product", PRODUCTS)
def test_reference_dose_is_the_middle_of_the_dose_given(product: str) -> None:
    reference, dose = (
        REGISTRY[f"product.{product}.reference_dose_cells_1e6"],
        REGISTRY[f"product.{product}.cell_dose_1e6"],
    )
    assert isinstance(dose, DistributionEntry)
    assert dose.median == reference.value
    assert dose.unit == reference.unit == REGISTRY.population(product).cell_dose_unit


@pytest.mark.parametrize(("state", "iv", "axis", "level", "grades"), A4, ids=[row[0] for row in A4])
def test_grading_equals_clinical_a4(
    state: str, iv: int, axis: Axis | None, level: int, grades: tuple[int, ...]
) -> None:
    tables = REGISTRY.grading()
    for scale, grade in zip(A4_SCALES, grades, strict=True):
        organ = tables.scale[scale, axis, level] if axis is not None else 0
        assert max(tables.fever_grade[scale, iv], organ) == grade, scale.name


def test_grading_equals_model_3() -> None:
    tables = REGISTRY.grading()
    for axis, rows in MODEL_3.items():
        for level, grades in enumerate(rows, start=1):
            assert tuple(tables.scale[:4, axis, level]) == grades, (axis.name, level)


def test_grading_arrays_have_the_promised_form() -> None:
    tables = REGISTRY.grading()
    assert tables.scale.shape == (5, 4, 6) and tables.scale.dtype == np.int8
    assert tables.fever_grade.shape == (5, 2) and tables.needs_fever.dtype == np.int8
    assert (tables.scale[:, :, 0] == 0).all()
    assert (np.diff(tables.scale.astype(int), axis=2) >= 0).all()
    assert (tables.scale[:, 1:, 5] == tables.scale[:, 1:, 4]).all()
    assert tables.needs_fever.tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("product", PRODUCTS)
def test_correlations_are_positive_definite(product: str) -> None:
    population = REGISTRY.population(product)
    assert np.linalg.eigvalsh(population.correlation)[0] > 0.05
    chol = population.parameters()["chol"]
    assert np.allclose(chol @ chol.T, population.correlation) and (np.triu(chol, 1) == 0).all()


@pytest.mark.parametrize("pairs", [[["age", "age", 0.1]], [["age", "hat", 0.1]], [["age", "ldh", 1.0]]])
def test_bad_correlations_are_refused(pairs: list) -> None:
    with pytest.raises(ValueError):
        build_correlation(pairs)


def test_contradicting_correlations_are_refused() -> None:
    with pytest.raises(ValueError, match="positive definite"):
        build_correlation([["age", "ldh", 0.9], ["age", "crp", 0.9], ["ldh", "crp", -0.9]])


def covariates(product: str, n: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Covariates as `Kind` says, and the latent risk, from fixed normal scores."""
    p = REGISTRY.population(product).parameters()
    z = np.random.default_rng(7).standard_normal((n, len(NAMES))) @ p["chol"].T
    x = p["p1"] + p["p2"] * ndtri(p["u_low"] + ndtr(z) * (p["u_high"] - p["u_low"]))
    x = np.where(p["kind"] == Kind.LOGNORMAL, np.exp(x), x)
    return np.where(p["kind"] == Kind.BERNOULLI, z > p["p2"], x), z @ p["risk_weights"]


@pytest.mark.parametrize("product", PRODUCTS)
def test_covariates_follow_their_entries_within_3_percent_of_40000(product: str) -> None:
    x, risk = covariates(product)
    population = REGISTRY.product(product).population
    for column, name in enumerate(NAMES):
        entry = REGISTRY.get(f"population.{population}.{name}")
        if isinstance(entry, DistributionEntry):
            assert entry.low is not None and entry.high is not None
            assert entry.low <= x[:, column].min() and x[:, column].max() <= entry.high * (1 + 1e-12), name
            if entry.median is not None and entry.median < entry.high / 5 and entry.median > entry.low * 5:
                assert np.median(x[:, column]) == pytest.approx(entry.median, rel=0.03), name
    male = REGISTRY[f"population.{population}.male_share"]
    assert isinstance(male, DistributionEntry)
    assert x[:, NAMES.index("male")].mean() == pytest.approx(male.p, abs=0.01)
    assert risk.std() == pytest.approx(1.0, abs=0.02)
    platelets, burden = x[:, NAMES.index("platelets_1e9_per_l")], x[:, NAMES.index("burden")]
    assert np.corrcoef(platelets, burden)[0, 1] < -0.2
    assert np.corrcoef(platelets, risk)[0, 1] < -0.3
    assert REGISTRY.population(product).parameters()["burden_cut"] == pytest.approx(
        -ndtri(REGISTRY.population(product).high_burden_share), abs=1e-9
    )


def test_dose_bands_of_weight_matter() -> None:
    children, _ = covariates("tisa-cel-all")
    weight, age = children[:, NAMES.index("weight_kg")], children[:, NAMES.index("age_years")]
    assert (weight < 30).mean() == pytest.approx(0.27, abs=0.01)
    assert (weight > 50).mean() == pytest.approx(46 / 137, abs=0.01)
    assert np.corrcoef(weight, age)[0, 1] > 0.8
    adults, _ = covariates("axi-cel")
    assert 0.05 < (adults[:, NAMES.index("weight_kg")] > 100).mean() < 0.15


def test_column_order_is_that_of_the_decisions() -> None:
    decisions = [
        "AGE",
        "WEIGHT",
        "SEX",
        "BURDEN",
        "LDH",
        "FERRITIN",
        "CRP",
        "PLATELETS",
        "CREATININE",
        "PRIOR_NEURO",
        "CELL_DOSE",
    ]
    assert [Decision[name] - Decision.AGE for name in decisions] == list(range(len(NAMES)))


def test_a_covariate_can_be_replaced() -> None:
    population = REGISTRY.population("axi-cel")
    heavy = population.with_covariate(
        "weight_kg", {"dist": "lognormal", "median": 90, "cv": 0.2}
    ).parameters()
    column = NAMES.index("weight_kg")
    assert heavy["p1"][column] == pytest.approx(np.log(90))
    assert heavy["p2"][column] == pytest.approx(np.sqrt(np.log(1.04)))
    assert (heavy["u_low"][column], heavy["u_high"][column]) == (0.0, 1.0)
    fixed = population.with_covariate("age_years", 40).with_covariate("high_burden_share", 0.5)
    assert fixed.parameters()["kind"][0] == Kind.FIXED and fixed.parameters()["burden_cut"] == pytest.approx(
        0
    )
    men = population.with_covariate("male_share", 1.0).parameters()
    assert men["p2"][NAMES.index("male")] == -np.inf
    with pytest.raises(KeyError):
        population.with_covariate("height_cm", 170)


def test_fever_begins_at_38_degrees() -> None:
    n = REGISTRY.numbers()
    base, rise = n["signs.temperature_base_c"], n["signs.temperature_rise_c"]
    at_zero = base + rise / (1 + np.exp(n["signs.temperature_slope"] * n["signs.temperature_midpoint"]))
    assert at_zero == pytest.approx(38.0, abs=0.005)


def _reversed(node: object) -> object:
    return {k: _reversed(node[k]) for k in reversed(node)} if isinstance(node, dict) else node


def test_hash_is_stable_under_reordering_and_sensitive_to_values(tmp_path: Path) -> None:
    for path in DATA.glob("*.yaml"):
        data = read_evidence(path.read_text(encoding="utf-8"), path.name).data
        (tmp_path / path.name).write_text(json.dumps(_reversed(data)), encoding="utf-8")
    again = Registry(*read_files(tmp_path))
    files = starting_registry()
    assert list(again) == list(files) and again.hash() == files.hash()
    assert list(files) == list(REGISTRY) and files.hash() != REGISTRY.hash(), "a calibration is seen"
    effect = REGISTRY.numbers()["tocilizumab.effect"]
    assert isinstance(effect, float)
    assert load_registry({"tocilizumab.effect": effect + 0.1}).hash() != REGISTRY.hash()
    assert len(REGISTRY.hash()) == len(files.hash()) == 64
