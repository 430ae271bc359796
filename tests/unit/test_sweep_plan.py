"""A run is cut so that every subject is in one block, whatever the sizes, and growing leaves what was there alone."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartsim.errors import InvalidInput
from cartsim.sweep.plan import MOST_ROWS, Block, Cell, Plan, block_id

sizes = st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(0, 30_000))


def covered(plan: Plan) -> set[tuple[str, int, int, int]]:
    """Every (arm, design point, replicate, subject) of a plan; a subject met twice is an error."""
    seen: set[tuple[str, int, int, int]] = set()
    for block in plan.blocks():
        for cell in block.cells:
            for subject in range(cell.first, cell.first + cell.count):
                for arm in block.arms:
                    place = (arm, cell.design_id, cell.replicate, subject)
                    assert place not in seen
                    seen.add(place)
    return seen


def everything(
    points: int, replicates: int, subjects: int, arms: list[str]
) -> set[tuple[str, int, int, int]]:
    return {
        (a, p, r, s) for a in arms for p in range(points) for r in range(replicates) for s in range(subjects)
    }


@settings(max_examples=60, deadline=None)
@given(sizes, st.sampled_from([None, 1, 7, 100, 4096]), st.booleans())
def test_every_subject_is_in_exactly_one_block(
    size: tuple[int, int, int], block: int | None, whole: bool
) -> None:
    points, replicates, subjects = size[0], size[1], size[2] // 10
    plan = Plan.new(points, replicates, subjects, ["a", "b"], whole=whole, size=block)
    assert covered(plan) == everything(points, replicates, subjects, ["a", "b"])
    blocks = list(plan.blocks())
    assert [b.number for b in blocks] == list(range(plan.count_blocks()))
    assert plan.total == points * replicates * subjects == sum(b.subjects for b in blocks)


@settings(max_examples=40, deadline=None)
@given(sizes, st.integers(0, 3), st.integers(0, 2), st.integers(0, 500), st.booleans())
def test_a_grown_plan_keeps_its_blocks_and_covers_the_rest(
    size: tuple[int, int, int], points: int, replicates: int, subjects: int, arm: bool
) -> None:
    p, r, s = size[0], size[1], size[2] // 100
    plan = Plan.new(p, r, s, ["a", "b"])
    arms = ["a", "b", "c"] if arm else ["a", "b"]
    grown = plan.extended(p + points, r + replicates, s + subjects, arms)
    assert list(grown.blocks())[: plan.count_blocks()] == list(plan.blocks())
    assert covered(grown) == everything(p + points, r + replicates, s + subjects, arms)
    again = Plan.of(json.loads(json.dumps(grown.plain())))
    assert again == grown


def test_a_plan_cannot_shrink() -> None:
    plan = Plan.new(2, 2, 100, ["a"])
    for smaller in ((1, 2, 100), (2, 1, 100), (2, 2, 99)):
        with pytest.raises(InvalidInput, match="can only grow") as caught:
            plan.extended(*smaller, ["a"])
        assert caught.value.mend


def test_at_a_site_subjects_cannot_be_added_but_replicates_can() -> None:
    plan = Plan.new(1, 2, 50, ["a"], whole=True)
    with pytest.raises(InvalidInput, match="they meet"):
        plan.extended(1, 2, 60, ["a"])
    assert plan.extended(1, 3, 50, ["a"]).total == 150


def test_small_points_share_a_block_and_large_ones_are_cut() -> None:
    small = Plan.new(10_000, 1, 100, ["a", "b"])
    assert 20 < small.count_blocks() < 100
    large = list(Plan.new(1, 1, 1_000_000, ["a", "b"]).blocks())
    assert all(2 * block.subjects <= MOST_ROWS for block in large)
    assert all(a.cells[0].first + a.cells[0].count == b.cells[0].first for a, b in pairwise(large))


def test_an_empty_cohort_is_still_one_cell_a_point() -> None:
    (block,) = Plan.new(3, 1, 0, ["a"]).blocks()
    assert block.cells == (Cell(0, 0, 0, 0), Cell(1, 0, 0, 0), Cell(2, 0, 0, 0))


def test_an_id_follows_from_everything_that_makes_the_rows() -> None:
    block = Block(0, ("a", "b"), (Cell(0, 0, 0, 10), Cell(1, 0, 0, 10)))
    ids = {
        block_id("key", block, str),
        block_id("other", block, str),
        block_id("key", block, lambda i: f"point {i}"),
        block_id("key", Block(0, ("a",), block.cells), str),
        block_id("key", Block(0, ("a", "b"), block.cells[:1]), str),
        block_id("key", Block(0, ("a", "b"), (Cell(0, 0, 0, 11), Cell(1, 0, 0, 10))), str),
        block_id("key", Block(0, ("a", "b"), (Cell(0, 1, 0, 10), Cell(1, 0, 0, 10))), str),
    }
    assert len(ids) == 7
    assert all(len(id_) == 12 for id_ in ids)
    # where a block stands in the plan does not change what it holds
    assert block_id("key", Block(5, block.arms, block.cells), str) == block_id("key", block, str)
