"""What must not matter: workers, blocks, other subjects, other arms, their order, the event log, more replicates, a
longer horizon, another name for the same policy. Everything is compared bit for bit."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from cartsim.draws import study_key, uniforms
from cartsim.store import content_hash, read_manifest
from cartsim.study import Study, run
from cartsim.terms import Decision

SUBJECT_TABLES = ("adsl", "adae", "adcm", "adex", "adtte", "grade_intervals")
RUN = {"seed": 5}
TOCI_1 = {
    "id": "toci1",
    "policy": {"extends": "tocilizumab_first", "rules": {"g1_persist": {"when": {"for_h": 24}}}},
}
TOCI_3 = {"id": "toci3", "policy": {"extends": "tocilizumab_first", "rules": {"g1_persist": None}}}
PROPHYLAXIS = {"id": "proph", "policy": "zuma1_c4", "prophylaxis": ["toci_d1"]}
WEAKER = {"id": "weaker", "policy": "asco_2021", "model": {"tocilizumab.effect": 0.3}}
ARMS = [TOCI_1, TOCI_3, PROPHYLAXIS, WEAKER]


def data_files(folder: Path) -> dict[str, str]:
    """sha256 of every file of a run but the manifest, which tells when it was made."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def rows_of(study: Study, name: str, **where: Any) -> pa.Table:
    """Rows of a table in which columns hold given values."""
    table = study.arrow(name)
    for column, value in where.items():
        table = table.filter(pc.equal(table[column].cast(pa.string()), str(value)))
    return table


def test_workers_change_no_byte(probe, tmp_path: Path) -> None:
    """1, 2 and 7 threads write the same bytes: tables, figures, resolved scenario."""
    scenario = probe(12_500, arms=[TOCI_1, TOCI_3], outputs={"events": "sample"})
    files = {}
    for workers in (1, 2, 7):
        run(scenario, tmp_path / str(workers), workers=workers)
        files[workers] = data_files(tmp_path / str(workers))
    assert {name.split("/")[0] for name in files[1]} >= {*SUBJECT_TABLES, "events", "outcomes.parquet"}
    assert sum(name.endswith((".png", ".svg")) for name in files[1]) == 4
    assert files[1] == files[2] == files[7]


def test_block_size_changes_no_content(probe, tmp_path: Path) -> None:
    """Blocks of 4096 to 16384 subjects give the same content hash of every table, results included."""
    scenario = probe(20_000, arms=[TOCI_1, TOCI_3], outputs={"tables": ["adsl"]})
    hashes = []
    for block in (4096, 8192, 12_288, 16_384):
        folder = tmp_path / str(block)
        run(scenario, folder, block=block)
        hashes.append({table["name"]: table["content_hash"] for table in read_manifest(folder)["tables"]})
    assert set(hashes[0]) == {"adsl", "outcomes", "contrasts"}
    assert all(found == hashes[0] for found in hashes)


def test_blocks_of_sobol_points_fit_together(probe, differing) -> None:
    """The k-th point is the k-th subject's, wherever the cohort is cut."""
    scenario = probe(9_000, run={"seed": 3, "source": "sobol"}, outputs={"tables": ["adsl"]})
    small, large = (run(scenario, block=block) for block in (4096, 12_288))
    for arm in ("asco", "none"):
        assert differing(rows_of(small, "adsl", arm_id=arm), rows_of(large, "adsl", arm_id=arm)) == []


def test_content_hash_of_stored_tables_is_the_manifests(probe, tmp_path: Path) -> None:
    run(probe(300, outputs={"events": "all"}), tmp_path / "run")
    tables = read_manifest(tmp_path / "run")["tables"]
    assert len(tables) == 9
    for table in tables:
        assert content_hash(tmp_path / "run", table["name"]) == table["content_hash"], table["name"]


def test_results_again_from_the_stored_subjects(probe, differing, tmp_path: Path) -> None:
    """Two replicates of more than one block: analysis of adsl alone gives the very numbers of the run."""
    from cartsim.analysis.stored import summarise_run

    run(probe(5_000, arms=[TOCI_1, TOCI_3], run={"seed": 5, "replicates": 2}), tmp_path / "run")
    again = summarise_run(tmp_path / "run")
    key = study_key(5)
    tables = {
        "outcomes": again.outcomes(),
        "contrasts": again.contrasts(lambda n, k: uniforms(key, np.arange(n), Decision.BOOTSTRAP, k)),
    }
    from cartsim.store import read_table

    for name, table in tables.items():
        assert differing(table, read_table(tmp_path / "run", name)) == [], name


@settings(max_examples=6)
@given(
    seed=st.integers(0, 2**63 - 1),
    fewer=st.integers(1, 79),
    arms=st.permutations(ARMS),
    kept=st.integers(1, 4),
)
def test_subjects_and_arms_change_nobody(
    probe, differing, seed: int, fewer: int, arms: list, kept: int
) -> None:
    """The first subjects and each arm keep every row when subjects or arms come, go or change places."""
    whole = run(probe(80, arms=ARMS, run={"seed": seed}))
    part = run(probe(fewer, arms=arms[:kept], run={"seed": seed}))
    for arm in arms[:kept]:
        for name in SUBJECT_TABLES:
            before = rows_of(whole, name, arm_id=arm["id"])
            before = before.filter(pc.less(before["subject"], fewer))
            # TRT01PN numbers the arms of a scenario and is meant to change
            assert differing(before, rows_of(part, name, arm_id=arm["id"]), ["TRT01PN"]) == [], (
                name,
                arm["id"],
            )


@settings(max_examples=4)
@given(
    seed=st.integers(0, 2**32),
    policy=st.sampled_from(["asco_2021", "severe_only", "zuma1_c1_2", "autoimmune_conservative"]),
    product=st.sampled_from(["axi-cel", "tisa-cel-all", "ide-cel", "cd19-lupus"]),
)
def test_same_policy_under_another_name_differs_by_exactly_zero(
    probe, differing, arm_names, seed: int, policy: str, product: str
) -> None:
    """Every difference is 0 with an interval of width 0, and every row of every table the same."""
    arms = [
        {"id": "as_is", "policy": policy},
        {"id": "renamed", "label": "renamed", "policy": {"extends": policy}},
    ]
    study = run(probe(120, product=product, arms=arms, run={"seed": seed}))
    for name in SUBJECT_TABLES:
        pair = [rows_of(study, name, arm_id=arm["id"]) for arm in arms]
        assert differing(*pair, arm_names) == [], name
    contrasts = study.contrasts
    told = contrasts[contrasts["value"].notna()]
    assert (told[["value", "lower", "upper"]] == 0).all(axis=None)
    differences = contrasts[
        contrasts["summary"].isin(["risk difference", "mean difference", "difference of medians"])
    ]
    assert len(differences) > 100
    assert differences["value"].notna().all()


def test_event_log_changes_no_outcome(probe, differing, tmp_path: Path) -> None:
    """Off, a sample, everything: the same bytes of outcomes and contrasts, whose footers tell of the log apart."""
    results = {}
    for events in ("off", "sample", "all"):
        study = run(probe(600, outputs={"tables": ["adsl"], "events": events}), tmp_path / events)
        results[events] = study
    logged = {events: study.arrow("events").num_rows for events, study in results.items() if events != "off"}
    assert 0 < logged["sample"] < logged["all"]
    for name in ("outcomes", "contrasts", "adsl"):
        for events in ("sample", "all"):
            assert differing(results["off"].arrow(name), results[events].arrow(name)) == [], (name, events)
            assert content_hash(tmp_path / "off", name) == content_hash(tmp_path / events, name)


def test_more_replicates_keep_the_first(probe, differing) -> None:
    one = run(probe(80))
    three = run(probe(80, run={"seed": 20261122, "replicates": 3}))
    for name in SUBJECT_TABLES:
        assert differing(one.arrow(name), rows_of(three, name, replicate=0)) == [], name
    second = rows_of(three, "adsl", replicate=1)
    assert differing(one.arrow("adsl"), second, ["replicate", "STUDYID", "USUBJID"])


def test_longer_follow_up_keeps_the_past(probe, differing) -> None:
    """Doses, grades and first times before day 12 are the same whether one stops there or follows on to day 35."""
    short = run(probe(250, study={"horizon_days": 12}))
    long = run(probe(250, study={"horizon_days": 35}))

    doses = long.arrow("adcm").filter(pc.less(long.arrow("adcm")["t_start_d"], 12.0))
    given = short.arrow("adcm").filter(pc.less(short.arrow("adcm")["t_start_d"], 12.0))
    assert differing(doses, given) == []

    grades = long.arrow("grade_intervals")
    grades = grades.filter(pc.less(grades["t_start_d"], 12.0))
    cut = pc.min_element_wise(grades["t_end_d"], 12.0)
    grades = grades.set_column(grades.column_names.index("t_end_d"), grades.schema.field("t_end_d"), cut)
    assert differing(grades, short.arrow("grade_intervals")) == []

    before, after = short.table("adsl"), long.table("adsl")
    for column in ("t_crs_d", "t_crs_ge3_d", "t_icans_d", "t_toci_d", "t_steroid_d", "t_icu_d", "t_death_d"):
        early = after[column].where(after[column] < 12.0)
        assert early.equals(before[column].where(before[column] < 12.0)), column
        assert early.notna().any(), column


def test_sobol_points_have_no_interval_within_one_scramble(probe) -> None:
    """One scramble is one unit: values, no intervals. Several scrambles have them."""
    one = run(probe(128, run={"seed": 3, "source": "sobol"}))
    assert (one.outcomes["replication_unit"] == "scramble").all()
    for table in (one.outcomes, one.contrasts):
        assert table["value"].notna().any()
        assert table[["lower", "upper", "mcse"]].isna().all(axis=None)
    four = run(probe(128, run={"seed": 3, "source": "sobol", "replicates": 4}))
    fever = four.outcomes.query("arm_id == 'none' and estimand_id == 'crs_ge2.astct2019.observed.proportion'")
    assert fever["n_units"].item() == 4
    assert fever["lower"].item() < fever["value"].item() < fever["upper"].item()
