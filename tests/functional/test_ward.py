"""The ward: with nothing scarce it is the batch driver to the last bit; with things scarce nobody is lost, nobody
jumps the queue, and a course goes on while it waits."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from cartsim.cli import main
from cartsim.drivers.ward import Desk
from cartsim.study import Study, run

SUBJECT_TABLES = ("adsl", "adae", "adcm", "adex", "adtte", "grade_intervals", "events")
SUBJECTS = 90
#: Ill enough that half of them need intensive care and several doses.
SEVERE = {"base": "axi-cel", "overrides": {"crs_mu": 1.7}}
#: Signs of support after the fever, wide events after ICANS.
APART = {"disease.support_lag_d": 1.7, "disease.wide_decline_ratio": 0.45}
ARMS = [
    {"id": "reactive", "policy": "asco_2021"},
    {"id": "before", "policy": "zuma1_c4", "prophylaxis": ["toci_d0", "dex_d0_2"]},
    {"id": "day1", "policy": "severe_only", "prophylaxis": ["toci_d1"]},
    {"id": "untreated", "policy": "no_treatment"},
]
#: Once a day; in bunches, some at the same moment, at odd times; at random.
ARRIVALS = {
    "every": {"every_h": 24},
    "listed": {"at_h": sorted((np.arange(SUBJECTS) // 7 * 31.7 + np.arange(SUBJECTS) % 3 * np.pi).tolist())},
    "random": {"poisson_per_day": 1.7},
}
TOCI_ONLY = {
    "id": "toci_only",
    "scale": "astct2019",
    "rules": {"g1": {"when": {"crs": ">=1"}, "give": {"drug": "tocilizumab", "repeat_h": 8, "max_doses": 4}}},
}
CONSERVE = {
    "id": "conserve",
    "scale": "astct2019",
    "rules": TOCI_ONLY["rules"]
    | {
        "no_toci": {
            "when": {"crs": ">=1", "awaiting_toci_h": ">=6"},
            "give": {"drug": "dexamethasone", "mg": 10, "every_h": 12, "until": {"crs": 0}},
        }
    },
}


def site(
    beds: int | None = None, icu: int | None = None, doses: int | None = None, **more: Any
) -> dict[str, Any]:
    """A site block; null is unlimited."""
    return {"beds": beds, "icu_beds": icu, "tocilizumab_doses": doses, "arrivals": {"every_h": 8}} | more


@pytest.fixture(scope="module")
def ward(probe) -> Callable[..., Study]:
    """Runs the severe cohort at a site."""

    def at_site(place: dict[str, Any] | None, policy: Any = "asco_2021", **changes: Any) -> Study:
        changes = {"product": SEVERE, "arms": [{"id": "only", "policy": policy}]} | changes
        return run(probe(SUBJECTS, site=place, **changes))

    return at_site


@pytest.fixture(scope="module")
def scarce(ward) -> Study:
    """Three beds, one ICU bed, two doses and one more every four days, two arms."""
    arms = [{"id": "early", "policy": TOCI_ONLY}, {"id": "asco", "policy": "asco_2021"}]
    return ward(site(3, 1, 2, restock={"every_h": 96, "doses": 1}), arms=arms)


@pytest.mark.parametrize(("start", "numbers"), [("inpatient", {}), ("outpatient", {}), ("inpatient", APART)])
@pytest.mark.parametrize("arrivals", ARRIVALS)
def test_without_scarcity_it_is_the_batch_driver(
    probe, differing, arrivals: str, start: str, numbers: dict[str, float]
) -> None:
    """Every bit of every subject table, whenever subjects arrive, wherever they start, whatever is given before."""
    shape = {"monitoring": {"start": start}, "model": {"overrides": numbers}}
    scenario = probe(SUBJECTS, product=SEVERE, arms=ARMS, outputs={"events": "all"}, **shape)
    batch = run(scenario)
    at_site = run(scenario | {"site": site(arrivals=ARRIVALS[arrivals])})
    for name in SUBJECT_TABLES:
        assert batch.arrow(name).num_rows
        assert differing(by_key(batch, name), by_key(at_site, name)) == [], name
    assert batch.table("adsl")["icu"].sum() > 20
    waits = at_site.table("ward_waits")
    assert (waits["wait_h"] == 0).all()
    assert set(waits["outcome"]) == {"GRANTED"}


def by_key(study: Study, name: str) -> Any:
    """Rows in the order of arm, for comparison; within an arm as written."""
    table = study.arrow(name)
    arm = table["arm_id"].to_pandas().astype(str)
    return table.take(np.argsort(arm.to_numpy(), kind="stable"))


@settings(max_examples=10)
@given(
    beds=st.sampled_from([1, 2, 5, None]),
    icu=st.sampled_from([0, 1, 3, None]),
    doses=st.sampled_from([0, 1, 10, None]),
    every_h=st.sampled_from([0.5, 7.0, 30.0]),
    start=st.sampled_from(["inpatient", "outpatient"]),
    policy=st.sampled_from(["asco_2021", "zuma1_c4", "tocilizumab_first"]),
    seed=st.integers(0, 2**32),
)
def test_nobody_is_lost_and_nothing_is_made_of_nothing(probe, **drawn: Any) -> None:
    """Everyone is infused and followed; beds in use never exceed the beds, doses never the stock; all come back."""
    place = site(drawn["beds"], drawn["icu"], drawn["doses"], arrivals={"every_h": drawn["every_h"]})
    restock = {"every_h": 50.0, "doses": 2}
    if drawn["doses"]:
        place["restock"] = restock
    scenario = probe(
        40,
        product=SEVERE,
        arms=[{"id": "only", "policy": drawn["policy"], "prophylaxis": ["toci_d2"]}],
        monitoring={"start": drawn["start"]},
        run={"seed": drawn["seed"]},
    )
    check_conservation(run(scenario | {"site": place}), 40, place)


def check_conservation(study: Study, subjects: int, place: dict[str, Any]) -> None:
    adsl = study.table("adsl")
    waits, levels = study.table("ward_waits"), study.table("ward_occupancy")
    assert adsl["subject"].tolist() == list(range(subjects))
    assert adsl["t_followup_d"].gt(0).all()
    followed = adsl["t_followup_d"].eq(30.0) | (adsl["DTHFL"] == "Y")
    assert followed.all()
    assert set(waits["outcome"]) <= {"GRANTED", "CANCELLED"}
    assert (waits["t_granted_d"].notna() == (waits["outcome"] == "GRANTED")).all()
    assert waits["wait_h"].ge(0).all()
    for resource, limit in (("WARD_BED", place["beds"]), ("ICU_BED", place["icu_beds"])):
        held = levels[levels["resource"] == resource]
        if limit is not None:
            assert held["in_use"].le(limit).all(), resource
            # nobody waits beside an empty bed
            assert held.loc[held["waiting"] > 0, "in_use"].eq(limit).all(), resource
        if len(held):
            assert held[["in_use", "waiting"]].iloc[-1].tolist() == [0, 0], resource
    stock = levels[levels["resource"] == "TOCILIZUMAB"]
    granted = waits[(waits["resource"] == "TOCILIZUMAB") & (waits["outcome"] == "GRANTED")]
    infused = study.table("adcm").query("CMDECOD == 'TOCILIZUMAB'")
    assert len(infused) <= len(granted) == (stock["in_use"].iloc[-1] if len(stock) else 0)
    if place["tocilizumab_doses"] is not None:
        restock = place.get("restock", {"every_h": 1.0, "doses": 0})
        arrived = place["tocilizumab_doses"] + restock["doses"] * np.floor(
            stock["t_d"].to_numpy() * 24 / restock["every_h"] + 1e-9
        )
        assert (stock["in_use"].to_numpy() <= arrived).all()


@pytest.mark.parametrize("start", ["inpatient", "outpatient"])
def test_nothing_at_all(ward, start: str) -> None:
    """No ICU bed, no dose, one bed (none for outpatients): everyone has a course, and no drug that is not there."""
    beds = 1 if start == "inpatient" else 0
    study = ward(site(beds, 0, 0), policy=TOCI_ONLY, monitoring={"start": start})
    check_conservation(study, SUBJECTS, site(beds, 0, 0))
    assert study.table("adcm").empty
    adsl = study.table("adsl")
    assert adsl["icu"].sum() == 0 and adsl["icu_days"].sum() == 0
    if beds == 0:
        assert adsl["hospital_days"].sum() == 0
        assert adsl["t_admit_d"].isna().all()
    waits = study.table("ward_waits")
    assert (waits.loc[waits["resource"] != "WARD_BED", "outcome"] == "CANCELLED").all()


def test_without_a_dose_a_course_is_the_untreated_one(ward, differing, arm_names) -> None:
    """Asking never blocks: while a dose is awaited the course is assessed and goes on as if nobody had asked."""
    waiting = ward(site(doses=0), policy=TOCI_ONLY)
    untreated = ward(site(), policy="no_treatment")
    waits = waiting.table("ward_waits").query("resource == 'TOCILIZUMAB'")
    assert len(waits) > 60 and waits["wait_h"].max() > 72
    for name in ("adsl", "adae", "adtte", "grade_intervals"):
        # a subject with an open request is looked at where another is known to show nothing
        ignored = {*arm_names, "assessments"}
        assert differing(waiting.arrow(name), untreated.arrow(name), ignored) == [], name


def test_without_an_icu_nobody_is_seen_on_what_only_an_icu_has(ward) -> None:
    """No several pressors, no ventilator on the ward, and more deaths; what was there is the same in survivors."""
    model = {"overrides": {"death.crs_per_d": 0.5}}
    none = ward(site(icu=0), policy="no_treatment", model=model).table("adsl")
    many = ward(site(icu=None), policy="no_treatment", model=model).table("adsl")
    assert many["bp_support_max"].max() == 5 and many["oxygen_max"].max() == 4 and many["vent_days"].max() > 0
    assert none["bp_support_max"].max() < 5 and none["oxygen_max"].max() < 4 and none["vent_days"].max() == 0
    assert none["ward_days"].sum() > many["ward_days"].sum()
    dead_none, dead_many = none["DTHFL"] == "Y", many["DTHFL"] == "Y"
    assert dead_none.sum() > dead_many.sum()
    assert not (dead_many & ~dead_none).any()
    alive = ~dead_none
    assert none.loc[alive, "crs_latent_astct2019"].equals(many.loc[alive, "crs_latent_astct2019"])


def test_a_stock_out_delays_doses_and_a_conservation_rule_acts(ward) -> None:
    """First doses come no earlier than with plenty, some much later; a steroid stands in after six hours of waiting."""
    restock = {"every_h": 120, "doses": 24}  # too few for a while each time, yet queues do empty
    short, plenty = ward(site(doses=2, restock=restock), policy=CONSERVE), ward(site(), policy=CONSERVE)
    late = short.table("adsl")["t_toci_d"] - plenty.table("adsl")["t_toci_d"]
    assert late.dropna().ge(0).all() and late.max() > 1
    assert short.table("adsl")["t_toci_d"].isna().sum() > plenty.table("adsl")["t_toci_d"].isna().sum()

    assert not (plenty.table("adcm")["rule_id"] == "no_toci").any()
    stand_in = short.table("adcm").query("rule_id == 'no_toci'")
    assert len(stand_in) > 10
    waits = short.table("ward_waits").query("resource == 'TOCILIZUMAB'")
    asked = (waits["t_asked_d"] - waits["infused_d"]).groupby(waits["subject"]).min()
    first = stand_in.groupby("subject")["t_order_d"].min()
    assert (first - asked.loc[first.index]).ge(6 / 24 - 1e-9).all()

    dosed = short.table("adcm").query("CMDECOD == 'TOCILIZUMAB'")
    granted = waits.dropna(subset="t_granted_d")
    on_course = (granted["t_granted_d"] - granted["infused_d"]).groupby(granted["subject"]).min()
    begun = dosed.groupby("subject")["t_start_d"].min()
    assert (begun - on_course.loc[begun.index]).ge(-1e-9).all()

    out = short.table("ward_stockouts")
    assert len(out) > 1 and out["max_waiting"].max() > 1
    assert plenty.table("ward_stockouts").empty
    ends = out["t_end_d"].dropna() * 24
    restocked = np.isclose(ends % 120, 0, atol=1e-6) | np.isclose(ends % 120, 120, atol=1e-6)
    left = waits[waits["t_granted_d"].isna()].eval("t_asked_d * 24 + wait_h").to_numpy()
    given_up = np.isclose(ends.to_numpy()[:, None], left, atol=1e-6).any(axis=1)
    assert restocked.any() and (restocked | given_up).all()


def test_the_queue_is_first_come_first_served_and_the_sick_go_first(scarce: Study) -> None:
    """By arm: ICU beds and doses in the order of asking; ward beds so within the sick and within the planned."""
    waits = scarce.table("ward_waits")
    adsl = scarce.table("adsl")
    for arm in ("early", "asco"):
        own = waits[waits["arm_id"] == arm]
        planned = own[(own["resource"] == "WARD_BED") & (own["seq"] == 1)]
        assert planned["subject"].tolist() == adsl.loc[adsl["arm_id"] == arm, "subject"].tolist()
        sick = own.drop(planned.index)
        for name, queue in [("planned", planned), *sick.groupby("resource", observed=True)]:
            served = queue.dropna(subset="t_granted_d")
            assert len(served) > 3, (arm, name)
            # who asks at one moment may differ by the last bit of a clock: days since infusion are added to its time
            moments = served.groupby(served["t_asked_d"].round(9))["t_granted_d"]
            earliest, latest = moments.min().to_numpy(), moments.max().to_numpy()
            assert (earliest[1:] >= latest[:-1]).all(), (arm, name)
        back = sick[sick["resource"] == "WARD_BED"]
        assert len(back) > 3, arm
        for row in back.itertuples():
            until = row.t_asked_d + row.wait_h / 24 - 1e-9
            overtaken = planned["t_granted_d"].gt(row.t_asked_d) & planned["t_granted_d"].lt(until)
            assert not overtaken.any(), (arm, row.subject)


def test_ties_are_settled_by_subject(ward) -> None:
    """Sixty arrive at one moment: they are infused in the order of their numbers."""
    together = ward(site(2, arrivals={"at_h": [5.0] * SUBJECTS}))
    infused = together.table("ward_waits").query("resource == 'WARD_BED' and seq == 1").set_index("subject")
    assert infused["t_granted_d"].is_monotonic_increasing
    assert (infused["t_granted_d"] == 5 / 24).sum() == 2


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_a_desk_does_not_care_who_spoke_first_at_one_moment(order: list[int]) -> None:
    """Urgent before planned, then by subject, though processes ask in another order."""
    env = simpy.Environment()
    desk = Desk(env, "ward_bed", 1, returns=True)
    served = []

    def come(subject: int) -> Any:
        yield env.timeout(1.0)
        grant, _ = desk.ask(subject, urgency=0 if subject >= 2 else 1)
        yield grant
        served.append((subject, env.now))
        yield env.timeout(2.0)
        desk.give_back()

    for subject in order:
        env.process(come(subject))
    env.run()
    assert served == [(2, 1.0), (3, 3.0), (0, 5.0), (1, 7.0)]


def test_what_is_granted_and_withdrawn_at_one_moment_goes_back() -> None:
    """The unit is free for the next, the count of what was used is right, and the wait ends as withdrawn."""
    env = simpy.Environment()
    desk = Desk(env, "tocilizumab", 1, returns=False)

    def fickle() -> Any:
        grant, settled = desk.ask(0, 0)
        yield settled
        assert grant.triggered
        desk.cancel(grant)

    def next_one() -> Any:
        yield env.timeout(1.0)
        grant, _ = desk.ask(1, 0)
        yield grant

    env.process(fickle())
    env.process(next_one())
    env.run()
    first, second = desk.waits
    assert (np.isnan(first.granted_d), first.withdrawn_d) == (True, 0.0)
    assert second.granted_d == 1.0
    assert desk.levels[-1] == ("tocilizumab", 1.0, 1, 0)


def test_more_beds_never_mean_a_longer_wait(ward) -> None:
    """Same arrivals, one to nine beds: the mean wait for infusion never grows, and ends at none."""
    mean = []
    for beds in (1, 2, 3, 5, 9, None):
        waits = ward(site(beds, arrivals={"every_h": 40})).table("ward_waits")
        mean.append(waits.loc[(waits["resource"] == "WARD_BED") & (waits["seq"] == 1), "wait_h"].mean())
    assert all(more <= less for less, more in pairwise(mean))
    assert mean[0] > 1000 and mean[-1] == 0


def test_occupancy_is_the_sum_of_stays_and_queues_the_sum_of_waits(scarce: Study) -> None:
    """Little's law as an identity: areas under the levels are the ICU days of adsl and the waits of ward_waits."""
    levels, waits, adsl = (scarce.table(name) for name in ("ward_occupancy", "ward_waits", "adsl"))
    for (arm, resource), held in levels.groupby(["arm_id", "resource"], observed=True):
        length = -held["t_d"].diff(-1).fillna(0.0)
        asked = waits[(waits["arm_id"] == arm) & (waits["resource"] == resource)]
        assert (held["waiting"] * length).sum() == pytest.approx(asked["wait_h"].sum() / 24, rel=1e-9)
        own = adsl[adsl["arm_id"] == arm]
        stays = {"ICU_BED": own["icu_days"].sum(), "WARD_BED": own["ward_days"].sum()}
        if resource in stays:
            assert (held["in_use"] * length).sum() == pytest.approx(stays[resource], rel=1e-9), (
                arm,
                resource,
            )


def test_a_ward_run_is_the_same_twice(ward, differing) -> None:
    place = site(2, 1, 3, restock={"every_h": 60, "doses": 1}, arrivals={"poisson_per_day": 2.0})
    first, second = ward(place), ward(place)
    for name in (*SUBJECT_TABLES[:-1], "ward_waits", "ward_occupancy", "ward_stockouts", "outcomes"):
        assert differing(first.arrow(name), second.arrow(name)) == [], name


def test_the_answer_of_a_ward_is_printed_before_the_run_is_closed(
    probe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Waiting times are read from the blocks, when the manifest does not call the run complete yet."""
    file = tmp_path / "ward.json"
    file.write_text(json.dumps(probe(30, site=site(beds=3, icu=1, doses=4))) + "\n")
    command = ["run", str(file), "--out", str(tmp_path / "run"), "--quiet"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "Waiting at the site" in shown and "Bed for the infusion: requests" in shown
    assert main(command) == 0
    assert capsys.readouterr().out == shown


def test_later_arrivals_change_nothing_before_them(probe) -> None:
    """Subjects 41 to 80 arrive after the first 40: what those 40 waited and used until then stays."""
    place = site(3, 1, 5)
    few, more = (run(probe(n, product=SEVERE, site=place)) for n in (40, 80))
    for study in (few, more):
        assert study.table("ward_waits")["t_asked_d"].max() > 13
    before = [
        study.table("ward_waits").query("t_asked_d < 13 and subject < 40").reset_index(drop=True)
        for study in (few, more)
    ]
    granted = [waits["t_granted_d"].where(waits["t_granted_d"] < 13) for waits in before]
    pd.testing.assert_series_equal(*granted, check_exact=True)


def test_replicates_of_a_ward_are_other_cohorts_and_give_intervals(ward) -> None:
    study = ward(site(4, 1, 6), run={"seed": 9, "replicates": 3})
    adsl = study.table("adsl")
    assert adsl.groupby("replicate")["AGE"].mean().nunique() == 3
    outcome = study.outcomes.query("endpoint == 'hospital_days' and summary == 'mean'")
    assert outcome["replication_unit"].item() == "replicate"
    assert outcome["n_units"].item() == 3
    assert outcome["lower"].item() < outcome["value"].item() < outcome["upper"].item()
