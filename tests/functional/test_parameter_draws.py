"""The same subjects under many parameter sets: the three uncertainties are those of the whole table of subjects by
sets, nothing that decides who does what moves a bit, and without draws a run is what it was."""

import json
from collections.abc import Callable
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import cartsim
from cartsim.cli import main
from cartsim.errors import InvalidInput
from cartsim.evidence.registry import load_registry
from cartsim.evidence.weak import weak_priors
from cartsim.scenario.load import load_scenario
from cartsim.study import finish
from cartsim.sweep import parameter_sets

SETS, SUBJECTS = 4, 90
ENDPOINTS = ["crs_any", "crs_ge2", "crs_ge3", "crs_onset", "crs_duration", "crs_any_incidence", "steroid_mg",
             "crs_days_ge2", "icu_any", "hospital_days_median", "toci_second_dose"]  # fmt: skip
BASE: dict[str, Any] = {
    "schema": "cartsim/scenario/1",
    "id": "sets",
    "title": "Sets",
    "product": "axi-cel",
    "population": {"subjects": SUBJECTS},
    "arms": [{"id": "standard", "policy": "asco_2021"}, {"id": "severe", "policy": "severe_only"}],
    "run": {"seed": 5, "parameter_draws": SETS},
    "outputs": {"tables": [], "endpoints": ENDPOINTS},
}
#: Column of adsl, how it is read, endpoint and summaries of both tables.
READ = (
    ("crs_max_astct2019", lambda x: x >= 2, "crs_ge2", "astct2019", "proportion", "risk difference"),
    ("crs_max_lee2014", lambda x: x >= 3, "crs_ge3", "lee2014", "proportion", "risk difference"),
    ("steroid_mg_dex_eq", lambda x: x, "steroid_mg", None, "mean", "mean difference"),
    ("crs_days_ge2", lambda x: x, "crs_days_ge2", "astct2019", "mean", "mean difference"),
)


def run_of(**changes: Any) -> dict[str, Any]:
    return BASE | {"run": {"seed": 5} | changes}


def hashes(out: Path) -> dict[str, str]:
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    return {table["name"]: table["content_hash"] for table in manifest["tables"]}


@pytest.fixture(scope="module")
def study() -> cartsim.Study:
    return cartsim.run(BASE, workers=1)


@pytest.fixture(scope="module")
def alone() -> list[cartsim.Study]:
    """Every set run by itself."""
    plain = BASE | {"run": {"seed": 5}, "outputs": {"tables": ["adsl"], "endpoints": ENDPOINTS}}
    return [cartsim.run(plain | {"model": {"draw": m}}, workers=1) for m in range(SETS)]


def pick(table: pd.DataFrame, endpoint: str, summary: str, scale: str | None, arm: str) -> pd.Series:
    rows = table[(table.endpoint == endpoint) & (table.summary == summary) & (table.arm_id == arm)]
    rows = rows[rows.view.isin(["observed"]) | rows.view.isna()]
    rows = rows[rows.scale.isna() | (rows.scale == scale)]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize("reading", READ, ids=[r[2] for r in READ])
@pytest.mark.parametrize("what", ["standard", "severe", "difference"])
def test_the_three_uncertainties_are_those_of_the_whole_table(
    study: cartsim.Study, alone: list[cartsim.Study], reading: tuple[Any, ...], what: str
) -> None:
    column, read, endpoint, scale, one_arm, difference = reading

    def values(one: cartsim.Study, arm: str) -> np.ndarray:
        adsl = one.table("adsl")
        return read(adsl[adsl.arm_id == arm].sort_values("subject")[column].to_numpy()).astype(float)

    if what == "difference":
        table = np.stack([values(one, "severe") - values(one, "standard") for one in alone], axis=1)
        row = pick(study.contrasts, endpoint, difference, scale, "severe")
    else:
        table = np.stack([values(one, what) for one in alone], axis=1)
        row = pick(study.outcomes, endpoint, one_arm, scale, what)
    assert table.shape == (SUBJECTS, SETS) and table.std() > 0
    by_set, by_subject = table.mean(axis=0), table.mean(axis=1)
    rest = table - by_subject[:, None] - by_set + table.mean()
    ms_draw = SUBJECTS * by_set.var(ddof=1)
    ms_residual = (rest**2).sum() / ((SUBJECTS - 1) * (SETS - 1))
    # a quantity is read to 2^-26 of its unit
    near = {"rel": 1e-6, "abs": 1e-7}
    assert row.value == pytest.approx(table.mean(), **near)
    assert row.sd_subject == pytest.approx(sqrt(table.var(axis=0, ddof=1).mean()), **near)
    assert row.mcse == pytest.approx(sqrt(by_subject.var(ddof=1) / SUBJECTS), **near)
    assert row.se_parameter == pytest.approx(
        sqrt(max(0, (ms_draw - ms_residual) / SUBJECTS)), rel=1e-5, abs=1e-6
    )
    assert [row.param_lower, row.param_upper] == pytest.approx(
        np.quantile(by_set, [0.025, 0.975]).tolist(), **near
    )
    assert row.lower <= row.value <= row.upper and row.lower < row.upper
    assert pd.isna(row.n_events) and row.n_units == SUBJECTS


def test_every_set_answers_as_it_would_alone(study: cartsim.Study, alone: list[cartsim.Study]) -> None:
    keys = ["arm_id", "estimand_id", "level"]
    drawn = study.table("parameter_draws")
    assert drawn.groupby("draw").size().nunique() == 1
    for number, one in enumerate(alone):
        mine = drawn[drawn.draw == number].set_index(keys)
        outcomes, contrasts = one.outcomes.set_index(keys), one.contrasts
        assert mine.index.equals(outcomes.index)
        pd.testing.assert_series_equal(mine.value, outcomes.value, check_exact=True)
        plain = contrasts[
            contrasts.summary.isin(["risk difference", "mean difference", "difference of medians"])
        ]
        assert mine.difference.notna().sum() == plain.value.notna().sum() > 10
        assert sorted(mine.difference.dropna()) == pytest.approx(sorted(plain.value.dropna()), abs=1e-15)


def test_the_numbers_of_a_set_are_those_it_ran_with(study: cartsim.Study) -> None:
    from cartsim.evidence.spread import draw_numbers

    table = study.table("parameters")
    for number in range(SETS):
        drawn = draw_numbers("axi-cel", 5, number)
        rows = table[table.draw == number].set_index("parameter").value
        assert rows["tocilizumab.effect"] == drawn["tocilizumab.effect"]
        assert len(rows) >= len(drawn)
    fixed = cartsim.run(BASE | {"model": {"overrides": {"tocilizumab.effect": 1.5}}}, workers=1)
    assert "tocilizumab.effect" not in set(fixed.table("parameters").parameter)
    assert "tocilizumab.effect" not in set(fixed.table("tipping").parameter.dropna())


def test_what_cannot_be_crossed_says_so(study: cartsim.Study) -> None:
    outcomes = study.outcomes
    for endpoint in ("crs_onset", "toci_second_dose"):
        rows = outcomes[(outcomes.endpoint == endpoint) & outcomes.value.notna()]
        assert len(rows) and rows.se_parameter.isna().all() and rows.param_lower.notna().all()
        assert set(rows.interval_method) <= {"at most: mean error of a draw", "none"}
    crossed = outcomes[outcomes.endpoint == "crs_any_incidence"]
    assert crossed.se_parameter.notna().all() and set(crossed.interval_method) == {"Wilson over draws"}


@pytest.mark.parametrize("size", [1, 7, 64, SUBJECTS])
def test_blocks_and_workers_move_no_bit(
    study: cartsim.Study, differing: Callable[..., list[str]], size: int
) -> None:
    scenario = BASE | {"population": {"subjects": 12}} if size == 1 else BASE
    whole = cartsim.run(scenario, workers=1, block=1_000)
    cut = cartsim.run(scenario, workers=3, block=size)
    for name in ("outcomes", "contrasts", "parameter_draws", "parameters", "tipping"):
        assert differing(whole.arrow(name), cut.arrow(name)) == [], name
    if size > 1:
        assert differing(whole.arrow("outcomes"), study.arrow("outcomes")) == []


def test_resumed_sharded_and_extended_runs_are_the_run_in_one_piece(tmp_path: Path) -> None:
    short = BASE | {"population": {"subjects": 40}}
    cartsim.run(BASE, tmp_path / "whole", block=30, workers=1)
    wanted = hashes(tmp_path / "whole")
    assert {"outcomes", "contrasts", "parameter_draws", "parameters", "tipping"} <= set(wanted)

    cartsim.run(short, tmp_path / "extended", block=30, workers=1)
    cartsim.run(BASE, tmp_path / "extended", extend=True, workers=1)
    assert hashes(tmp_path / "extended") == wanted

    for shard in ("0/2", "1/2"):
        cartsim.run(BASE, tmp_path / "shards", block=30, shard=shard, workers=1)
    finish(tmp_path / "shards")
    assert hashes(tmp_path / "shards") == wanted

    broken = tmp_path / "whole"
    for part in sorted((broken / "draw_tallies").glob("*.parquet"))[1:]:
        part.unlink()
    cartsim.run(BASE, broken, retry=True, workers=2)
    assert hashes(broken) == wanted


def test_another_number_of_sets_is_another_run(tmp_path: Path) -> None:
    cartsim.run(run_of(parameter_draws=2), tmp_path / "run", workers=1)
    with pytest.raises(InvalidInput, match="another scenario"):
        cartsim.run(run_of(parameter_draws=3), tmp_path / "run", workers=1, extend=False)
    with pytest.raises(InvalidInput, match="not a longer run"):
        cartsim.run(run_of(parameter_draws=3), tmp_path / "run", workers=1, extend=True)


def test_without_draws_a_run_is_what_it_was(tmp_path: Path) -> None:
    plain = BASE | {"run": {"seed": 5}}
    resolved = load_scenario(plain).resolved()
    assert "parameter_draws" not in resolved["run"]
    for name, scenario, draws in (("a", plain, None), ("b", run_of(parameter_draws=0), None), ("c", BASE, 0)):
        cartsim.run(scenario, tmp_path / name, workers=1, parameter_draws=draws)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    for other in ("b", "c"):
        for file in files:
            if file.suffix in (".parquet", ".yaml", ".png"):
                assert (tmp_path / "a" / file).read_bytes() == (tmp_path / other / file).read_bytes(), file
        assert hashes(tmp_path / other) == hashes(tmp_path / "a")
    assert not (tmp_path / "a" / "draw_tallies").exists()


def test_the_central_set_makes_the_subject_tables(tmp_path: Path) -> None:
    tables = {"outputs": {"tables": ["adsl"], "endpoints": ENDPOINTS}}
    cartsim.run(BASE | tables | {"run": {"seed": 5}}, tmp_path / "plain", workers=1)
    drawn = cartsim.run(BASE | tables, tmp_path / "drawn", workers=1)
    assert hashes(tmp_path / "plain")["adsl"] == hashes(tmp_path / "drawn")["adsl"]
    assert (tmp_path / "drawn" / "differences.png").exists()
    assert not (tmp_path / "plain" / "differences.png").exists()
    assert any("central set" in warning for warning in drawn.warnings)


def test_the_tipping_table_moves_one_number_at_a_time(study: cartsim.Study) -> None:
    table = study.table("tipping")
    central = table[table.parameter.isna()]
    assert (central.prior_sd == 0).all() and (central.value.dropna() == central.central_value.dropna()).all()
    plain = cartsim.run(run_of(), workers=1).contrasts
    row = pick(plain, "crs_ge2", "risk difference", "astct2019", "severe")
    assert pick(central, "crs_ge2", "risk difference", "astct2019", "severe").value == row.value
    drugs = parameter_sets.drugs_of(load_scenario(BASE))
    priors = {prior.name: prior for prior in weak_priors(BASE["product"], drugs)}
    assert set(table.parameter.dropna()) == set(priors)
    for name, prior in priors.items():
        moved = table[table.parameter == name]
        assert set(moved.prior_sd) == {-2, 2}, name
        assert prior.low < prior.high and set(moved[moved.prior_sd == -2].setting) == {prior.low}, name
        assert set(moved[moved.prior_sd == 2].setting) == {prior.high}, name
    # one number of each origin, and one place of a list: where the answer moves most, a run of its own agrees
    registry = load_registry()
    rows = table[
        (table.endpoint == "icu_any") & (table.summary == "risk difference") & table.parameter.notna()
    ]
    assert not rows.duplicated(["parameter", "prior_sd"]).any()
    shift = (rows.value - rows.central_value).abs()
    for chosen in (
        lambda prior: prior.element is None and registry[prior.key].status == "calibrated",
        lambda prior: prior.element is None and registry[prior.key].status != "calibrated",
        lambda prior: prior.element is not None,
    ):
        among = rows.parameter.isin([name for name, prior in priors.items() if chosen(prior)])
        edge = rows.loc[shift[among].idxmax()]
        assert edge.value != edge.central_value, edge.parameter
        prior = priors[edge.parameter]
        setting = prior.setting(edge.prior_sd > 0, registry.numbers()[prior.key])
        override = BASE | {"run": {"seed": 5}, "model": {"overrides": {prior.key: setting}}}
        alone = pick(cartsim.run(override, workers=1).contrasts, "icu_any", "risk difference", None, "severe")
        assert (edge.value, edge.lower, edge.upper) == (alone.value, alone.lower, alone.upper), edge.parameter
    # anakinra plays no part in these policies' rungs unless they give it
    assert ("anakinra.b50_mg" in set(table.parameter.dropna())) == ("anakinra" in drugs)
    flips = table[table.significance_differs == 1]
    for one in flips.itertuples():
        assert (one.lower > 0 or one.upper < 0) != (
            pick_central(central, one).lower > 0 or pick_central(central, one).upper < 0
        )


def pick_central(central: pd.DataFrame, row: Any) -> pd.Series:
    same = central[(central.estimand_id == row.estimand_id) & (central.arm_id == row.arm_id)]
    same = same[(same.level == row.level) | (same.level.isna() & pd.isna(row.level))]
    return same.iloc[0]


def test_tipping_looks_at_the_first_subjects_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cartsim.sweep.draws_block.TIPPING_SUBJECTS", 25)
    table = cartsim.run(BASE, workers=1, block=20).table("tipping")
    shares = table[table.summary == "risk difference"]
    assert set(shares.n_units) == {25}


def test_costs_have_a_row_for_every_set() -> None:
    costs = {"currency": "EUR", "year": 2026, "source": "test", "ward_day": 700, "icu_day": 2500}
    study = cartsim.run(BASE | {"costs": costs}, workers=1)
    frame = study.ce_frame()
    assert list(frame.draw) == list(range(SETS)) and frame.cost_standard.nunique() == SETS
    cost = pick(study.outcomes, "cost", "mean", None, "standard")
    assert frame.cost_standard.mean() == pytest.approx(cost.value)
    assert frame.cost_standard.std() == pytest.approx(sqrt(cost.se_parameter**2), rel=0.5)
    ratio = study.table("ce_ratio").iloc[0]
    difference = pick(study.contrasts, "cost", "mean difference", None, "severe")
    assert ratio.cost_difference == pytest.approx(difference.value)
    assert ratio.n_units == SUBJECTS
    ce = study.table("ce").set_index("arm_id").cost
    assert ce["standard"] == pytest.approx(cost.value)


def test_subgroups_sweeps_sites_and_scrambles(differing: Callable[..., list[str]]) -> None:
    small = {"population": {"subjects": 24}, "outputs": {"tables": [], "endpoints": ["crs_ge2", "icu_days"]}}
    groups = cartsim.run(BASE | small | {"subgroups": {"old": {"age_years": ">=60"}}}, workers=1)
    old = groups.outcomes[groups.outcomes.population == "old"]
    assert old.value.notna().any() and old.se_parameter.isna().all() and old.param_lower.notna().any()

    sweep = {"sweep": {"method": "grid", "axes": {"monitoring.ward_h": [4.0, 12.0]}}}
    swept = cartsim.run(BASE | small | sweep, workers=1)
    single = cartsim.run(BASE | small | {"monitoring": {"ward_h": 12.0}}, workers=1)
    second = swept.outcomes[swept.outcomes.design_id == 1].reset_index(drop=True)
    assert "tipping" not in swept.results
    pd.testing.assert_frame_equal(
        second.drop(columns="design_id"), single.outcomes.drop(columns="design_id"), check_categorical=False
    )

    for change in (
        {
            "site": {"beds": 6, "arrivals": {"every_h": 12}},
            "run": {"seed": 5, "parameter_draws": 3, "replicates": 3},
        },
        {"run": {"seed": 5, "parameter_draws": 3, "replicates": 3, "source": "sobol"}},
    ):
        unit = cartsim.run(BASE | small | change, workers=1)
        rows = unit.outcomes[unit.outcomes.endpoint == "icu_days"]
        assert set(rows.n_units) == {3} and rows.se_parameter.notna().all()
        parts = [
            cartsim.run(
                BASE | small | change | {"run": change["run"] | {"parameter_draws": 0}, "model": {"draw": m}}, workers=1
            ).outcomes
            for m in range(3)
        ]  # fmt: skip
        means = [p[(p.endpoint == "icu_days") & (p.arm_id == "severe")].value.iloc[0] for p in parts]
        assert rows[rows.arm_id == "severe"].value.iloc[0] == pytest.approx(np.mean(means))


def test_an_empty_cohort_has_null_rows() -> None:
    study = cartsim.run(BASE | {"population": {"subjects": 0}}, workers=1)
    assert len(study.outcomes) and study.outcomes.value.isna().all() and (study.outcomes.n_units == 0).all()
    assert study.contrasts.value.isna().all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"run": {"seed": 5, "parameter_draws": 1}}, "one parameter set shows no uncertainty"),
        ({"run": {"seed": 5, "parameter_draws": -2}}, "at least 0"),
        ({"run": {"seed": 5, "parameter_draws": 2.5}}, "whole number"),
        ({"model": {"draw": 3}}, "model.draw chooses one"),
        ({"sweep": {"method": "grid", "axes": {"model.draw": [0, 1]}}}, "model.draw as an axis"),
    ],
)
def test_bad_input_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_scenario(BASE | changes)
    assert said in str(caught.value)


def test_python_refuses_the_same(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="one parameter set shows no uncertainty"):
        cartsim.run(run_of(), parameter_draws=1)
    with pytest.raises(InvalidInput, match="precision targets"):
        cartsim.run(BASE, tmp_path / "run", until=["outcome.crs_any.standard <= 0.1"])
    with pytest.raises(InvalidInput, match="chooses one"):
        cartsim.run(run_of() | {"model": {"draw": 1}}, parameter_draws=5)


def test_the_command_line_says_both_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    monkeypatch.chdir(tmp_path)
    file = tmp_path / "sets.yaml"
    file.write_text(yaml.safe_dump(run_of()))
    arguments = ["run", str(file), "--parameter-draws", "4", "--workers", "1"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "parameter sets" in capsys.readouterr().out
    assert main([*arguments, "--out", "out", "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "4 parameter sets" in told and "95 % over parameter sets" in told
    assert "parameter_draws.parquet" in told and "Assumptions that" in told
