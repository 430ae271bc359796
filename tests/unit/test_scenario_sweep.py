"""The `sweep:` block: what it may say, and how it is refused with the place and the word that was meant."""

import copy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from cartsim.errors import InvalidInput
from cartsim.scenario.dump import dump_yaml
from cartsim.scenario.load import load_scenario
from cartsim.scenario.schema import scenario_schema

TEXT = """\
schema: cartsim/scenario/1
id: probe
title: Probe
product: axi-cel
arms:
  - id: standard
    policy: tocilizumab_first
  - id: early
    policy: {extends: tocilizumab_first, rules: {g1_persist: {when: {for_h: 24}}}}
run: {seed: 7}
"""

EFFECT = "model.overrides.tocilizumab.effect"
FOR_H = "arms.early.policy.rules.g1_persist.when.for_h"


def load(sweep: str) -> Any:
    return load_scenario(TEXT + "sweep:\n" + sweep)


def refused(sweep: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        load(sweep)
    return str(caught.value)


def test_bare_forms_of_an_axis_are_spelled_out() -> None:
    sweep = load(
        f"""\
  method: one_at_a_time
  axes:
    {EFFECT}: evidence
    {FOR_H}: [0, 12]
    model.overrides.tocilizumab.kd_mg_per_l: {{low: 0.2, high: 2, scale: log, label: KD}}
    monitoring.start: outpatient
"""
    ).sweep
    assert sweep is not None
    axes = sweep.axes
    assert axes[EFFECT].evidence and axes[FOR_H].values == [0, 12]
    assert axes["monitoring.start"].values == ["outpatient"]
    assert axes["model.overrides.tocilizumab.kd_mg_per_l"].label == "KD"
    assert (sweep.limit, sweep.seed, sweep.points) == (10_000, None, None)


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("{low: 0, high: 48, steps: 5}", [0.0, 12.0, 24.0, 36.0, 48.0]),
        ("{low: 1, high: 4, scale: whole}", [1, 2, 3, 4]),
        ("{low: 1, high: 10, scale: whole, steps: 4}", [1, 4, 7, 10]),
        ("[3, 1, 2]", [3, 1, 2]),
    ],
)
def test_an_axis_in_order(axis: str, values: list[Any]) -> None:
    sweep = load(f"  method: grid\n  axes: {{{FOR_H}: {axis}}}\n").sweep
    assert sweep is not None
    found = sweep.axes[FOR_H].in_order()
    assert found == values and [type(one) for one in found] == [type(one) for one in values]


def test_a_log_axis_has_even_ratios() -> None:
    sweep = load(
        f"  method: grid\n  axes: {{{EFFECT}: {{low: 0.1, high: 10, scale: log, steps: 3}}}}\n"
    ).sweep
    assert sweep is not None
    assert sweep.axes[EFFECT].in_order() == pytest.approx([0.1, 1.0, 10.0])


@pytest.mark.parametrize(
    ("sweep", "told"),
    [
        ("  method: grit\n  axes: {population.age_years: [1]}\n", ["sweep.method", "try: method: grid"]),
        ("  axes: {population.age_years: [1]}\n", ["`method` is missing"]),
        ("  method: grid\n", ["sweep.axes", "grid needs axes"]),
        ("  method: grid\n  axes: {}\n", ["grid needs axes"]),
        (f"  method: grid\n  axes: {{{EFFECT}: []}}\n", [f"sweep.axes.{EFFECT}", "at least 1 is needed"]),
        (f"  method: grid\n  axes: {{{EFFECT}: {{lo: 1}}}}\n", ["unknown key `lo`", "try: low"]),
        (f"  method: grid\n  axes: {{{EFFECT}: {{label: x}}}}\n", ["none of them; an axis is one of"]),
        (f"  method: grid\n  axes: {{{EFFECT}: {{low: 1}}}}\n", ["a range has two ends"]),
        (
            f"  method: grid\n  axes: {{{EFFECT}: {{low: 2, high: 1, steps: 2}}}}\n",
            ["low must be below high"],
        ),
        (
            f"  method: lhs\n  points: 3\n  axes: {{{EFFECT}: {{low: 0, high: 1, scale: log}}}}\n",
            ["begins above 0"],
        ),
        (f"  method: grid\n  axes: {{{EFFECT}: {{low: 0.5, high: 1, scale: whole}}}}\n", ["whole ends"]),
        (f"  method: grid\n  axes: {{{EFFECT}: {{low: 0.5, high: 1}}}}\n", ["no steps", "try: steps: 5"]),
        (f"  method: grid\n  axes: {{{EFFECT}: evidence}}\n", ["a grid takes single values"]),
        (f"  method: grid\n  axes: {{{EFFECT}: [1, 2, 1.0]}}\n", ["the value 1.0 is repeated"]),
        (f"  method: grid\n  points: 5\n  axes: {{{EFFECT}: [1]}}\n", ["`points` means nothing to grid"]),
        (
            f"  method: grid\n  groups: {{a: [x]}}\n  axes: {{{EFFECT}: [1]}}\n",
            ["`groups` means nothing to grid"],
        ),
        (
            f"  method: lhs\n  axes: {{{EFFECT}: evidence}}\n",
            ["sweep.points", "lhs needs the number of points"],
        ),
        ("  method: list\n", ["neither rows nor file is given"]),
        (
            f"  method: list\n  rows: [{{{EFFECT}: 1}}, {{{EFFECT}: 1.0}}]\n",
            ["line 13", "same settings as row 0"],
        ),
        (
            f"  method: list\n  rows: [{{{EFFECT}: 1}}]\n  axes: {{{EFFECT}: [1]}}\n",
            ["`axes` means nothing to list"],
        ),
        (
            f"  method: zip\n  axes:\n    {EFFECT}: [1, 2]\n    {FOR_H}: [1, 2, 3]\n",
            ["equally long", f"{EFFECT}: 2, {FOR_H}: 3", "method: grid"],
        ),
        (
            f"  method: saltelli\n  points: 4\n  axes: {{{EFFECT}: evidence}}\n",
            ["compares inputs, and this is one"],
        ),
        (
            f"  method: morris\n  points: 4\n  groups: {{drug: [{EFFECT}, {FOR_H}x]}}\n"
            f"  axes: {{{EFFECT}: evidence, {FOR_H}: [1, 2]}}\n",
            ["sweep.groups.drug.1", f"try: {FOR_H}"],
        ),
        (
            "  method: lhs\n  points: 3\n  axes: {population.age_years: evidence}\n",
            ["no number of the evidence"],
        ),
        (
            "  method: lhs\n  points: 3\n  axes: {model.overrides.tocilizumab.cap_mg: evidence}\n",
            ["has no range for `tocilizumab.cap_mg`"],
        ),
    ],
)
def test_a_block_that_makes_no_sense_is_refused(sweep: str, told: list[str]) -> None:
    message = refused(sweep)
    for word in ["line 1", *told]:
        assert word in message, message


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("modle.overrides.tocilizumab.effect", ["unknown key `modle`", "try: model"]),
        (
            "model.overrides.tocilizumab.efect",
            ["unknown registry key", "try: model.overrides.tocilizumab.effect"],
        ),
        ("product.overrides.crs_muu", ["unknown registry key `crs_muu`", "try: product.overrides.crs_mu"]),
        ("arms.early.model.tocilizumab.efect", ["try: arms.early.model.tocilizumab.effect"]),
        ("arms.erly.policy", ["no item `erly`", "try: early"]),
        (
            "arms.early.policy.rules.g1_persit.when.for_h",
            ["no rung `g1_persit`", "try: arms.early.policy.rules.g1_persist.when.for_h"],
        ),
        ("monitoring.ward", ["try: monitoring.ward_h"]),
        ("run.seed", ["cannot be swept", "same seed"]),
        ("run.replicates", ["cannot be swept"]),
        ("population.subjects", ["cannot be swept", "same subjects"]),
        ("population", ["cannot be swept"]),
        ("reference", ["cannot be swept"]),
        ("id", ["cannot be swept"]),
        ("schema", ["cannot be swept"]),
        ("sweep.method", ["cannot be swept"]),
        ("outputs.tables", ["cannot be swept", "same tables"]),
        ("arms", ["cannot be swept"]),
        ("arms.early", ["cannot be swept"]),
        ("arms.early.id", ["cannot be swept"]),
        ("arms.early.label", ["cannot be swept"]),
        ("site.beds", ["the scenario has no site"]),
        ("site", ["cannot be swept"]),
    ],
)
def test_a_path_that_is_not_there_or_may_not_move(path: str, told: list[str]) -> None:
    message = refused(f"  method: grid\n  axes:\n    {path}: [1, 2]\n")
    for word in ["line 14", f"sweep.axes.{path}", *told]:
        assert word in message, message


def test_two_paths_to_one_key_are_refused() -> None:
    message = refused(f"  method: grid\n  axes:\n    {FOR_H}: [1]\n    arms.1{FOR_H[10:]}: [2]\n")
    assert f"`{FOR_H}` is the same key" in message and "line 15" in message


def test_a_whole_must_come_before_its_parts() -> None:
    product, part = "product: [axi-cel, liso-cel]", "product.overrides.crs_mu: [0.1, 0.2]"
    assert load(f"  method: grid\n  axes:\n    {product}\n    {part}\n").sweep is not None
    assert "would be overwritten" in refused(f"  method: grid\n  axes:\n    {part}\n    {product}\n")


def test_a_site_can_be_swept_where_there_is_one() -> None:
    site = "site: {beds: 4, arrivals: {every_h: 24}}\n"
    axes = "sweep: {method: grid, axes: {site.beds: [2, 4], site.arrivals.every_h: [24, 36]}}\n"
    assert load_scenario(TEXT + site + axes).sweep is not None


def test_settings_reach_the_block() -> None:
    base = TEXT + f"sweep: {{method: grid, axes: {{{EFFECT}: [0.8]}}}}\n"
    scenario = load_scenario(base, {f"sweep.axes.{EFFECT}": "[0.5, 1.5]", "sweep.limit": "20"})
    assert scenario.sweep is not None
    assert scenario.sweep.axes[EFFECT].values == [0.5, 1.5] and scenario.sweep.limit == 20
    assert load_scenario(base, {"sweep": None}).hash() == load_scenario(TEXT).hash()


def test_a_resolved_sweep_loads_as_the_same() -> None:
    scenario = load(
        f"  method: zip\n  axes:\n    arms.early.policy.rules.g1_persist: [null, {{when: {{for_h: 3}}}}]\n"
        f"    {EFFECT}: [0.5, 1.5]\n    arms.standard.prophylaxis: [[], [toci_d0]]\n"
    )
    plain = scenario.resolved()
    assert plain["sweep"]["method"] == "zip"
    again = load_scenario(dump_yaml(plain))
    assert again.hash() == scenario.hash() != load_scenario(TEXT).hash()
    assert again.resolved() == plain


def test_a_resolved_sweep_writes_policies_out_where_it_does_not_move_them() -> None:
    plain = load(f"  method: grid\n  axes: {{{FOR_H}: [1, 2]}}\n").resolved()
    standard, early = (arm["policy"] for arm in plain["arms"])
    assert standard["rules"]["g2_toci"]["give"]["drug"] == "tocilizumab"
    assert early == {"extends": "tocilizumab_first", "rules": {"g1_persist": {"when": {"for_h": 24}}}}


def test_the_hash_sees_every_part_of_a_sweep() -> None:
    def hash_of(**changes: Any) -> str:
        data = load(f"  method: lhs\n  points: 8\n  axes: {{{EFFECT}: evidence}}\n").resolved()
        data["sweep"] = data["sweep"] | changes
        return load_scenario(data).hash()

    hashes = [
        hash_of(),
        hash_of(points=9),
        hash_of(seed=1),
        hash_of(method="sobol"),
        hash_of(axes={EFFECT: [1.0]}),
    ]
    assert len(set(hashes)) == len(hashes)


def test_the_schema_describes_a_sweep() -> None:
    schema = scenario_schema()
    Draft7Validator.check_schema(schema)
    validator = Draft7Validator(schema)
    data = copy.deepcopy(load_scenario(TEXT).resolved())
    for sweep in (
        {"method": "grid", "axes": {EFFECT: [1, 2], FOR_H: {"low": 1, "high": 2, "steps": 2}}},
        {
            "method": "morris",
            "points": 4,
            "axes": {EFFECT: "evidence", FOR_H: [1, 2]},
            "groups": {"a": [EFFECT]},
        },
        {"method": "list", "rows": [{EFFECT: 1}]},
    ):
        assert not list(validator.iter_errors(data | {"sweep": sweep}))
    for sweep in (
        {},
        {"method": "grit"},
        {"method": "grid", "axes": {EFFECT: {"lo": 1}}},
        {"method": "lhs", "points": 0},
    ):
        assert list(validator.iter_errors(data | {"sweep": sweep})), sweep


# --- rows from files ---------------------------------------------------------------------------------------------


def listed(folder: Path, table: str, name: str = "points.csv") -> Any:
    (folder / name).write_text(table, encoding="utf-8")
    scenario = folder / "probe.yaml"
    scenario.write_text(TEXT + f"sweep: {{method: list, file: {name}}}\n", encoding="utf-8")
    return load_scenario(scenario)


def test_rows_of_a_csv_file_are_read_as_the_scenario_would(tmp_path: Path) -> None:
    rung = "arms.early.policy.rules.g2_toci.when.crs"
    scenario = listed(tmp_path, f"{EFFECT}, product, {rung}\n0.5, axi-cel, >=3\n,liso-cel,2\n")
    assert scenario.sweep.rows == [
        {EFFECT: 0.5, "product": "axi-cel", rung: ">=3"},
        {"product": "liso-cel", rung: 2},
    ]
    # what is hashed is what the file held, and it is not needed again
    assert load_scenario(dump_yaml(scenario.resolved())).hash() == scenario.hash()


def test_rows_of_a_parquet_file_are_read_and_ids_of_points_left_out(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"design_id": [0, 1], "study.horizon_days": [14.0, 30.0], "product": ["axi-cel", None]})
    pq.write_table(table, tmp_path / "points.parquet")
    scenario = tmp_path / "probe.yaml"
    scenario.write_text(TEXT + "sweep: {method: list, file: points.parquet}\n", encoding="utf-8")
    sweep = load_scenario(scenario).sweep
    assert sweep is not None
    assert sweep.rows == [{"study.horizon_days": 14, "product": "axi-cel"}, {"study.horizon_days": 30}]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("", ["points.csv:1", "the first line must name the paths"]),
        (f"{EFFECT}\n", ["there is no row"]),
        (f"{EFFECT}\n1\n2,3\n", ["points.csv:3", "2 cells, and the head has 1"]),
        (f"{EFFECT},{EFFECT}\n1,2\n", ["points.csv:1", "the column is repeated"]),
        (f"{EFFECT},\n1,2\n", ["column 2 has no name"]),
        (f"{EFFECT}\n1\n2\n\n1.0\n", ["points.csv:5", "same settings as on line 2"]),
        (
            "model.overrides.tocilizumab.efect\n1\n",
            ["points.csv:1", "try: model.overrides.tocilizumab.effect"],
        ),
        ("run.seed\n1\n", ["points.csv:1 run.seed", "cannot be swept"]),
        (f"{EFFECT}\n1_0\n", ["points.csv:2", "an underscore is not part of a number"]),
        (f'{EFFECT}\n"1\n', ["points.csv"]),
    ],
)
def test_a_bad_csv_file_is_refused_with_the_line(tmp_path: Path, table: str, told: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        listed(tmp_path, table)
    for word in told:
        assert word in str(caught.value), str(caught.value)


def test_a_missing_or_odd_file_is_refused(tmp_path: Path) -> None:
    scenario = tmp_path / "probe.yaml"
    (tmp_path / "points.csv").write_text(f"{EFFECT}\n1\n", encoding="utf-8")
    for name, word in (
        ("point.csv", "points.csv"),
        ("points.xlsx", ".csv or .parquet"),
        ("no.parquet", "not exist"),
    ):
        scenario.write_text(TEXT + f"sweep: {{method: list, file: {name}}}\n", encoding="utf-8")
        with pytest.raises(InvalidInput) as caught:
            load_scenario(scenario)
        assert word in str(caught.value)
