"""Claims of the literature beside the model: the list holds together, verdicts follow their rule, rows repeat."""

import dataclasses
import json
import math

import numpy as np
import pytest
from pydantic import ValidationError

from cartsim.claims.claim_list import Claim, Estimand, load_claims
from cartsim.claims.claim_variables import VARIABLES
from cartsim.claims.claims import ClaimRow, check_claims, over_sets, primary_count, verdict
from cartsim.claims.figures import Figure
from cartsim.claims.settings import setting, simulate


@pytest.fixture(scope="module")
def rows() -> dict[str, ClaimRow]:
    return {row.id: row for row in check_claims(subjects=400, draws=3, workers=2)}


def claim(**changes: object) -> Claim:
    block: dict[str, object] = {
        "id": "one",
        "statement": "It helps",
        "claimed": (0.4, 0.5),
        "status": "unsupported",
        "why": "none found",
        "source": "none",
        "mark": "recalled",
        "setting": "somewhere",
        "estimand": Estimand(statistic="risk_ratio", variable="crs_ge2", arm="a", reference="b"),
    }
    return Claim.model_validate(block | changes)


def test_every_claim_names_arms_that_its_scenario_has() -> None:
    claims, settings = load_claims()
    scenarios = {name: setting(name, 1, block.scenario) for name, block in settings.items()}
    for one in claims:
        if one.setting is not None and one.estimand is not None:
            assert one.estimand.variable in VARIABLES, one.id
            arms = {arm.id for arm in scenarios[one.setting].arms}
            assert {one.estimand.arm, one.estimand.reference or one.estimand.arm} <= arms, one.id
    assert {one.setting for one in claims} - {None} == settings.keys()


def test_the_claims_of_the_literature_are_all_there() -> None:
    claims, _ = load_claims()
    known = {one.id for one in claims}
    for start in (
        "prophylactic_tocilizumab_ge2",
        "prophylactic_tocilizumab_ge3",
        "tocilizumab_response",
        "tocilizumab_to_resolution",
        "severe_needing_steroids",
        "tocilizumab_icans",
        "early_steroids_icans",
        "anakinra_icans",
        "cell_dose",
        "autoimmune_ge3",
        "autoimmune_nnt",
    ):
        assert any(name.startswith(start) for name in known), start


@pytest.mark.parametrize(
    "changes",
    [
        {"setting": None},
        {"setting": None, "estimand": None},
        {"claimed": (0.5, 0.4)},
        {"events": 3},
        {"status": "true"},
    ],
)
def test_a_claim_that_does_not_hold_together_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        claim(**changes)


def test_a_contrast_needs_a_reference() -> None:
    with pytest.raises(ValidationError):
        Estimand(statistic="risk_ratio", variable="crs_ge2", arm="a")
    with pytest.raises(ValidationError):
        Estimand(statistic="share", variable="crs_ge2", arm="a", reference="b")


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (0.45, math.nan, math.nan, "agrees"),
        (0.6, 0.48, 0.9, "within parameter uncertainty"),
        (0.6, 0.55, 0.9, "differs"),
        (0.6, math.nan, math.nan, "differs"),
        (math.nan, math.nan, math.nan, "the model has no figure"),
    ],
)
def test_verdict(value: float, low: float, high: float, said: str) -> None:
    assert verdict(claim(), value, low, high) == said


def test_verdict_of_a_claim_without_size() -> None:
    assert verdict(claim(claimed=None), 0.3, 0.2, 0.4) == "no size claimed"


def test_an_open_end_is_no_bound() -> None:
    assert claim(claimed=(50.0, None)).bounds == (50.0, math.inf)


def test_over_sets_takes_quantiles_of_the_sets() -> None:
    figures = [Figure(float(k), k - 0.98, k + 0.98) for k in range(101)]
    middle, low, high, mcse = over_sets(figures)
    assert (middle, low, high) == (50.0, 2.0, 98.0)
    assert mcse == pytest.approx(0.5, rel=1e-3)


def test_over_sets_says_nothing_where_many_sets_are_silent() -> None:
    assert np.isnan(over_sets([Figure(1.0)] * 9 + [Figure(math.nan)])).all()


def test_over_sets_turns_differences_into_numbers_needed() -> None:
    differences = [Figure(-0.01 * k) for k in range(1, 101)]
    middle, low, high, _ = over_sets(differences, needed=True)
    assert (low, high) == (pytest.approx(1 / 0.98), pytest.approx(1 / 0.03))
    assert low < middle < high
    assert np.isnan(over_sets([*differences, *[Figure(0.01)] * 9], needed=True)).all()


def test_primary_count_has_the_exact_interval() -> None:
    assert primary_count(1, 47) == "1 of 47, 2.13 % (0.054 to 11.3)"
    assert primary_count(None, None) is None


def test_rows_are_plain_data(rows: dict[str, ClaimRow]) -> None:
    claims, _ = load_claims()
    assert list(rows) == [one.id for one in claims]
    for row in rows.values():
        json.dumps(row.as_dict(), allow_nan=False)


def test_a_size_is_shown_only_where_one_is_claimed(rows: dict[str, ClaimRow]) -> None:
    assert rows["anakinra_icans_any"].claimed_low is None
    assert rows["anakinra_icans_any"].verdict == "no size claimed"
    ge2 = rows["prophylactic_tocilizumab_ge2_day0"]
    assert (ge2.claimed_low, ge2.claimed_high, ge2.status) == (0.4, 0.5, "unsupported")
    assert ge2.value is not None and ge2.param_lower is not None and ge2.draws == 3


def test_what_is_not_modelled_has_no_figure(rows: dict[str, ClaimRow]) -> None:
    row = rows["early_steroids_outcome"]
    assert (row.value, row.verdict) == (None, "not in the model")


def test_workers_change_nothing(rows: dict[str, ClaimRow]) -> None:
    again = check_claims(subjects=400, draws=3, workers=1)
    assert [dataclasses.asdict(row) for row in again] == [row.as_dict() for row in rows.values()]


def test_doubled_dose_gives_no_milder_crs() -> None:
    """The reference dose halved in one arm is every dose doubled: no subject's latent CRS falls."""
    _, settings = load_claims()
    arms = simulate(setting("juliet_dose", 5, settings["juliet_dose"].scenario), 300, workers=1)
    assert (arms["doubled"].subjects["crs_peak"] > arms["given"].subjects["crs_peak"]).all()
    assert (arms["doubled"].cohort["cell_dose_1e6"] == arms["given"].cohort["cell_dose_1e6"]).all()
