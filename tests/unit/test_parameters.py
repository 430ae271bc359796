"""Every registry number has a field, every field reaches the clinic, and none is read from anywhere else."""

from functools import cache

import numpy as np
import pytest
from clinic_builder import PRODUCTS, REGISTRY, RUN, Arm, clinic_of, make_par, policy_of, run_rich, same_bits

from cartsim.model.parameters import FIELDS, PARAMETERS, RUN_FIELDS, fill_parameters, registry_keys

SUBJECTS = 400
#: Where a plain change of 10 % does nothing by design: numbers that switch something on, or count.
CHANGES: dict[str, float] = {
    "ln_gamma": 0.4,
    "toci_boost": 1.3,
    "ice_error": 0.5,
    "c_na_from": 0.6,
    "icans_peak_min_d": 6.0,
    "toci_max_doses": 1.0,
    "toci_cap_mg": 300.0,
    "toci_light_kg": 45.0,
    "toci_spacing_h": 20.0,
    "steroid_light_kg": 60.0,
    "improved_grades": 2.0,
    "improved_afebrile_h": 30.0,
    "icu_bp": 1.0,
    "icu_oxygen": 1.0,
    "icu_neuro": 1.0,
    "icu_out_h": 48.0,
    "discharge_neuro": 0.0,
    "discharge_clear_h": 60.0,
    "min_stay_d": 20.0,
    "clinic_watch_d": 3.0,
    "admit_crs": 2.0,
    "admit_icans": 3.0,
    "crs_end_h": 72.0,
    "seizure_level_n": 1.0,
    "seizure_reference_n": 1.0,
    "seizure_grade": 4.0,
    "hazard_background": 0.05,
    "hazard_no_icu": 20.0,
    "grid_h": 1.0,
    "delay_home_h": 9.0,
    "other_fever_temp": 39.9,
    "temp_base": 38.3,
    "temp_slope": 3.0,
    "temp_mid": 0.1,
}
#: Read only in an outpatient's course.
OUTPATIENT = {"clinic_watch_d", "delay_home_h", "admit_icans"}
#: Read only where biomarkers, saturable elimination or antipyretics are asked for (test_markers, test_pharmacokinetics,
#: test_antipyretics).
SWITCHED = tuple(
    name
    for name in FIELDS
    if name.startswith(
        ("pk_", "moes_", "frey_", "il6_", "crp_", "ferritin_", "temp_daily", "marker_", "antipyretic_")
    )
    and name not in CHANGES
    and name != "antipyretic_share"
)


@cache
def arm_and_result(outpatient: bool) -> tuple[Arm, dict[str, np.ndarray]]:
    """A policy with every drug and a rule on temperature, for children: light bodies, severe courses."""
    policy = policy_of(
        "asco_2021",
        rules={
            "hot": {
                "when": {"temperature_c": ">=38.7", "anakinra_doses": 0},
                "give": {"drug": "anakinra", "mg": 100, "every_h": 12, "max_doses": 4},
            },
            # ICANS alone brings nobody from home to the ward before the drug is on its way
            "ne_steroid": {
                "when": {"ne": ">=1", "icans": 0, "crs": 0},
                "give": {"drug": "dexamethasone", "mg": 4, "every_h": 24, "max_doses": 2},
            },
        },
        prophylaxis={"early": {"drug": "tocilizumab", "at_h": 60}},
    )
    par = make_par(
        "tisa-cel-all", outpatient=float(outpatient), levetiracetam_on=1.0, hazard_crs=0.4, hazard_icans=0.4,
        hazard_seizure=0.4, other_fever_share=0.3, horizon_d=40.0,
    )  # fmt: skip
    arm = Arm("tisa-cel-all", clinic_of(par, policy), policy)
    return arm, run_rich(arm, SUBJECTS)


@pytest.mark.parametrize("name", SWITCHED)
def test_what_is_switched_off_moves_nothing(name: str) -> None:
    """Biomarkers and pharmacokinetics cost nothing, and change no bit, until they are asked for."""
    arm, before = arm_and_result(False)
    clinic = arm.clinic.copy()
    clinic["par"][name] = clinic["par"][name] * 1.1 + 0.1
    after = run_rich(Arm(arm.product, clinic, arm.policy), SUBJECTS)
    assert all(
        len(before[table]) == len(after[table]) and not same_bits(before[table], after[table])
        for table in before
    )


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in SWITCHED])
def test_every_number_moves_something(name: str) -> None:
    """Change one field alone and run the same subjects: a number that changes nothing is not wired."""
    arm, before = arm_and_result(name in OUTPATIENT)
    clinic = arm.clinic.copy()
    old = clinic["par"][name].copy()
    clinic["par"][name] = CHANGES.get(name, old * 1.1 + (old == 0.0) * 0.1)
    after = run_rich(Arm(arm.product, clinic, arm.policy), SUBJECTS)
    assert any(
        len(before[table]) != len(after[table]) or same_bits(before[table], after[table]) for table in before
    )


@pytest.mark.parametrize("product", PRODUCTS)
def test_fields_are_filled_from_their_keys(product: str) -> None:
    numbers = REGISTRY.numbers()
    run = {name: float(place + 1) for place, name in enumerate(RUN_FIELDS)}
    par = fill_parameters(numbers, product, run)
    assert par.dtype == PARAMETERS and par.shape == (1,)
    for name, key in registry_keys(product).items():
        assert "{" not in key and np.array_equal(par[name][0], numbers[key]), name
    assert {name: float(par[name][0]) for name in RUN_FIELDS} == run
    assert set(PARAMETERS.names or ()) == set(FIELDS) | set(RUN_FIELDS)


def test_no_key_feeds_two_fields() -> None:
    keys = [key for key, _ in FIELDS.values()]
    assert len(set(keys)) == len(keys)


def test_only_product_keys_differ_between_products() -> None:
    one, other = registry_keys("axi-cel"), registry_keys("ide-cel")
    differing = {name for name in FIELDS if one[name] != other[name]}
    assert differing == {name for name, (key, _) in FIELDS.items() if key.startswith("product.")}
    assert len(differing) == 12


def test_a_missing_number_is_named() -> None:
    numbers = {key: value for key, value in REGISTRY.numbers().items() if key != "steroid.a50_mg"}
    with pytest.raises(KeyError, match=r"steroid\.a50_mg"):
        fill_parameters(numbers, "axi-cel", RUN)
    with pytest.raises(KeyError, match="no-such-cel"):
        fill_parameters(REGISTRY.numbers(), "no-such-cel", RUN)
    with pytest.raises(KeyError, match="horizon_d"):
        fill_parameters(REGISTRY.numbers(), "axi-cel", {})


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("signs.oxygen_thresholds", [1.0, 2.0], "4 number.s. expected, 2 given"),
        ("signs.oxygen_thresholds", 1.0, "4 number.s. expected, 1 given"),
        ("steroid.a50_mg", [1.0, 2.0], "1 number.s. expected, 2 given"),
    ],
)
def test_a_list_of_another_length_is_refused(key: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=f"{key}: {said}"):
        fill_parameters(REGISTRY.numbers() | {key: value}, "axi-cel", RUN)
