"""Result tables of a run or a sweep: the numbers are those of the rows, in any chunks, and say what they are."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from analysis_cohort import ENDPOINTS, cohort, cut, fed, tallied

from cartsim.analysis.columns import CONTRAST_TYPES, CURVE_TYPES, OUTCOME_TYPES
from cartsim.analysis.contrasts import JOINT_CAVEAT
from cartsim.analysis.endpoints import (
    CRS_SCALES,
    report_days,
    select_endpoints,
    standard_endpoints,
)
from cartsim.analysis.medians import BOOTSTRAP_UP_TO
from cartsim.analysis.stored import RESOLVED, summarise_run
from cartsim.analysis.summary import ROWS_AT_ONCE, Summary
from cartsim.analysis.tally import TALLY, fold, tally
from cartsim.record.result_tables import CONTRASTS, OUTCOMES


def uniform_block(n, occurrence):
    return np.random.Generator(np.random.Philox(key=occurrence)).random(n)


def row(table, **which):
    frame = table.to_pandas()
    for name, value in which.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1, which
    return frame.iloc[0]


@pytest.fixture(scope="module")
def arms():
    return {"standard": cohort(5000), "early": cohort(5000, 0.2)}


@pytest.fixture(scope="module")
def outcomes(arms):
    summary, tallies = fed(arms)
    return summary.outcomes(tallies)


@pytest.fixture(scope="module")
def contrasts(arms):
    summary, tallies = fed(arms)
    return summary.contrasts(tallies, uniform_block)


def test_outcomes_are_those_of_the_rows(arms, outcomes):
    """Share, mean, median and cumulative incidence, recomputed from the columns."""
    early = arms["early"]
    severe = early["crs_max_lee2014"] >= 3
    got = row(outcomes, arm_id="early", endpoint="crs_ge3", scale="lee2014", view="observed")
    assert (got["n_events"], got["value"]) == (severe.sum(), severe.mean())
    assert got["sd_subject"] == pytest.approx(severe.std(ddof=1))
    assert got["mcse"] == pytest.approx(severe.std(ddof=1) / np.sqrt(5000))
    got = row(outcomes, arm_id="early", endpoint="steroid_mg")
    assert got["value"] == pytest.approx(early["steroid_mg_dex_eq"].mean())
    got = row(outcomes, arm_id="early", endpoint="crs_duration")
    assert got["value"] == np.nanmedian(early["crs_duration_d"])
    assert got["conditioning"].startswith("subjects with CRS; descriptive")
    got = row(outcomes, arm_id="early", endpoint="crs_any_incidence", level=7.0)
    assert got["value"] == pytest.approx((early["t_crs_d"] <= 7).mean())
    shares = outcomes.to_pandas().query("arm_id == 'early' and endpoint == 'icans_grade'")
    assert shares["level"].tolist() == [0, 1, 2, 3, 4, 5]
    assert shares["n_events"].sum() == 5000


def test_contrasts_are_those_of_the_paired_rows(arms, contrasts):
    """Paired counts, mean difference and its sd, number needed, helped and harmed."""
    new, old = arms["early"]["crs_latent_lee2014"] >= 3, arms["standard"]["crs_latent_lee2014"] >= 3
    which = {"endpoint": "crs_ge3", "scale": "lee2014", "view": "latent"}
    got = row(contrasts, **which, summary="risk difference")
    assert (got["n01"], got["n10"]) == ((new & ~old).sum(), (old & ~new).sum())
    assert got["value"] == pytest.approx(new.mean() - old.mean())
    assert got["nnt_kind"] == "NNT"
    assert got["nnt"] == pytest.approx(1 / (old.mean() - new.mean()))
    assert got["upper"] < 0
    assert got["variance_ratio"] > 1
    assert got["unpaired_upper"] - got["unpaired_lower"] > got["upper"] - got["lower"]
    assert row(contrasts, **which, summary="helped")["value"] == (old & ~new).mean()
    harmed = row(contrasts, **which, summary="harmed")
    assert harmed["harm_lower"] <= harmed["value"] <= harmed["harm_upper"]
    difference = arms["early"]["icu_days"] - arms["standard"]["icu_days"]
    got = row(contrasts, endpoint="icu_days")
    assert got["value"] == pytest.approx(difference.mean())
    assert got["sd_subject"] == pytest.approx(difference.std(ddof=1))
    assert (got["n01"], got["n10"]) == ((difference > 0).sum(), (difference < 0).sum())
    medians = row(contrasts, endpoint="hospital_days_median")
    assert medians["interval_method"] == "bootstrap"
    assert medians["lower"] < medians["value"] < medians["upper"]
    assert "cannot be observed" in JOINT_CAVEAT


def test_helped_and_harmed_come_latent_first_then_observed(contrasts):
    """At grade 3 and at grade 2, on the scenario's scale only."""
    frame = contrasts.to_pandas().query("summary in ['helped', 'harmed']")
    assert frame["view"].tolist() == ["latent"] * 4 + ["observed"] * 4
    assert sorted(set(frame["endpoint"])) == ["crs_ge2", "crs_ge3"]
    assert set(frame["scale"]) == {"lee2014"}


def test_identical_arms_differ_by_exactly_zero():
    """Every value and every limit, without a rounding error; the medians too."""
    summary, tallies = fed({"a": cohort(3000), "b": cohort(3000)})
    contrasts = summary.contrasts(tallies, uniform_block).to_pandas()
    assert set(contrasts["interval_method"]) <= {"identical rows", "none"}
    differences = contrasts[~contrasts["summary"].isin(["helped"])]
    assert (differences[["value", "lower", "upper"]].fillna(0.0) == 0.0).all(axis=None)
    assert (differences["lower"].notna() == differences["value"].notna()).all()


def test_arms_that_agree_only_here_keep_a_width():
    """No discordant death is not proof that death is untouched when anything else differs."""
    a, b = cohort(3000), cohort(3000)
    b["icu_days"] = b["icu_days"] + 1.0
    summary, tallies = fed({"a": a, "b": b})
    got = row(summary.contrasts(tallies), endpoint="death", summary="risk difference")
    assert got["value"] == 0
    assert got["lower"] < 0 < got["upper"]
    assert got["interval_method"] == "Tango score"


def test_chunks_and_order_move_no_bit():
    """Chunks of 1000 and of 4096 subjects, folded backwards, and one block give equal tables."""
    arms = {"a": cohort(9000), "b": cohort(9000, 0.1), "c": cohort(9000, 0.3)}
    summary, once = fed(arms)
    parts = [tallied(summary, cut(arms, slice(k, k + 1000))) for k in range(0, 9000, 1000)]
    for tallies in (fold(parts[::-1]), fed(arms, chunk=4096)[1]):
        assert summary.outcomes(tallies).equals(summary.outcomes(once))
        assert summary.contrasts(tallies, uniform_block).equals(summary.contrasts(once, uniform_block))
        assert summary.incidence_curves(tallies).equals(summary.incidence_curves(once))


def sweep(points=40, replicates=1, **options):
    """Tally of many small design points of unequal size, each from its own seed; and those cohorts."""
    summary = Summary(ENDPOINTS, ["a", "b"], "a", 30.0, curves=False, bootstrap=False, **options)
    held = {}
    for point in range(points):
        n = 20 + 7 * (point % 11)
        for replicate in range(replicates + point % replicates):
            seed = 1000 * point + replicate
            held[point, replicate] = {"a": cohort(n, 0.0, seed), "b": cohort(n, 0.2, seed)}
    sizes = [len(arms["a"]["icu"]) for arms in held.values()]
    labels = [np.repeat(np.array([key[k] for key in held], np.int32), sizes) for k in range(2)]
    arms = {
        a: {c: np.concatenate([x[a][c] for x in held.values()]) for c in summary.columns} for a in ("a", "b")
    }
    return summary, tally(summary.plan, *labels, arms, "a", ["a", "b"]), held


@pytest.mark.parametrize("unit", ["subject", "replicate"])
def test_many_design_points_at_once_are_each_what_it_is_alone(monkeypatch, unit):
    """Every column of every row, for points of unequal size and number of replicates, however they are batched."""
    summary, tallies, held = sweep(24, 3, replication_unit=unit)
    both = summary.outcomes(tallies), summary.contrasts(tallies)
    monkeypatch.setattr("cartsim.analysis.summary.ROWS_AT_ONCE", 5000)
    assert tallies.num_rows > 5000
    assert summary.outcomes(tallies).combine_chunks().equals(both[0].combine_chunks())
    assert summary.contrasts(tallies).combine_chunks().equals(both[1].combine_chunks())
    for point in (0, 7, 23):
        alone = fold(
            tallied(summary, arms, point, replicate) for (p, replicate), arms in held.items() if p == point
        )
        assert summary.outcomes(alone).equals(_point(both[0], point))
        assert summary.contrasts(alone).equals(_point(both[1], point))


def _point(table, design_id):
    return table.filter(pa.array(table["design_id"].to_numpy() == design_id)).combine_chunks()


def test_a_sweep_answers_every_point_in_order():
    """Points in rising order, each with the same rows; a table of many is what one is asked for in pieces."""
    summary, tallies, held = sweep()
    outcomes, contrasts = summary.outcomes(tallies).to_pandas(), summary.contrasts(tallies).to_pandas()
    assert outcomes["design_id"].is_monotonic_increasing
    assert set(outcomes.groupby("design_id").size()) == {len(outcomes) // 40}
    for point in (3, 30):
        arms = held[point, 0]
        mine = outcomes[(outcomes["design_id"] == point) & (outcomes["arm_id"] == "b")]
        assert (
            mine[mine["endpoint"] == "vasopressor"]["value"].item() == (arms["b"]["vasopressor"] >= 1).mean()
        )
        assert mine[mine["endpoint"] == "icu_days"]["value"].item() == pytest.approx(
            arms["b"]["icu_days"].mean()
        )
        assert mine[mine["endpoint"] == "crs_onset"]["value"].item() == np.nanmedian(arms["b"]["t_crs_d"])
    medians = contrasts[contrasts["endpoint"] == "hospital_days_median"]
    assert set(medians["interval_method"]) == {"none: not bootstrapped in a sweep"}
    assert medians["lower"].isna().all()
    assert medians["value"].notna().all()
    assert ROWS_AT_ONCE > 100_000
    with pytest.raises(ValueError, match="curves=False"):
        summary.incidence_curves(tallies)


def test_replicates_of_independent_subjects_are_one_cohort():
    """Two replicates of a batch run give the numbers of their subjects taken together."""
    arms = {"a": cohort(900), "b": cohort(900, 0.2)}
    summary, once = fed(arms)
    halves = [
        tallied(summary, cut(arms, part), 0, k) for k, part in enumerate((slice(0, 400), slice(400, 900)))
    ]
    for question in (summary.outcomes, summary.contrasts, summary.incidence_curves):
        assert question(fold(halves)).equals(question(once))


def test_nobody_gives_null_and_never_nan():
    """An arm without subjects has rows with null values; a tally of nothing has no rows; no NaN anywhere."""
    summary = Summary(ENDPOINTS, ["a", "b"], "a", 30.0)
    lonely = tally(summary.plan, *np.zeros((2, 50), np.int32), {"a": cohort(50)}, "a", ["a"])
    outcomes, contrasts = summary.outcomes(lonely), summary.contrasts(lonely, uniform_block)
    for table in (outcomes.filter(pa.array(outcomes["arm_id"].to_numpy() == "b")), contrasts):
        assert table.num_rows > 100
        assert set(table["n_units"].to_pylist()) == {0}
        for name in ("value", "mcse", "lower", "upper"):
            assert table[name].null_count == table.num_rows
    nothing = TALLY.empty_table()
    assert summary.outcomes(nothing).schema.names == list(OUTCOME_TYPES)
    assert not summary.contrasts(nothing).num_rows
    assert summary.incidence_curves(nothing).schema.names == list(CURVE_TYPES)
    one, single = fed({"a": cohort(1), "b": cohort(1, 0.5)})
    for table in (one.outcomes(single), one.contrasts(single, uniform_block), outcomes, contrasts):
        for name in table.column_names:
            if pa.types.is_floating(table[name].type):
                assert not np.isnan(table[name].drop_null().to_numpy()).any()


@pytest.mark.parametrize("unit", ["subject", "replicate"])
def test_points_without_subjects_have_rows_when_asked_for(unit):
    """Every row of a point that holds nobody is there, null, in its place among the others, which stay as they are."""
    arms = {"a": cohort(60), "b": cohort(60, 0.3)}
    summary, _ = fed(arms, replication_unit=unit)
    held = tallied(summary, arms, design_id=4)
    for ask in (summary.outcomes, summary.contrasts):
        whole = ask(held, designs=range(3, 6))
        alone = ask(held)
        rows = alone.num_rows
        assert whole["design_id"].to_pylist() == [3] * rows + [4] * rows + [5] * rows
        assert whole.slice(rows, rows).to_pylist() == alone.to_pylist()
        for point in (whole.slice(0, rows), whole.slice(2 * rows)):
            assert point["estimand_id"].to_pylist() == alone["estimand_id"].to_pylist()
            assert set(point["n_units"].to_pylist()) == {0}
            for name in ("value", "sd_subject", "mcse", "lower", "upper"):
                assert point[name].null_count == rows, name
        assert ask(TALLY.empty_table(), designs=[0]).num_rows == rows


def test_one_replicate_of_a_ward_has_no_interval_and_three_do():
    """The whole replicate is the unit: mean of the replicates, t over their values."""
    arms = [{"a": cohort(800, 0.0, seed), "b": cohort(800, 0.3, seed)} for seed in (1, 2, 3)]
    summary, single = fed(arms[0], replication_unit="replicate")
    for table in (summary.outcomes(single), summary.contrasts(single, uniform_block)):
        assert table["value"].null_count < table.num_rows
        assert all(table[name].null_count == table.num_rows for name in ("mcse", "lower", "upper"))
    tallies = fold(tallied(summary, arms[replicate], 0, replicate) for replicate in (2, 0, 1))
    got = row(summary.contrasts(tallies), endpoint="icu_days")
    values = [np.mean(r["b"]["icu_days"] - r["a"]["icu_days"]) for r in arms]
    assert got["n_units"] == 3
    assert got["value"] == pytest.approx(np.mean(values))
    assert got["mcse"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(3))
    assert got["interval_method"] == "t over replicates"
    curves = summary.incidence_curves(tallies)
    assert curves["lower"].null_count == curves.num_rows > 0


def test_large_cohorts_take_the_difference_of_medians_from_ranks():
    """Just above the limit of the bootstrap: an interval of nearly the bootstrap's width, without a uniform."""
    rng = np.random.default_rng(51)
    n = BOOTSTRAP_UP_TO + 1
    base = rng.gamma(4.0, 3.0, n)
    arms = {"a": cohort(n), "b": cohort(n)}
    arms["a"]["hospital_days"], arms["b"]["hospital_days"] = base, base + rng.gamma(1.0, 1.0, n)
    summary = Summary(select_endpoints(["hospital_days_median"]), ["a", "b"], "a", 30.0)
    large = row(summary.contrasts(tallied(summary, arms)))
    small = row(summary.contrasts(tallied(summary, cut(arms, slice(0, n - 1))), uniform_block))
    assert large["interval_method"] == "paired order statistics"
    assert small["interval_method"] == "bootstrap"
    assert large["mcse"] == pytest.approx(small["mcse"], rel=0.2)
    assert large["lower"] < large["value"] < large["upper"]


def test_censoring_before_a_day_leaves_the_paired_incidence_null(arms):
    """Pairs can be counted only while everyone is followed; by arm Aalen-Johansen answers if it has the times."""
    short = {k: dict(v) for k, v in arms.items()}
    for columns in short.values():
        columns["t_followup_d"] = np.minimum(columns["t_followup_d"], 20.0)
    summary, tallies = fed(short)
    contrasts = summary.contrasts(tallies)
    assert not pd.isna(row(contrasts, endpoint="crs_any_incidence", level=14.0)["value"])
    got = row(contrasts, endpoint="crs_any_incidence", level=28.0)
    assert pd.isna(got["value"])
    assert pd.isna(got["n01"])
    assert got["interval_method"] == "none: censored before the day"
    which = {"arm_id": "early", "endpoint": "crs_any_incidence", "level": 28.0}
    got = row(summary.outcomes(tallies), **which)
    curve = summary.incidence_curves(tallies).to_pandas()
    curve = curve[(curve["arm_id"] == "early") & (curve["endpoint"] == "crs_any_incidence")]
    assert got["value"] == curve[curve["time_d"] <= 28.0]["value"].iloc[-1]
    assert got["interval_method"] == "Aalen-Johansen, log-log"
    summary, tallies = fed(short, curves=False)
    got = row(summary.outcomes(tallies), **which)
    assert pd.isna(got["value"])
    assert got["interval_method"] == "none: censored before the day"
    assert not pd.isna(row(summary.outcomes(tallies), **(which | {"level": 14.0}))["value"])


def test_tables_have_the_declared_columns_and_keys(outcomes, contrasts):
    """Names, order and types are those of the store, and no statistic stands twice."""
    for table, types, declared in (
        (outcomes, OUTCOME_TYPES, OUTCOMES),
        (contrasts, CONTRAST_TYPES, CONTRASTS),
    ):
        assert table.column_names == list(types) == [c.name for c in declared.columns]
        assert [f.type for f in table.schema] == [c.type for c in declared.columns]
        assert not table.select(declared.keys).to_pandas().duplicated().any()
        for column in declared.columns:
            assert column.nullable or table[column.name].null_count == 0, column.name


def test_what_a_number_rests_on_is_said(arms, outcomes):
    """Death is never printed bare; a run may say more about its product."""
    assert row(outcomes, arm_id="early", endpoint="death")["evidence_status"] == "uncalibrated"
    summary, tallies = fed(arms, evidence_status={"ICANS": "extrapolated"})
    other = summary.outcomes(tallies).to_pandas()
    assert set(other[other["endpoint"] == "icans_ge3"]["evidence_status"]) == {"extrapolated"}
    assert set(other[other["endpoint"] == "crs_ge3"]["evidence_status"]) == {"calibrated", "assumed"}


def test_endpoints_cover_every_scale_and_refuse_what_the_model_lacks():
    """CRS on five scales in two views; late neurotoxicity is refused with its reason."""
    crs = {(e.scale, e.view) for e in ENDPOINTS if e.id == "crs_ge3"}
    assert crs == {(s, v) for s in CRS_SCALES for v in ("latent", "observed")}
    assert {e.key for e in select_endpoints(["death"])} == {("death", None, None)}
    with pytest.raises(ValueError, match="late or delayed neurotoxicity is not in it"):
        select_endpoints(["late_neurotoxicity"])
    with pytest.raises(ValueError, match="unknown endpoint 'crs_ge9'"):
        select_endpoints(["crs_ge9"])
    with pytest.raises(ValueError, match="known scales are"):
        standard_endpoints("astct")
    assert report_days(30.0) == (7.0, 14.0, 28.0, 30.0)
    assert report_days(28.0) == (7.0, 14.0, 28.0)


def test_bad_questions_are_named():
    """A reference that is no arm, an arm named twice."""
    with pytest.raises(ValueError, match="reference arm 'x' is not among"):
        Summary(ENDPOINTS, ["a", "b"], "x", 30.0)
    with pytest.raises(ValueError, match="named twice"):
        Summary(ENDPOINTS, ["a", "a"], "a", 30.0)


RESOLVED_TEXT = """id: test
study: {horizon_days: 30}
grading: {crs: lee2014}
arms: [{id: a}, {id: b}]
reference: a
site: null
run: {source: philox}
"""


def _write_run(folder, parts):
    (folder / "adsl").mkdir()
    (folder / RESOLVED).write_text(RESOLVED_TEXT)
    (folder / "manifest.json").write_text('{"evidence_counts": {"calibrated": 1}}')
    for k, part in enumerate(parts):
        pq.write_table(part, folder / "adsl" / f"part-{k:05d}-0123456789ab.parquet", row_group_size=3000)


@pytest.mark.parametrize("layout", ["arm after arm", "block after block", "both arms in one part"])
def test_stored_tables_give_the_identical_result(tmp_path, layout):
    """From Parquet, in any layout of parts, with nulls for NaN: every bit the same."""
    n = 7700
    arms = {"a": cohort(n), "b": cohort(n, 0.2)}
    cuts = [slice(0, n)] if layout == "arm after arm" else [slice(0, 3333), slice(3333, n)]
    parts = [[_adsl(arms[a], a, part) for a in arms] for part in cuts]
    if layout == "both arms in one part":
        parts = [
            [pa.concat_tables(part, promote_options="permissive").unify_dictionaries()] for part in parts
        ]
    _write_run(tmp_path, [table for part in parts for table in part])
    stored, (direct, tallies) = summarise_run(tmp_path), fed(arms)
    assert stored.tallies.equals(tallies)
    assert stored.outcomes().equals(direct.outcomes(tallies))
    assert stored.contrasts(uniform_block).equals(direct.contrasts(tallies, uniform_block))
    assert stored.incidence_curves().equals(direct.incidence_curves(tallies))


def test_stored_design_points_and_replicates_are_read_apart(tmp_path):
    """One point of several, with two replicates, from parts that hold more than one cohort."""
    arms = {"a": cohort(300), "b": cohort(300, 0.2)}
    cohorts = [(design, replicate) for design in (0, 1) for replicate in (0, 1)]
    parts = [
        pa.concat_tables(
            _adsl(arms[a], a, slice(75 * k, 75 * k + 75), *which) for k, which in enumerate(cohorts)
        ).unify_dictionaries()
        for a in arms
    ]
    _write_run(tmp_path, parts)
    stored = summarise_run(tmp_path, 1)
    expected = fold(tallied(stored.summary, cut(arms, slice(75 * k, 75 * k + 75)), 1, k - 2) for k in (2, 3))
    assert stored.tallies.equals(expected)
    assert set(stored.outcomes()["design_id"].to_pylist()) == {1}


def test_stored_arms_must_hold_the_same_subjects(tmp_path):
    """Fewer subjects in one arm, and others in the other, are named."""
    arms = {"a": cohort(50), "b": cohort(50, 0.2)}
    fewer, other = tmp_path / "fewer", tmp_path / "other"
    for folder, part in ((fewer, slice(0, 40)), (other, slice(10, 50))):
        folder.mkdir()
        first = slice(0, 50) if folder == fewer else slice(0, 40)
        _write_run(folder, [_adsl(arms["a"], "a", first), _adsl(arms["b"], "b", part)])
    with pytest.raises(ValueError, match="'b' holds fewer subjects"):
        summarise_run(fewer)
    with pytest.raises(ValueError, match="'b' does not hold the same subjects"):
        summarise_run(other)


def _adsl(columns, arm_id, part, design_id=0, replicate=0):
    n = len(columns["t_followup_d"][part])
    keys = {
        "design_id": pa.array(np.full(n, design_id, np.int32)),
        "replicate": pa.array(np.full(n, replicate, np.int32)),
        "arm_id": pa.array([arm_id] * n).dictionary_encode(),
        "subject": pa.array(np.arange(part.start, part.start + n)),
    }
    values = {k: pa.array(v[part], from_pandas=True) for k, v in columns.items()}
    return pa.table(keys | values)
