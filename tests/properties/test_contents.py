"""What must hold inside and between the tables of any run, whatever the product, policy and luck."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartsim.analysis.incidence import aalen_johansen, tally_events
from cartsim.record import table as declared
from cartsim.scenario.load import load_scenario
from cartsim.study import Study, run

TABLES = ("adsl", "adae", "adcm", "adex", "adtte", "grade_intervals", "events")
SUBJECT = ["replicate", "arm_id", "subject"]
#: Hazards of death far above the registry's, so that death competes with everything.
DEADLY = {"death.background_per_d": 0.02, "death.crs_per_d": 0.5, "death.icans_per_d": 0.5}
POLICIES = ["asco_2021", "zuma1_c4", "severe_only", "tocilizumab_first", "axi_label_2017", "no_treatment"]


@pytest.fixture(scope="module")
def deadly(probe) -> Study:
    """Two replicates of a severe cohort in which many die, treated and untreated, every table."""
    return run(
        probe(
            400,
            product={"base": "axi-cel", "overrides": {"crs_mu": 1.8}},
            arms=[
                {"id": "treated", "policy": "asco_2021", "prophylaxis": ["toci_d1", "dex_d0_2"]},
                {"id": "untreated", "policy": "no_treatment"},
            ],
            grading={"crs": "lee2014"},
            model={"overrides": DEADLY},
            run={"seed": 11, "replicates": 2},
            outputs={"events": "all"},
        )
    )


def test_keys_are_unique_and_subjects_have_one_study_name(deadly: Study) -> None:
    adsl = deadly.table("adsl")
    assert len(adsl) == 2 * 2 * 400
    assert adsl["USUBJID"].is_unique
    assert adsl.groupby("replicate")["STUDYID"].nunique().eq(1).all()
    assert adsl["STUDYID"].nunique() == 2
    known = adsl.set_index(SUBJECT)[["STUDYID", "USUBJID"]].astype(str)
    for name in TABLES:
        table = deadly.table(name)
        assert len(table), name
        assert not table.duplicated(list(declared(name).keys)).any(), name
        theirs = table.set_index(SUBJECT)[["STUDYID", "USUBJID"]].astype(str)
        assert theirs.equals(known.loc[theirs.index]), name


@settings(max_examples=8)
@given(
    seed=st.integers(0, 2**32),
    policy=st.sampled_from(POLICIES),
    product=st.sampled_from(["axi-cel", "tisa-cel-all", "cilta-cel"]),
    scale=st.sampled_from(["astct2019", "lee2014", "penn", "ctcae5", "cartox2018"]),
    start=st.sampled_from(["inpatient", "outpatient"]),
    horizon=st.sampled_from([5, 17, 30]),
    mu=st.sampled_from([0.5, 1.5]),
    model=st.sampled_from([{}, DEADLY]),
)
def test_grades_cover_the_follow_up_and_agree_with_episodes(probe, **drawn: Any) -> None:
    """Intervals touch, never overlap, run from 0 to the end; their highest grade is that of adae and adsl."""
    study = run(
        probe(
            60,
            product={"base": drawn["product"], "overrides": {"crs_mu": drawn["mu"]}},
            arms=[{"id": "only", "policy": drawn["policy"]}],
            study={"horizon_days": drawn["horizon"]},
            monitoring={"start": drawn["start"]},
            grading={"crs": drawn["scale"]},
            model={"overrides": drawn["model"]},
            run={"seed": drawn["seed"]},
        )
    )
    adsl = study.table("adsl").set_index("subject")
    spans = study.table("grade_intervals")
    assert (spans["t_end_d"] > spans["t_start_d"]).all()
    by_syndrome = spans.groupby(["syndrome", "subject"], observed=True)
    assert (by_syndrome["t_start_d"].min() == 0.0).all()
    ends = by_syndrome["t_end_d"].max()
    assert len(ends) == 3 * len(adsl)
    assert (
        ends.to_numpy() == adsl["t_followup_d"].loc[ends.index.get_level_values("subject")].to_numpy()
    ).all()
    touching = spans["t_start_d"] == by_syndrome["t_end_d"].shift()
    assert (touching | (spans["t_start_d"] == 0.0)).all()

    episodes = study.table("adae")
    end = adsl["t_followup_d"].loc[episodes["subject"]].to_numpy()
    # what is first seen at the last moment of follow-up is an episode without length
    lasting = episodes[episodes["t_max_d"].to_numpy() < end]
    alive = adsl.index[adsl["DTHFL"].isna()]
    for syndrome, column in (("CRS", "crs_max_grade"), ("ICANS", "icans_max_grade"), ("NE", "ne_max_grade")):
        worst = by_syndrome["grade"].max().xs(syndrome, level="syndrome").loc[alive]
        episode = lasting[lasting["CQ01NAM"] == syndrome].groupby("subject")["ATOXGRN"].max()
        late = set(episodes.loc[episodes["t_max_d"].to_numpy() >= end, "subject"])
        plain = [subject for subject in alive if subject not in late]
        expected = episode.reindex(plain, fill_value=0).astype(int)
        assert worst.loc[plain].astype(int).tolist() == expected.tolist(), syndrome
        assert adsl.loc[plain, column].astype(int).tolist() == expected.tolist(), syndrome
    fatal = episodes[episodes["AESDTH"] == "Y"]
    assert (fatal["ATOXGRN"] == 5).all()
    assert (episodes.loc[episodes["ATOXGRN"] == 5, "AESDTH"] == "Y").all()


def test_death_stops_everything(deadly: Study) -> None:
    adsl = deadly.table("adsl")
    dead = adsl[adsl["DTHFL"] == "Y"]
    assert 0.2 < len(dead) / len(adsl) < 0.9
    assert (dead["t_death_d"] == dead["t_followup_d"]).all()
    assert set(dead["death_cause"]) == {"CRS", "ICANS", "OTHER"}
    assert adsl.loc[adsl["DTHFL"].isna(), ["t_death_d", "death_cause", "DTHADY"]].isna().all(axis=None)
    ends = adsl.set_index(SUBJECT)["t_followup_d"]
    for name, column in (
        ("adae", "t_start_d"),
        ("adcm", "t_start_d"),
        ("grade_intervals", "t_end_d"),
        ("events", "t_d"),
    ):
        table = deadly.table(name)
        assert (
            table[column].to_numpy() <= ends.loc[pd.MultiIndex.from_frame(table[SUBJECT])].to_numpy()
        ).all(), name


def test_event_and_censoring_say_the_same(deadly: Study) -> None:
    times = deadly.table("adtte")
    assert ((times["CNSR"] == 0) == (times["evtype"] == 1)).all()
    assert set(times["evtype"]) == {0, 1, 2}
    assert (times["AVAL"] >= 0).all()
    survival = times[times["PARAMCD"] == "OS"]
    adsl = deadly.table("adsl")
    assert ((survival["CNSR"] == 0).to_numpy() == (adsl["DTHFL"] == "Y").to_numpy()).all()
    assert (survival["AVAL"].to_numpy() == adsl["t_followup_d"].to_numpy()).all()


def test_incidences_and_survival_add_up_to_one(deadly: Study) -> None:
    """By parameter and arm, at every time; and the run's own incidence of CRS is the one that adtte gives."""
    times = deadly.table("adtte")
    for (code, arm), rows in times.groupby(["PARAMCD", "arm_id"], observed=True):
        counts = tally_events(rows["AVAL"].to_numpy(), rows["evtype"].to_numpy())
        curves, survival = aalen_johansen(*counts)
        total = sum(curve.value for curve in curves) + survival.value
        assert np.abs(total - 1).max() < 1e-12, (code, arm)
        assert (np.diff(survival.value) <= 0).all()
        if code == "TTCRS3":
            told = deadly.outcomes.query(
                f"endpoint == 'crs_ge3_incidence' and arm_id == '{arm}' and level == 14"
            )
            assert told["value"].item() == pytest.approx(curves[0].at(14.0)[0], abs=1e-12)


def test_every_dose_names_a_rule_of_its_arm(probe) -> None:
    """`rule_id` stands in the resolved scenario under that arm, and rules of every kind order doses."""
    names = [policy for policy in POLICIES if policy != "no_treatment"]
    plain = probe(
        300,
        product={"base": "axi-cel", "overrides": {"crs_mu": 1.6}},
        arms=[{"id": name, "policy": name, "prophylaxis": ["toci_d2"]} for name in names],
    )
    study = run(plain)
    doses = study.table("adcm")
    ordered = set()
    for arm in load_scenario(plain).resolved()["arms"]:
        own = doses[doses["arm_id"] == arm["id"]]
        prophylaxis = own["prophylactic"] == 1
        assert set(own.loc[~prophylaxis, "rule_id"]) <= set(arm["policy"]["rules"])
        assert set(own.loc[prophylaxis, "rule_id"]) <= set(arm["policy"]["prophylaxis"])
        assert own.loc[~prophylaxis, "trigger_grade"].ge(1).all()
        assert own["trigger_grade"].isna().equals(prophylaxis)
        ordered |= set(own["rule_id"])
    assert len(ordered) > 10
    assert (doses["t_order_d"] <= doses["t_start_d"]).all()
    own = doses[doses["CMDECOD"] == "TOCILIZUMAB"]
    assert own["CMDOSE"].le(800).all()
    between = own.groupby(["arm_id", "subject"], observed=True)["t_start_d"].diff().dropna()
    assert between.min() >= 8 / 24 - 1e-9
    assert own.groupby(["arm_id", "subject"], observed=True).size().max() == 4


def test_doses_in_adcm_are_those_of_adsl(deadly: Study) -> None:
    adsl = deadly.table("adsl").set_index(SUBJECT)
    doses = deadly.table("adcm")
    for drug, column in (("TOCILIZUMAB", "toci_doses"), ("ANAKINRA", "anakinra_doses")):
        counted = doses[doses["CMDECOD"] == drug].groupby(SUBJECT, observed=True).size()
        assert counted.reindex(adsl.index, fill_value=0).eq(adsl[column]).all(), drug
    steroid = doses[doses["CMDECOD"].isin(["DEXAMETHASONE", "METHYLPREDNISOLONE"])]
    counted = steroid.groupby(SUBJECT, observed=True).size()
    assert counted.reindex(adsl.index, fill_value=0).eq(adsl["steroid_doses"]).all()


def test_the_untreated_have_no_drug(deadly: Study) -> None:
    doses = deadly.table("adcm")
    assert len(doses)
    assert not (doses["arm_id"] == "untreated").any()
    untreated = deadly.table("adsl").query("arm_id == 'untreated'")
    given = [
        "toci_doses",
        "toci_mg",
        "steroid_doses",
        "steroid_mg_dex_eq",
        "steroid_days",
        "anakinra_doses",
        "anakinra_mg",
    ]
    assert (untreated[given] == 0).all(axis=None)
    assert untreated[["t_toci_d", "t_steroid_d"]].isna().all(axis=None)


DOSED = {
    "dexamethasone": {"drug": "dexamethasone", "mg": 10, "every_h": 6, "until": {"crs": "<=1"}},
    "methylprednisolone": {"drug": "methylprednisolone", "mg": 125, "every_h": 12, "max_doses": 6},
    "anakinra": {"drug": "anakinra", "mg": 100, "every_h": 6, "max_doses": 12},
    "tocilizumab": {"drug": "tocilizumab", "mg_per_kg": 4, "repeat_h": 8, "max_doses": 2},
}


@pytest.mark.parametrize("drug", DOSED)
def test_a_double_dose_does_something(probe, drug: str) -> None:
    """Not only to the milligrams: to grades or times of the subjects who got it, and to nobody else."""
    single = DOSED[drug]
    amount = "mg_per_kg" if "mg_per_kg" in single else "mg"
    arms = []
    for name, give in (("single", single), ("double", single | {amount: 2 * single[amount]})):
        rules = {"g2": {"when": {"crs": ">=2"}, "give": give}}
        arms.append({"id": name, "policy": {"id": name, "scale": "astct2019", "rules": rules}})
    study = run(probe(400, product={"base": "axi-cel", "overrides": {"crs_mu": 1.5}}, arms=arms))
    adsl = study.table("adsl")
    one, two = (adsl[adsl["arm_id"] == arm["id"]].reset_index(drop=True) for arm in arms)
    measured = ["crs_latent_astct2019", "crs_duration_d", "crs_days_ge2", "t_crs_end_d", "icans_latent"]
    moved = (one[measured].fillna(-1) != two[measured].fillna(-1)).any(axis=1)
    treated = one[["toci_doses", "steroid_doses", "anakinra_doses"]].sum(axis=1) > 0
    print(f"{drug}: {treated.sum()} treated, {moved.sum()} of them fare otherwise on the double dose")
    assert moved.any()
    assert not moved[~treated].any()


def test_policies_that_differ_differ(probe) -> None:
    """A change of grade in one rule moves the outcome it is about, in the direction of more drug."""
    arms = [{"id": name, "policy": name} for name in ("no_treatment", "severe_only", "tocilizumab_first")]
    adsl = run(probe(400, arms=arms)).table("adsl")
    mean = adsl.groupby("arm_id", observed=True)[["toci_doses", "crs_days_ge2"]].mean()
    assert mean.loc["no_treatment", "toci_doses"] == 0
    assert mean["toci_doses"].is_monotonic_increasing
    assert mean.loc["tocilizumab_first", "crs_days_ge2"] < mean.loc["no_treatment", "crs_days_ge2"]
