"""Streaming tables of a run: the numbers are those of the rows, in any chunks, and say what they are."""

import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cartsim.analysis.columns import CONTRAST_TYPES, OUTCOME_TYPES
from cartsim.analysis.contrasts import JOINT_CAVEAT
from cartsim.analysis.endpoints import (
    CRS_SCALES,
    columns_needed,
    report_days,
    select_endpoints,
    standard_endpoints,
)
from cartsim.analysis.moments import SUB_BLOCK
from cartsim.analysis.stored import RESOLVED, summarise_run
from cartsim.analysis.summary import Summary
from cartsim.record.result_tables import CONTRASTS, OUTCOMES

ENDPOINTS = standard_endpoints("lee2014")
LEVEL_COLUMNS = {e.column: e for e in ENDPOINTS if e.measure == "level"}


def cohort(n, shift=0.0, seed=1):
    """Columns that the endpoints read: shared draws in every arm, `shift` makes everything milder."""
    out = {}
    for name in columns_needed(ENDPOINTS):
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        z = rng.normal(size=n) - shift
        if name in LEVEL_COLUMNS:
            out[name] = np.digitize(z, [-0.5, 0.5, 1.5, 2.5]).astype(np.int8)
        elif name == "t_death_d":
            out[name] = np.where(z > 2, np.round(4 * (10 + z)) / 4, np.nan)
        elif name.endswith("duration_d") or (name.startswith("t_") and name != "t_followup_d"):
            out[name] = np.where(z > 0, np.round(4 * (2 + z)) / 4, np.nan)
        else:
            out[name] = np.maximum(z, 0.0) * 3
    out["t_followup_d"] = np.where(np.isnan(out["t_death_d"]), 30.0, out["t_death_d"])
    return out


def fed(arms, chunk=SUB_BLOCK, **options):
    summary = Summary(ENDPOINTS, list(arms), next(iter(arms)), 30.0, scenario_id="test", **options)
    n = len(next(iter(arms.values()))["t_followup_d"])
    for start in range(0, n, chunk):
        part = slice(start, start + chunk)
        summary.add({a: {c: v[part] for c, v in columns.items()} for a, columns in arms.items()})
    return summary


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
def summary(arms):
    return fed(arms)


def test_outcomes_are_those_of_the_rows(arms, summary):
    """Share, mean, median and cumulative incidence, recomputed from the columns."""
    outcomes, early = summary.outcomes(), arms["early"]
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


def test_contrasts_are_those_of_the_paired_rows(arms, summary):
    """Paired counts, mean difference and its sd, number needed, helped and harmed."""
    contrasts = summary.contrasts(uniform_block)
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
    medians = row(contrasts, endpoint="hospital_days_median")
    assert medians["interval_method"] == "bootstrap"
    assert medians["lower"] < medians["value"] < medians["upper"]
    assert "cannot be observed" in JOINT_CAVEAT


def test_helped_and_harmed_come_latent_first_then_observed(summary):
    """At grade 3 and at grade 2, on the scenario's scale only."""
    frame = summary.contrasts().to_pandas().query("summary in ['helped', 'harmed']")
    assert frame["view"].tolist() == ["latent"] * 4 + ["observed"] * 4
    assert sorted(set(frame["endpoint"])) == ["crs_ge2", "crs_ge3"]
    assert set(frame["scale"]) == {"lee2014"}


def test_identical_arms_differ_by_exactly_zero():
    """Every value and every limit, without a rounding error; the medians too."""
    contrasts = fed({"a": cohort(3000), "b": cohort(3000)}).contrasts(uniform_block).to_pandas()
    assert set(contrasts["interval_method"]) <= {"identical rows", "none"}
    differences = contrasts[~contrasts["summary"].isin(["helped"])]
    assert (differences[["value", "lower", "upper"]].fillna(0.0) == 0.0).all(axis=None)
    assert (differences["lower"].notna() == differences["value"].notna()).all()


def test_arms_that_agree_only_here_keep_a_width():
    """No discordant death is not proof that death is untouched when anything else differs."""
    a, b = cohort(3000), cohort(3000)
    b["icu_days"] = b["icu_days"] + 1.0
    got = row(fed({"a": a, "b": b}).contrasts(), endpoint="death", summary="risk difference")
    assert got["value"] == 0
    assert got["lower"] < 0 < got["upper"]
    assert got["interval_method"] == "Tango score"


@pytest.mark.parametrize("n", [9000, 12 * SUB_BLOCK + 77])
def test_chunks_and_workers_move_no_bit(n):
    """One, two and five sub-blocks a chunk, and two workers merged, give equal tables."""
    arms = {"a": cohort(n), "b": cohort(n, 0.1), "c": cohort(n, 0.3)}
    made = [fed(arms, chunk=k * SUB_BLOCK) for k in (1, 2, 5)]
    cut = 2 * SUB_BLOCK
    halves = [{a: {c: v[part] for c, v in cs.items()} for a, cs in arms.items()} for part in
              (slice(0, cut), slice(cut, None))]  # fmt: skip
    first, second = fed(halves[0]), fed(halves[1], chunk=2 * SUB_BLOCK)
    first.merge(second)
    made.append(first)
    for other in made[1:]:
        assert other.outcomes().equals(made[0].outcomes())
        assert other.contrasts(uniform_block).equals(made[0].contrasts(uniform_block))
        assert other.incidence_curves().equals(made[0].incidence_curves())


def test_nobody_gives_null_and_never_nan():
    """An empty cohort, fed or not, has rows with null values; no NaN anywhere."""
    for summary in (fed({"a": cohort(0), "b": cohort(0)}), Summary(ENDPOINTS, ["a", "b"], "a", 30.0)):
        for table in (summary.outcomes(), summary.contrasts(uniform_block)):
            assert table.num_rows > 100
            for name in ("value", "mcse", "lower", "upper"):
                assert table[name].null_count == table.num_rows
    one = fed({"a": cohort(1), "b": cohort(1, 0.5)})
    for table in (one.outcomes(), one.contrasts(uniform_block)):
        for name in table.column_names:
            if pa.types.is_floating(table[name].type):
                assert not np.isnan(table[name].drop_null().to_numpy()).any()


def test_one_replicate_of_a_ward_has_no_interval_and_three_do():
    """The whole replicate is the unit: mean of the replicates, t over their values."""
    arms = [{"a": cohort(800, 0.0, seed), "b": cohort(800, 0.3, seed)} for seed in (1, 2, 3)]
    single = fed(arms[0], replication_unit="replicate")
    for table in (single.outcomes(), single.contrasts(uniform_block)):
        assert table["value"].null_count < table.num_rows
        assert all(table[name].null_count == table.num_rows for name in ("mcse", "lower", "upper"))
    summary = Summary(ENDPOINTS, ["a", "b"], "a", 30.0, replication_unit="replicate")
    for replicate in (2, 0, 1):
        summary.add(arms[replicate], replicate=replicate)
    got = row(summary.contrasts(), endpoint="icu_days")
    values = [np.mean(r["b"]["icu_days"] - r["a"]["icu_days"]) for r in arms]
    assert got["n_units"] == 3
    assert got["value"] == pytest.approx(np.mean(values))
    assert got["mcse"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(3))
    assert got["interval_method"] == "t over replicates"
    assert summary.incidence_curves()["lower"].null_count == summary.incidence_curves().num_rows


def test_censoring_before_a_day_leaves_the_paired_incidence_null(arms):
    """Pairs can be counted only while everyone is followed; by arm Aalen-Johansen still answers."""
    short = {k: dict(v) for k, v in arms.items()}
    for columns in short.values():
        columns["t_followup_d"] = np.minimum(columns["t_followup_d"], 20.0)
    summary = fed(short)
    contrasts = summary.contrasts()
    assert not pd.isna(row(contrasts, endpoint="crs_any_incidence", level=14.0)["value"])
    assert pd.isna(row(contrasts, endpoint="crs_any_incidence", level=28.0)["value"])
    assert not pd.isna(
        row(summary.outcomes(), arm_id="early", endpoint="crs_any_incidence", level=28.0)["value"]
    )


def test_tables_have_the_declared_columns_and_keys(summary):
    """Names, order and types are those of the store, and no statistic stands twice."""
    for table, types, declared in (
        (summary.outcomes(), OUTCOME_TYPES, OUTCOMES),
        (summary.contrasts(), CONTRAST_TYPES, CONTRASTS),
    ):
        assert table.column_names == list(types) == [c.name for c in declared.columns]
        assert [f.type for f in table.schema] == [c.type for c in declared.columns]
        assert not table.select(declared.keys).to_pandas().duplicated().any()
        for column in declared.columns:
            assert column.nullable or table[column.name].null_count == 0, column.name


def test_what_a_number_rests_on_is_said(arms, summary):
    """Death is never printed bare; a run may say more about its product."""
    assert row(summary.outcomes(), arm_id="early", endpoint="death")["evidence_status"] == "uncalibrated"
    other = fed(arms, evidence_status={"ICANS": "extrapolated"}).outcomes().to_pandas()
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


def test_bad_blocks_are_named(arms):
    """A missing column, a hole in a grade, arms of unequal length, a reference that is no arm."""
    lacking = {k: v for k, v in arms["early"].items() if k != "icu"}
    with pytest.raises(KeyError, match="'icu'"):
        fed({"standard": arms["standard"], "early": lacking})
    holed = arms["early"] | {"icu": np.where(arms["early"]["icu"] > 2, np.nan, 0.0)}
    with pytest.raises(ValueError, match="'icu' has missing values"):
        fed({"standard": arms["standard"], "early": holed})
    with pytest.raises(ValueError, match="differ in length"):
        Summary(ENDPOINTS, ["a", "b"], "a", 30.0).add({"a": cohort(10), "b": cohort(9)})
    with pytest.raises(ValueError, match="reference arm 'x' is not among"):
        Summary(ENDPOINTS, ["a", "b"], "x", 30.0)


@pytest.mark.parametrize("by_arm", [True, False])
def test_stored_tables_give_the_identical_result(tmp_path, by_arm):
    """From Parquet, written arm after arm or block after block, with nulls for NaN: every bit the same."""
    n = 2 * SUB_BLOCK + 500
    arms = {"a": cohort(n), "b": cohort(n, 0.2)}
    (tmp_path / "adsl").mkdir()
    (tmp_path / RESOLVED).write_text(
        "id: test\nstudy: {horizon_days: 30}\ngrading: {crs: lee2014}\narms: [{id: a}, {id: b}]\n"
        "reference: a\nsite: null\nrun: {source: philox}\n"
    )
    (tmp_path / "manifest.json").write_text('{"evidence_counts": {"calibrated": 1}}')
    cuts = [slice(0, n)] if by_arm else [slice(0, SUB_BLOCK), slice(SUB_BLOCK, n)]
    parts = [_adsl(arms[a], a, cut) for cut in cuts for a in arms]
    for k, part in enumerate(parts):
        pq.write_table(part, tmp_path / "adsl" / f"part-{k:05d}.parquet", row_group_size=3000)
    stored, direct = summarise_run(tmp_path), fed(arms)
    assert stored.outcomes().equals(direct.outcomes())
    assert stored.contrasts(uniform_block).equals(direct.contrasts(uniform_block))
    pq.write_table(_adsl(arms["b"], "b", slice(0, 7)), tmp_path / "adsl" / "part-99999.parquet")
    with pytest.raises(ValueError, match="fewer subjects"):
        summarise_run(tmp_path)


def _adsl(columns, arm_id, part):
    n = len(columns["t_followup_d"][part])
    first = part.start
    keys = {
        "design_id": pa.array(np.zeros(n, np.int32)),
        "replicate": pa.array(np.zeros(n, np.int32)),
        "arm_id": pa.array([arm_id] * n).dictionary_encode(),
        "subject": pa.array(np.arange(first, first + n)),
    }
    values = {k: pa.array(v[part], from_pandas=True) for k, v in columns.items()}
    return pa.table(keys | values)
