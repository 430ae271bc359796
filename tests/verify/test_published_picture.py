"""Does the engine show the picture it was fitted to, and do policy effects point where pharmacology says (MODEL 7)?

The five figures are rows to which the model's starting values were fitted, so agreement means "encoded as fitted",
never validation. The other tests ask for order only: their sizes are priors of the model.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cartsim.study import run

pytestmark = pytest.mark.verify

SUBJECTS = 20_000
SEED = 20261122
POLICY = "zuma1_c1_2"
#: Yescarta US prescribing information 2017, ZUMA-1 cohorts 1 and 2, n = 108 (101 with CRS): the fitted rows.
CRS_ANY, CRS_GE3, ONSET_D, DURATION_D, NEURO_ANY = 101 / 108, 14 / 108, 2.0, 7.0, 94 / 108


def adsl(*arms: Mapping[str, Any], subjects: int = SUBJECTS, **changes: Any) -> dict[str, pd.DataFrame]:
    """{arm: subject table} for axi-cel on the Lee scale, 45 days."""
    study = run(
        {
            "schema": "cartsim/scenario/1",
            "id": "picture",
            "title": "Published picture",
            "study": {"horizon_days": 45},
            "product": "axi-cel",
            "population": {"subjects": subjects},
            "grading": {"crs": "lee2014"},
            "arms": list(arms),
            "run": {"seed": SEED},
            "outputs": {"tables": ["adsl"]},
        }
        | changes
    )
    return {str(arm): rows for arm, rows in study.table("adsl").groupby("arm_id", observed=True)}


def given(doses_mg: float, drug: str, hours: list[float]) -> dict[str, Any]:
    """An arm id and the fitted policy with `doses_mg` of a drug by the clock."""
    name = f"{drug}_{doses_mg:g}"
    dose = {"drug": drug, "mg": doses_mg, "at_h": hours}
    return {"id": name, "policy": {"extends": POLICY, "prophylaxis": {"by_clock": dose}}}


@pytest.fixture(scope="module")
def cohort() -> pd.DataFrame:
    """Axi-cel under the rules of ZUMA-1 cohorts 1 and 2."""
    return adsl({"id": "zuma1", "policy": POLICY})["zuma1"]


def test_crs_of_any_grade_within_3_points_of_the_label(cohort: pd.DataFrame) -> None:
    assert (cohort["crs_max_grade"] >= 1).mean() == pytest.approx(CRS_ANY, abs=0.03)


def test_crs_of_grade_3_or_more_within_4_points_of_the_label(cohort: pd.DataFrame) -> None:
    assert (cohort["crs_max_grade"] >= 3).mean() == pytest.approx(CRS_GE3, abs=0.04)


def test_median_onset_within_half_a_day_of_the_label(cohort: pd.DataFrame) -> None:
    assert cohort["t_crs_d"].median() == pytest.approx(ONSET_D, abs=0.5)


def test_median_duration_within_one_day_of_the_label(cohort: pd.DataFrame) -> None:
    """Published durations count the first and the last day."""
    assert cohort["crs_duration_d"].median() + 1 == pytest.approx(DURATION_D, abs=1.0)


def test_wide_neurologic_events_within_3_points_of_the_label(cohort: pd.DataFrame) -> None:
    assert (cohort["ne_max_grade"] >= 1).mean() == pytest.approx(NEURO_ANY, abs=0.03)


def test_neurotoxicity_follows_crs(cohort: pd.DataFrame) -> None:
    """At most 8 % of neurologic events come without CRS, and ICANS begins later in most who have both."""
    neuro, icans = cohort["ne_max_grade"] >= 1, cohort["icans_max_grade"] >= 1
    assert (cohort["crs_max_grade"][neuro] == 0).mean() <= 0.08
    assert (cohort["t_icans_d"] - cohort["t_crs_d"])[icans].median() > 2


def severe(table: pd.DataFrame, grade: int) -> float:
    return float((table["crs_max_grade"] >= grade).mean())


@pytest.mark.parametrize(
    ("drug", "doses_mg", "hours"),
    [
        ("dexamethasone", (5, 10, 20), [-1.0, 24.0, 48.0]),
        ("anakinra", (50, 100, 200), [12.0 * k for k in range(14)]),
    ],
)
def test_more_milligrams_by_the_clock_leave_less_crs(
    cohort: pd.DataFrame, drug: str, doses_mg: tuple[int, ...], hours: list[float]
) -> None:
    """Each doubling lowers CRS of any grade, of grade 2 or more and of grade 3 or more, and latent ICANS."""
    swept = adsl(*(given(mg, drug, hours) for mg in doses_mg))
    tables = [cohort, *(swept[f"{drug}_{mg}"] for mg in doses_mg)]
    for grade in (1, 2, 3):
        shares = [severe(table, grade) for table in tables]
        assert np.all(np.diff(shares) < 0), (grade, shares)
    latent = [float((table["icans_latent"] >= 3).mean()) for table in tables]
    assert np.all(np.diff(latent) < 0), latent


def test_earlier_prophylactic_tocilizumab_is_stronger(cohort: pd.DataFrame) -> None:
    """Hour -1, day 1, day 2, none: CRS never falls in this order beyond chance and rises from day 1 to day 2 and on;
    ICANS moves by less than 1 point."""
    modules = ("toci_d0", "toci_d1", "toci_d2")
    arms = adsl(*({"id": one, "policy": POLICY, "prophylaxis": [one]} for one in modules))
    tables = [*(arms[one] for one in modules), cohort]
    for grade in (1, 2, 3):
        shares = [severe(table, grade) for table in tables]
        assert shares[1] - shares[0] > -0.003, (grade, shares)
        assert np.all(np.diff(shares[1:]) > 0), (grade, shares)
    for table in tables[:-1]:
        change = (table["icans_max_grade"] >= 3).mean() - (cohort["icans_max_grade"] >= 3).mean()
        assert abs(change) < 0.01


def test_tocilizumab_touches_icans_only_through_the_switch_or_through_rules() -> None:
    """Without rules and deaths, ln gamma 0 leaves latent ICANS as it was in everyone; 0.4 raises some, lowers none."""
    alive = {"death.background_per_d": 0.0, "death.crs_per_d": 0.0, "death.icans_per_d": 0.0}
    arms = adsl(
        {"id": "none", "policy": "no_treatment"},
        {"id": "off", "policy": "no_treatment", "prophylaxis": ["toci_d0"]},
        {
            "id": "on",
            "policy": "no_treatment",
            "prophylaxis": ["toci_d0"],
            "model": {"tocilizumab.icans_shift": 0.4},
        },
        subjects=5_000,
        model={"overrides": alive},
    )
    before, off, on = (arms[arm].sort_values("subject") for arm in ("none", "off", "on"))
    for column in ("icans_latent", "ne_latent"):
        assert np.array_equal(before[column], off[column])
        rise = on[column].to_numpy() - before[column].to_numpy()
        assert (rise >= 0).all()
        assert (rise > 0).mean() > 0.02
    assert severe(off, 2) < severe(before, 2)
