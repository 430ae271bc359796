"""Harms as a run has them: off they leave no trace, on they stand in tables and results, whatever the blocks, and
whoever the driver is."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cartsim import record
from cartsim.analysis.harm_endpoints import harm_endpoints
from cartsim.errors import InvalidInput
from cartsim.record.harm_columns import HARM_COLUMNS, HARM_DRUGS, harm_columns
from cartsim.scenario.load import load_scenario
from cartsim.store import read_manifest
from cartsim.study import Study, run

NAMES = [column.name for column in HARM_COLUMNS]
ALL: dict[str, Any] = {"infection_per_tocilizumab_dose": True}
#: Sick enough for many doses; anakinra in one arm.
ARMS = [
    {"id": "asco", "policy": "asco_2021"},
    {"id": "more", "policy": "asco_2021", "prophylaxis": ["toci_d1", "anakinra_d2"]},
    {"id": "none", "policy": "no_treatment"},
]
ILL = {"base": "axi-cel", "overrides": {"crs_mu": 1.0}}


def hashes(folder: Path) -> dict[str, str]:
    return {table["name"]: table["content_hash"] for table in read_manifest(folder)["tables"]}


def files(folder: Path) -> dict[str, str]:
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found
    }


def arm(table: pa.Table, arm_id: str) -> pa.Table:
    return table.filter(pc.equal(table["arm_id"].cast(pa.string()), arm_id))


@pytest.fixture(scope="module")
def on(probe, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """All three drugs, every table."""
    return run(probe(1_500, arms=ARMS, product=ILL, harms=ALL), tmp_path_factory.mktemp("harms") / "on")


@pytest.fixture(scope="module")
def off(probe, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return run(probe(1_500, arms=ARMS, product=ILL), tmp_path_factory.mktemp("harms") / "off")


def test_off_leaves_no_trace(probe, off: Study, tmp_path: Path) -> None:
    """The block left out and the block null: the same bytes, and nothing in the columns."""
    run(probe(1_500, arms=ARMS, product=ILL, harms=None), tmp_path / "null")
    assert files(tmp_path / "null") == files(off.out.local)
    adsl, adae = off.arrow("adsl"), off.arrow("adae")
    assert [adsl[name].null_count for name in NAMES] == [adsl.num_rows] * len(NAMES)
    extra = [c.name for c in record.table("adae").columns if c.added]
    assert [adae[name].null_count for name in extra] == [adae.num_rows] * len(extra)
    assert set(adae["tox_std"].to_pylist()) == {"ASTCT 2019", "CTCAE 5.0"}
    assert not {e.id for e in harm_endpoints(HARM_DRUGS)} & set(off.arrow("outcomes")["endpoint"].to_pylist())


def test_harms_leave_everything_else_as_it_was(on: Study, off: Study, differing) -> None:
    """Courses, doses, syndromes and their results, bit for bit."""
    for name in ("adcm", "adex", "adtte", "grade_intervals"):
        assert hashes(on.out.local)[name] == hashes(off.out.local)[name], name
    assert differing(on.arrow("adsl"), off.arrow("adsl"), NAMES) == []
    adae = on.arrow("adae")
    syndromes = adae.filter(pc.is_null(adae["AEREL"]))
    assert differing(syndromes.combine_chunks(), off.arrow("adae")) == []
    for name in ("outcomes", "contrasts"):
        before, after = off.arrow(name), on.arrow(name)
        assert after.num_rows > before.num_rows
        usual = pc.is_in(after["endpoint"].cast(pa.string()), pa.array(NAMES))
        assert differing(after.filter(pc.invert(usual)), before) == [], name


def test_rows_follow_their_doses_and_their_subject(on: Study) -> None:
    """adae: joined with adcm by rel_cmseq, the same drug, not before the dose; AESEQ goes on; flags of adsl agree."""
    adae, adcm, adsl = (on.arrow(name).to_pandas() for name in ("adae", "adcm", "adsl"))
    keys = ["arm_id", "subject"]
    harms = adae[adae["AEREL"].notna()]
    related = harms[harms["AEREL"] == "RELATED"]
    joined = related.merge(
        adcm, left_on=[*keys, "rel_cmseq"], right_on=[*keys, "CMSEQ"], suffixes=("", "_dose")
    )
    assert len(joined) == len(related) > 500
    assert (joined["rel_drug"].astype(str) == joined["CMDECOD"].astype(str)).all()
    assert (joined["t_start_d"] >= joined["t_start_d_dose"]).all()
    assert set(harms.loc[harms["AEREL"] == "NOT RELATED", "AEDECOD"]) == {"Infection"}
    for _, rows in adae.groupby(keys, observed=True):
        assert rows["AESEQ"].tolist() == list(range(1, len(rows) + 1))
    flags = adsl.set_index(keys)

    def holders(rows: Any) -> set[Any]:
        return set(map(tuple, rows[keys].astype({"arm_id": str}).to_numpy().tolist()))

    def flagged(name: str) -> set[Any]:
        found = flags.index[flags[name] > 0]
        return {(str(arm_id), int(subject)) for arm_id, subject in found}

    grade = harms["ATOXGRN"]
    assert flagged("infection") == holders(harms[harms["AEDECOD"] == "Infection"])
    assert flagged("severe_infection") == holders(harms[(harms["AEDECOD"] == "Infection") & (grade >= 3)])
    assert flagged("drug_infection") == holders(related[related["AEDECOD"] == "Infection"])
    assert flagged("mistaken_icans") == holders(harms[harms["mistaken_icans"] == "Y"])
    assert flagged("psychiatric") == holders(harms[harms["AEDECOD"] == "Psychiatric symptom"])
    assert flagged("drug_reactions") == holders(related)
    assert flagged("drug_reaction_ge3") == holders(related[grade[related.index] >= 3])
    kinds = related.groupby(keys, observed=True)["AEDECOD"].nunique()
    assert kinds[kinds > 0].tolist() == flags.loc[kinds[kinds > 0].index, "drug_reactions"].tolist()


def test_without_drugs_nothing_is_related(on: Study) -> None:
    adsl, adae = arm(on.arrow("adsl"), "none"), arm(on.arrow("adae"), "none")
    background = ("infection", "severe_infection")
    assert {name: pc.sum(adsl[name]).as_py() for name in NAMES if name not in background} == {
        name: 0 for name in NAMES if name not in background
    }
    assert 0 < pc.sum(adsl["severe_infection"]).as_py() < pc.sum(adsl["infection"]).as_py()
    assert set(adae["AEREL"].to_pylist()) == {None, "NOT RELATED"}


def test_results_hold_them_with_numbers_needed_to_harm(on: Study) -> None:
    """A share an arm, assumed; a paired difference; NNH where more drugs were given."""
    outcomes, contrasts = on.arrow("outcomes").to_pylist(), on.arrow("contrasts").to_pylist()
    adsl = on.arrow("adsl")
    for name in NAMES:
        rows = {
            row["arm_id"]: row
            for row in outcomes
            if row["endpoint"] == name and row["summary"] == "proportion"
        }
        assert set(rows) == {"asco", "more", "none"}
        for arm_id, row in rows.items():
            share = sum(value > 0 for value in arm(adsl, arm_id)[name].to_pylist()) / 1_500
            assert row["value"] == pytest.approx(share, abs=1e-12)
            assert row["evidence_status"] in ("assumed", "override")
    more = next(
        row for row in contrasts
        if row["endpoint"] == "injection_site" and row["arm_id"] == "more" and row["summary"] == "risk difference"
    )  # fmt: skip
    assert (
        more["value"] > 0.1 and more["nnt_kind"] == "NNH" and more["nnt"] == pytest.approx(1 / more["value"])
    )


def test_results_again_from_the_stored_subjects(on: Study, differing) -> None:
    from cartsim.analysis.stored import summarise_run

    assert differing(summarise_run(on.out.local).outcomes(), on.arrow("outcomes").combine_chunks()) == []


def test_printed_tables_show_the_few_main_ones(on: Study, off: Study, probe, capsys) -> None:
    from cartsim.commands.console import print_answer

    for study, shown, block in ((on, True, ALL), (off, False, None)):
        print_answer(study, load_scenario(probe(1_500, arms=ARMS, product=ILL, harms=block)))
        text = capsys.readouterr().out
        assert ("Infection grade ≥ 3 (assumed)" in text) == ("Mistaken for ICANS" in text) == shown
        assert ("NNH" in text) or not shown


def test_workers_and_blocks_change_nothing(probe, tmp_path: Path) -> None:
    """1 and 4 workers the same bytes, blocks of other sizes the same content."""
    scenario = probe(9_000, arms=ARMS[:2], harms=ALL, outputs={"tables": ["adsl", "adae"]})
    for workers in (1, 4):
        run(scenario, tmp_path / str(workers), workers=workers)
    assert files(tmp_path / "1") == files(tmp_path / "4")
    for block in (4096, 8192):
        run(scenario, tmp_path / f"b{block}", block=block)
        assert hashes(tmp_path / f"b{block}") == hashes(tmp_path / "1")


def test_results_need_no_table(probe, differing, on: Study) -> None:
    """No adcm and no adsl: the doses are followed all the same."""
    bare = run(probe(1_500, arms=ARMS, product=ILL, harms=ALL, outputs={"tables": []}))
    assert differing(bare.arrow("outcomes").combine_chunks(), on.arrow("outcomes").combine_chunks()) == []


def test_a_ward_with_room_for_all_has_the_harms_of_a_batch(probe, differing) -> None:
    site = {"arrivals": {"every_h": 2}}
    batch, ward = (
        run(probe(120, arms=ARMS, product=ILL, harms=ALL, **given)) for given in ({}, {"site": site})
    )
    for name in ("adsl", "adae"):
        assert differing(batch.arrow(name).combine_chunks(), ward.arrow(name).combine_chunks()) == [], name


def test_some_drugs_fill_some_columns(probe) -> None:
    study = run(probe(200, arms=ARMS[:2], product=ILL, harms={"drugs": ["steroid"]}))
    adsl = study.arrow("adsl")
    filled = {name for name in NAMES if adsl[name].null_count == 0}
    assert filled == set(harm_columns(["steroid"])) and "hyperglycaemia" in filled
    assert all(adsl[name].null_count == 200 * 2 for name in set(NAMES) - filled)
    reported = set(study.arrow("outcomes")["endpoint"].to_pylist()) & set(NAMES)
    assert reported == filled


def test_a_sweep_over_a_number_of_harms(probe, differing) -> None:
    """Its points have the harms that they would have alone, and only their own number moves."""
    key = "model.overrides.harms.tocilizumab.infusion_reaction_per_dose"
    scenario = probe(400, arms=ARMS[:2], product=ILL, harms=ALL)
    swept = run(scenario | {"sweep": {"method": "grid", "axes": {key: [0.0, 0.5]}}})
    alone = run(scenario | {"model": {"overrides": {"harms.tocilizumab.infusion_reaction_per_dose": 0.5}}})
    adsl = swept.arrow("adsl")
    point = adsl.filter(pc.equal(adsl["design_id"], 1)).combine_chunks()
    ignored = ("design_id", "STUDYID", "USUBJID")
    assert differing(point, alone.arrow("adsl").combine_chunks(), ignored) == []
    shares = {
        row["design_id"]: row["value"]
        for row in swept.arrow("outcomes").to_pylist()
        if row["endpoint"] == "toci_reaction" and row["summary"] == "proportion" and row["arm_id"] == "more"
    }
    assert shares[0] < 0.05 and shares[1] > 0.4


def test_a_sweep_may_switch_them_on(probe) -> None:
    axis = {"values": [None, {"drugs": ["tocilizumab"]}]}
    study = run(probe(150, product=ILL, sweep={"method": "grid", "axes": {"harms": axis}}))
    rows = [row for row in study.arrow("outcomes").to_pylist() if row["endpoint"] == "infection"]
    assert {row["design_id"] for row in rows} == {1}
    adsl = study.arrow("adsl").to_pandas().groupby("design_id")
    assert adsl["infection"].count().tolist() == [0, 300]
    assert adsl["hyperglycaemia"].count().tolist() == [0, 0]


def test_each_dose_more_adds_to_the_arm(probe) -> None:
    """Prophylaxis that changes nothing in the course (nobody is ill) only adds reactions, subject by subject."""
    well = {"base": "axi-cel", "overrides": {"crs_mu": -9.0, "icans_mu": -9.0}}
    plain = {"behaviour.other_fever_share": 0.0, "death.background_per_d": 0.0}
    often = {
        "harms.tocilizumab.infusion_reaction_per_dose": 0.5,
        "harms.anakinra.injection_site_per_dose": 0.05,
    }
    study = run(probe(1_000, arms=ARMS[:2], product=well, harms=ALL, model={"overrides": plain | often}))
    asco, more = (arm(study.arrow("adsl"), name).to_pandas() for name in ("asco", "more"))
    for name in NAMES:
        assert (more[name] >= asco[name]).all(), name
    assert more["drug_reactions"].sum() > 300 and asco["drug_reactions"].sum() == 0


@pytest.mark.parametrize(
    ("harms", "path", "said", "mend"),
    [
        ({"drugs": ["tocilizumb"]}, "harms.drugs.0", "tocilizumb", "tocilizumab"),
        ({"drugs": ["steroids", "anakinra"]}, "harms.drugs.0", "steroids", "steroid"),
        ({"drugs": []}, "harms.drugs", "at least 1", None),
        ({"drugs": ["steroid", "steroid"]}, "harms.drugs.1", "repeated", None),
        ({"drug": ["steroid"]}, "harms.drug", "unknown key", "drugs"),
        (
            {"infection_per_tocilizumab_dose": 1},
            "harms.infection_per_tocilizumab_dose",
            "true or false",
            None,
        ),
        (
            {"drugs": ["steroid"], "infection_per_tocilizumab_dose": True},
            "harms.infection_per_tocilizumab_dose",
            "leaves tocilizumab out",
            "add tocilizumab",
        ),
    ],
)
def test_mistakes_are_told_with_their_place(
    probe, harms: Any, path: str, said: str, mend: str | None
) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_scenario(probe(harms=harms))
    problems = [p for p in refused.value.problems if p.path == path]
    assert len(problems) == 1, refused.value.problems
    assert said in problems[0].what
    assert mend is None or mend in (problems[0].mend or "")


def test_endpoints_are_chosen_by_name_and_refused_without_the_block(probe) -> None:
    chosen = {"endpoints": ["crs_ge3", "infection"], "tables": []}
    study = run(probe(60, harms=ALL, outputs=chosen))
    assert set(study.arrow("outcomes")["endpoint"].to_pylist()) == {"crs_ge3", "infection"}
    with pytest.raises(InvalidInput, match="harms"):
        run(probe(60, outputs=chosen))
    with pytest.raises(InvalidInput) as refused:
        run(probe(60, harms=ALL, outputs={"endpoints": ["infectoin"]}))
    assert refused.value.mend == "infection"


def test_a_resolved_scenario_is_the_same_again(probe) -> None:
    scenario = load_scenario(probe(harms={"drugs": ["anakinra"]}))
    again = load_scenario(scenario.resolved())
    assert again.harms == scenario.harms and again.hash() == scenario.hash()
    assert scenario.hash() != load_scenario(probe()).hash()
