"""Counts of subjects: those of the rows, and one table whatever blocks, orders and extensions they came through."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from analysis_cohort import ENDPOINTS, cohort, cut

from cartsim.analysis.endpoints import report_days
from cartsim.analysis.fold import pool_replicates
from cartsim.analysis.plan import LEVELS, Plan
from cartsim.analysis.tally import TALLY, fold, tally

DAYS = report_days(30.0)
PLAN = Plan.of(ENDPOINTS, DAYS)
SIZES = (300, 40, 1, 700, 5, 954)


def arms_of(n, continuous=False):
    """Three arms; `continuous` takes one column off its grid."""
    arms = {"a": cohort(n), "b": cohort(n, 0.2), "c": cohort(n, 0.5)}
    if continuous:
        for k, columns in enumerate(arms.values()):
            columns["hospital_days"] = np.random.default_rng(k).gamma(3.0, 4.0, n)
    return arms


def labels(sizes=SIZES):
    """Design points and replicates of consecutive cohorts: two replicates of the first three points."""
    points = np.repeat(np.array([0, 0, 1, 1, 2, 2][: len(sizes)], np.int32), sizes)
    return points, np.repeat(np.array([0, 1, 0, 1, 0, 1][: len(sizes)], np.int32), sizes)


def counted(arms, part=slice(None), keep=("a", "b", "c"), plan=PLAN, sizes=SIZES):
    design, replicate = labels(sizes)
    return tally(plan, design[part], replicate[part], cut(arms, part), "a", keep)


def rows(table, **which):
    frame = table.to_pandas()
    for name, value in which.items():
        frame = frame[frame[name] == value]
    return frame


@pytest.fixture(scope="module")
def arms():
    return arms_of(2000, continuous=True)


@pytest.fixture(scope="module")
def whole(arms):
    return counted(arms)


def test_counts_are_those_of_the_rows(arms, whole):
    """Levels, joint levels, values, pairs and subjects that differ, of one cohort in the middle of the block."""
    assert whole.schema.equals(TALLY)
    part = slice(341, 1041)  # design point 1, replicate 1
    here = {"design_id": 1, "replicate": 1, "arm_id": "b"}
    new, old = ({k: v[part] for k, v in arms[a].items()} for a in ("b", "a"))
    assert rows(whole, **here, kind="subjects")["count"].tolist() == [700]
    got = rows(whole, **here, kind="level", feature="level crs_max_lee2014")
    assert dict(zip(got["key"], got["count"], strict=True)) == _tabled(new["crs_max_lee2014"])
    got = rows(whole, **here, kind="level", feature="happened t_death_d")
    assert dict(zip(got["key"], got["count"], strict=True)) == _tabled(~np.isnan(new["t_death_d"]))
    got = rows(whole, **here, kind="level", feature="time t_crs_d")
    assert dict(zip(got["key"], got["count"], strict=True)) == _tabled(sum(new["t_crs_d"] <= d for d in DAYS))
    got = rows(whole, **here, kind="joint level", feature="level icans_latent")
    joint = zip(old["icans_latent"].tolist(), new["icans_latent"].tolist(), strict=True)
    expected: dict[tuple[int, int], int] = {}
    for pair in joint:
        expected[pair] = expected.get(pair, 0) + 1
    assert dict(zip(zip(got["key"], got["key2"], strict=True), got["count"], strict=True)) == expected
    got = rows(whole, **here, kind="value", feature="crs_duration_d")
    values, counts = np.unique(new["crs_duration_d"][~np.isnan(new["crs_duration_d"])], return_counts=True)
    assert got["key"].tolist() == values.tolist()
    assert got["count"].tolist() == counts.tolist()
    got = rows(whole, **here, kind="pair", feature="hospital_days")
    pairs = np.unique(np.stack([old["hospital_days"], new["hospital_days"]]), axis=1)
    assert np.array_equal(got[["key", "key2"]].to_numpy(), pairs.T)
    differs = np.zeros(700, bool)
    for name in PLAN.columns:
        differs |= ~((new[name] == old[name]) | ((new[name] != new[name]) & (old[name] != old[name])))
    assert rows(whole, **here, kind="differing")["count"].tolist() == [differs.sum()]
    got = rows(whole, **here, kind="changed", feature="steroid_mg_dex_eq")
    change = new["steroid_mg_dex_eq"] - old["steroid_mg_dex_eq"]
    assert dict(zip(got["key"], got["count"], strict=True)) == _tabled(change[change != 0] > 0)
    assert not len(rows(whole, arm_id="a", kind="joint level"))
    assert not len(rows(whole, kind="censored before"))


def _tabled(values):
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.astype(float).tolist(), counts.tolist(), strict=True))


def test_rows_stand_in_one_order(whole):
    """By design, replicate, arm, kind, feature, keys; no key stands twice and no count is 0 but in a sum's limbs."""
    frame = whole.to_pandas()
    keys = list(frame.columns[:-1])
    frame[["arm_id", "kind", "feature"]] = frame[["arm_id", "kind", "feature"]].astype(str)
    ordered = frame.sort_values(keys, na_position="first", kind="stable")
    assert frame.index.equals(ordered.index)
    assert not frame.duplicated(keys).any()
    assert (frame["count"][~frame["kind"].str.endswith("moment")] > 0).all()
    assert whole["key2"].null_count == (~frame["kind"].isin(["joint level", "pair"])).sum()


@pytest.mark.parametrize("seed", range(6))
def test_no_cut_and_no_order_moves_a_row(arms, whole, seed):
    """Blocks of any size (one subject too), folded in any order and in any tree, give the identical table."""
    rng = np.random.default_rng([41, seed])
    edges = [0, *sorted(rng.choice(2000, rng.integers(1, 12), replace=False).tolist()), 2000]
    parts = [counted(arms, slice(a, b)) for a, b in pairwise(edges) if b > a]
    rng.shuffle(parts)
    assert fold(parts).equals(whole)
    half = len(parts) // 2
    assert fold([fold(parts[half:]), fold(parts[:half]), TALLY.empty_table()]).equals(whole)
    assert fold(iter([whole])).equals(whole)
    through_file = pa.ipc.open_stream(_stream(parts)).read_all()
    assert fold([through_file]).equals(whole)


def _stream(parts):
    """Parts as one Arrow stream, each with its own dictionaries, as files on disk have."""
    sink = pa.BufferOutputStream()
    plain = [
        p.cast(
            pa.schema(
                [
                    f if f.name not in ("arm_id", "kind", "feature") else pa.field(f.name, pa.string())
                    for f in TALLY
                ]
            )
        )
        for p in parts
    ]
    with pa.ipc.new_stream(sink, plain[0].schema) as out:
        for part in plain:
            out.write_table(part, max_chunksize=1000)
    return sink.getvalue()


def test_subjects_replicates_and_points_can_be_added_later(arms, whole):
    """A run of the first cohorts, extended by the others and by subjects of the last, is the run of all."""
    first = counted(arms, slice(0, 1500))
    later = counted(arms, slice(1500, 2000))
    assert fold([first, later]).equals(whole)
    assert not fold([first]).equals(whole)


def test_an_arm_can_be_added_later(arms, whole):
    """Arm c with the reference only to pair with, folded into the tally of a and b, is a, b and c at once."""
    before = counted({k: arms[k] for k in "ab"}, keep=("a", "b"))
    added = counted({k: arms[k] for k in "ca"}, keep=("c",))
    assert set(added["arm_id"].to_pylist()) == {"c"}
    assert fold([added, before]).equals(whole)


def test_blocks_larger_than_a_chunk_are_cut_inside():
    """More than 131,072 subjects give the counts of their parts."""
    n, names = 140_000, ("a", "b")
    plan = Plan.of([e for e in ENDPOINTS if e.id in ("icu_days", "crs_any", "crs_onset")], DAYS, curves=False)
    arms = arms_of(n)
    pair = {k: arms[k] for k in names}
    once = counted(pair, keep=names, plan=plan, sizes=(n,))
    parts = [counted(pair, part, names, plan, (n,)) for part in (slice(0, 77_777), slice(77_777, n))]
    assert fold(parts).equals(once)


def test_a_sweep_keeps_neither_curves_nor_pairs(arms, whole):
    """Without them a point is small; what is left is the same rows."""
    small = counted(arms, plan=Plan.of(ENDPOINTS, DAYS, curves=False, pairs=False))
    kinds = set(small["kind"].to_pylist())
    differences = {"joint level", "difference moment", "changed", "differing"}
    assert kinds == {"subjects", "level", "value", "moment"} | differences
    assert small.num_rows < whole.num_rows
    kept, found = (rows(t, kind="joint level").astype(str).to_numpy() for t in (whole, small))
    assert np.array_equal(kept, found)


def test_replicates_pool_to_one_cohort(arms):
    """All replicates of a point as one, numbered 0: the tally of the same subjects with one number."""
    pooled = pool_replicates(counted(arms))
    design, _ = labels()
    assert pooled.equals(tally(PLAN, design, np.zeros_like(design), arms, "a", "abc"))


def test_censoring_is_counted_before_each_day(arms):
    """Subjects alive, without the event, last seen before the day."""
    short = {k: dict(v) for k, v in arms.items()}
    for columns in short.values():
        columns["t_followup_d"] = np.minimum(
            columns["t_followup_d"], np.where(np.arange(2000) % 3, 30.0, 10.0)
        )
    got = rows(
        counted(short), design_id=0, replicate=0, arm_id="b", kind="censored before", feature="t_crs_d"
    )
    columns = {k: v[:300] for k, v in short["b"].items()}
    never = np.isnan(columns["t_crs_d"]) & np.isnan(columns["t_death_d"])
    expected = [(never & (columns["t_followup_d"] < day)).sum() for day in DAYS]
    assert expected[0] == 0 < expected[1]
    assert dict(zip(got["key"], got["count"], strict=True)) == dict(zip(DAYS[1:], expected[1:], strict=True))


def test_bad_blocks_are_named(arms):
    """A missing column or arm, a hole in a grade, unequal lengths, a cohort in two pieces, too many days."""
    lacking = {k: v for k, v in arms["b"].items() if k != "icu"}
    with pytest.raises(KeyError, match="'icu'"):
        counted(arms | {"b": lacking})
    with pytest.raises(KeyError, match="no arm 'c'"):
        counted({k: arms[k] for k in "ab"})
    with pytest.raises(KeyError, match="no arm 'a'"):
        counted({"b": arms["b"]}, keep=("b",))
    holed = arms["b"] | {"icu": np.where(arms["b"]["icu"] > 2, np.nan, 0.0)}
    with pytest.raises(ValueError, match="'icu' has missing values"):
        counted(arms | {"b": holed})
    with pytest.raises(ValueError, match="differ in length"):
        counted(arms | {"b": cohort(9)})
    design, replicate = labels()
    with pytest.raises(ValueError, match="must follow each other"):
        tally(PLAN, np.roll(design, 10), np.roll(replicate, 10), arms, "a", "abc")
    with pytest.raises(ValueError, match=f"at most {LEVELS - 1} report days"):
        Plan.of(ENDPOINTS, tuple(float(d) for d in range(LEVELS)))
    assert counted(arms, slice(0, 0)).equals(TALLY.empty_table())
