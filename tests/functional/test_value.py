"""Costs, subgroups and days by grade as a user meets them: shipped scenarios, a folder that grows, a ward, the command
line; and runs that ask for none of it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cartsim
from cartsim.store import content_hash, read_manifest, read_table, verify
from cartsim.store.compact import compact
from cartsim.study import run

Probe = Callable[..., dict[str, Any]]
VALUE = ("resource_use", "ce", "ce_ratio", "occupancy")
ASKED: dict[str, Any] = {
    "subgroups": {"old": {"age_years": ">=65"}},
    "costs": {"currency": "EUR", "year": 2026, "tocilizumab_vial_mg": {"80": 1, "400": 4}, "ward_day": 600},
    "utilities": {"crs": {"3": 0.23, "4": 0.23}},
    "outputs": {"tables": ["occupancy"], "endpoints": ["crs_ge3", "toci_response", "days_alive_out"]},
    "reference": "none",
}


def command(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "cartsim", *arguments],
        capture_output=True, text=True, cwd=folder, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["lupus_value", "four_scales", "assessment_interval"])
def test_shipped_scenarios_answer_their_question(repository: Path, tmp_path: Path, name: str) -> None:
    text = command(
        "run",
        f"scenarios/{name}.yaml",
        "--subjects",
        "300",
        "--out",
        str(tmp_path / "run"),
        folder=repository,
    )
    verify(tmp_path / "run")
    wanted = {
        "lupus_value": ("Cost per subject", "EUR 2026", "CRS of grade ≥ 2", "by subgroup", "note: utilities"),
        "four_scales": ("The same signs on every scale", "Penn", "occupancy.parquet"),
        "assessment_interval": ("hours between assessments", "24"),
    }
    for words in wanted[name]:
        assert words in text, words


def test_a_folder_grows_to_what_one_run_gives(probe: Probe, tmp_path: Path) -> None:
    """Interrupted by nothing but its end: 150 subjects, then 300; against 300 at once, in other blocks; compacted."""
    run(probe(150, **ASKED), tmp_path / "grown", block=100)
    run(probe(300, **ASKED), tmp_path / "grown", extend=True)
    run(probe(300, **ASKED), tmp_path / "once")
    for where in ("grown", "once"):
        verify(tmp_path / where)
        tables = {table["name"] for table in read_manifest(tmp_path / where)["tables"]}
        assert tables == {"outcomes", "contrasts", *VALUE}
    for name in ("outcomes", "contrasts", *VALUE):
        assert content_hash(tmp_path / "grown", name) == content_hash(tmp_path / "once", name), name
    before = read_table(tmp_path / "grown", "subgroup_tallies").num_rows
    compact(tmp_path / "grown")
    verify(tmp_path / "grown")
    assert read_table(tmp_path / "grown", "subgroup_tallies").num_rows <= before
    assert content_hash(tmp_path / "grown", "ce_ratio") == content_hash(tmp_path / "once", "ce_ratio")


def test_memory_and_folder_agree(probe: Probe, tmp_path: Path, differing: Callable[..., list[str]]) -> None:
    here, there = run(probe(120, **ASKED)), run(probe(120, **ASKED), tmp_path / "run")
    for name in ("outcomes", "contrasts", *VALUE):
        assert not differing(here.arrow(name), there.arrow(name)), name
    again = run(probe(120, **ASKED), tmp_path / "run")
    assert cartsim.ce_frame(again).equals(cartsim.ce_frame(here))


def test_replicates_of_a_ward_are_the_units(probe: Probe) -> None:
    """With a site, intervals of cost and ratio rest on replicates, and the frame has a row for each."""
    study = run(
        probe(
            30,
            **ASKED,
            site={"beds": 10, "arrivals": {"every_h": 24}},
            run={"seed": 3, "replicates": 5},
        )
    )
    frame = cartsim.ce_frame(study)
    assert frame.replicate.tolist() == [0, 1, 2, 3, 4]
    ratio = study.table("ce_ratio").iloc[0]
    assert ratio.n_units == 5
    change = (frame.cost_asco - frame.cost_none).to_numpy()
    assert ratio.cost_difference == pytest.approx(change.mean())
    row = study.contrasts.query("endpoint == 'cost' and population == 'all infused subjects'").iloc[0]
    assert row.n_units == 5 and row.value == pytest.approx(change.mean())
    assert row.sd_subject > 0 and np.isfinite(row.lower)


def test_targets_and_figures_look_at_everybody(probe: Probe, tmp_path: Path) -> None:
    """A run stopped at a precision is stopped on everybody's, and the figures draw everybody."""
    asked = ASKED | {"outputs": {"tables": [], "endpoints": ["crs_ge3"]}}
    study = run(
        probe(400, **asked),
        tmp_path / "run",
        until=["outcome.crs_ge3.none.halfwidth <= 0.06"],
        floor=100,
        ceiling=400,
    )
    assert study.manifest["until"]["subjects"] >= 100
    rows = study.outcomes.query("endpoint == 'crs_ge3' and arm_id == 'none' and summary == 'proportion'")
    main = rows[(rows.population == "all infused subjects") & (rows.scale == "astct2019")]
    seen = main[main["view"] == "observed"].iloc[0]
    assert (seen.upper - seen.lower) / 2 <= 0.06


def test_runs_that_ask_for_none_of_it_have_none_of_it(probe: Probe, tmp_path: Path) -> None:
    run(probe(40), tmp_path / "run")
    manifest = read_manifest(tmp_path / "run")
    names = {t["name"] for t in (*manifest["tables"], *manifest["internal_tables"])}
    assert names.isdisjoint({*VALUE, "subgroup_tallies", "occupancy_counts"})
    assert "subgroups" not in (tmp_path / "run" / "scenario.resolved.yaml").read_text("utf-8")
