"""Why: hours of work must survive a closed laptop, a killed job and one bad design point. What is done is found by
its markers, what is left is handed out, what fails is written down, and nothing is done twice.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pyarrow as pa

from cartsim.errors import Incomplete, Unreachable
from cartsim.store.blocks import (
    BlockFailure,
    Receipt,
    check_blocks,
    clear_failure,
    damaged,
    drop_block,
    read_failures,
    read_markers,
    read_receipts,
    write_block,
    write_failure,
)
from cartsim.store.place import Place
from cartsim.store.provenance import Provenance
from cartsim.sweep.block import run_block
from cartsim.sweep.executors.base import Done, Executor
from cartsim.sweep.growth import key_of
from cartsim.sweep.plan import Block, Plan, block_id
from cartsim.sweep.points import Points
from cartsim.sweep.shards import Shard

#: A run with more failed blocks than this stops: something is wrong with all of them.
MAX_FAILURES = 10

#: (subjects done, subjects in all)
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class WriteBlock:
    """What a worker does with a block: simulate, write, say what was written. Small enough to travel."""

    points: Points
    place: Place
    provenance: Provenance
    names: "BlockNames"

    def __call__(self, block: Block) -> Receipt:
        """Files of the block, its marker last."""
        tables = run_block(self.points, block)
        return write_block(
            self.place, block.number, self.names.of(block), tables, self.provenance, block.describe()
        )


@dataclass(frozen=True)
class KeepBlock:
    """The same without a place: the tables come back."""

    points: Points

    def __call__(self, block: Block) -> dict[str, pa.Table]:
        """{table: rows} of the block."""
        return run_block(self.points, block)


@dataclass
class BlockNames:
    """Ids of blocks: everything that their files follow from, hashed."""

    points: Points
    engine: dict[str, object]
    _keys: dict[tuple[str, ...], str] = field(default_factory=dict)
    _ids: dict[int, str] = field(default_factory=dict)

    def of(self, block: Block) -> str:
        """12 hex digits. A block's number stands for one block as long as a run lasts, so each is hashed once."""
        if block.number not in self._ids:
            if block.arms not in self._keys:
                resolved = self.points.base.resolved()
                self._keys[block.arms] = key_of(resolved, block.arms, self.engine)
            self._ids[block.number] = block_id(self._keys[block.arms], block, self.points.id)
        return self._ids[block.number]


@dataclass
class Progress:
    """Where a run stands: blocks of the plan, those done, and those that failed."""

    blocks: int
    receipts: dict[str, Receipt]
    failures: list[BlockFailure]

    @property
    def whole(self) -> bool:
        """Whether every block is done."""
        return len(self.receipts) >= self.blocks


def execute(
    work: WriteBlock,
    plan: Plan,
    start: Callable[[], Executor],
    *,
    shard: Shard | None = None,
    retry: bool = False,
    max_failures: int = MAX_FAILURES,
    told: Told = lambda done, total: None,
) -> Progress:
    """Do the blocks of a plan that are not done yet (those of `shard` only) and return where the run stands.

    `start` makes the executor, once it is known what is left. Blocks that failed before are left alone unless
    `retry`, which also does damaged blocks again. Raises `OutputBroken` for damaged blocks without `retry`,
    `Incomplete` when more than `max_failures` blocks fail, and lets an interruption through once the workers are
    gone; everything that is done stays done.
    """
    place, names = work.place, work.names
    receipts = _receipts(place, retry)
    failed = {failure.id: failure for failure in read_failures(place)}
    if retry:
        for failure in failed.values():
            clear_failure(place, failure.number, failure.id)
        failed = {}
    finished: dict[str, Receipt] = {}
    total = done = 0
    for block in plan.blocks():
        if shard is None or shard.owns(block.number):
            total += block.subjects
        if (id_ := names.of(block)) in receipts:
            finished[id_] = receipts[id_]
            done += block.subjects if shard is None or shard.owns(block.number) else 0

    def todo() -> Iterator[Block]:
        for block in plan.blocks():
            if shard is not None and not shard.owns(block.number):
                continue
            if (id_ := names.of(block)) not in finished and id_ not in failed:
                yield block

    told(done, total)
    new_failures = 0
    with closing(start()) as executor:
        for ended in executor.run(work, todo()):
            done += ended.task.subjects
            told(done, total)
            if ended.result is not None:
                finished[ended.result.id] = ended.result
                continue
            _reraise(ended)
            failure = _record(work, ended)
            failed[failure.id] = failure
            new_failures += 1
            if new_failures > max_failures:
                raise Incomplete(
                    f"stopped after {count_of(new_failures, 'block')} failed",
                    place.text,
                    f"block {failure.number}: {failure.error}",
                    "`cartsim status` lists them; what is done is kept. --max-failures allows more",
                )
    return Progress(plan.count_blocks(), finished, sorted(failed.values(), key=lambda f: f.number))


def standing_of(points: Points, names: BlockNames, place: Place, plan: Plan) -> Progress:
    """Where a run stands, without doing anything."""
    receipts = _receipts(place, retry=False)
    finished = {id_: receipts[id_] for block in plan.blocks() if (id_ := names.of(block)) in receipts}
    return Progress(plan.count_blocks(), finished, read_failures(place))


def refuse_failures(progress: Progress, place: Place) -> None:
    """Raise `Incomplete` that lists the blocks that failed, if any did."""
    if not progress.failures:
        return
    shown = [f"block {f.number} (seed {f.seed}, {_span(f.cells)}): {f.error}" for f in progress.failures[:5]]
    more = f"\n    and {len(progress.failures) - 5} more" if len(progress.failures) > 5 else ""
    raise Incomplete(
        f"{len(progress.failures)} of {count_of(progress.blocks, 'block')} failed; "
        f"{len(progress.receipts)} done and kept",
        place.text,
        "\n    ".join(shown) + more,
        "mend the cause and run the same command with --retry; tracebacks are in failures/",
    )


def _receipts(place: Place, retry: bool) -> dict[str, Receipt]:
    if not retry:
        receipts = read_receipts(place)
        check_blocks(place, receipts.values())
        return receipts
    receipts, broken = read_markers(place)
    for name in broken:
        place.delete(name)
    sizes = place.sizes()
    for receipt in list(receipts.values()):
        if damaged(place, receipt, deep=True, sizes=sizes) is not None:
            drop_block(place, receipt)
            del receipts[receipt.id]
    return receipts


def _reraise(ended: "Done[Block, Receipt]") -> None:
    """Storage that cannot be written is no fault of a block: the next one would fail as well."""
    failure = ended.failure
    assert failure is not None
    if failure.kind == Unreachable.__name__:
        what, *rest = [line.strip() for line in failure.message.splitlines()] or [""]
        mend = next((line.removeprefix("try: ") for line in rest if line.startswith("try: ")), None)
        where = rest[0] if rest else None
        raise Unreachable(what.removeprefix("error: "), where, "what is done is kept", mend)


def _record(work: WriteBlock, ended: "Done[Block, Receipt]") -> BlockFailure:
    failure, block = ended.failure, ended.task
    assert failure is not None
    record = BlockFailure(
        number=block.number,
        id=work.names.of(block),
        seed=work.points.base.require_seed(),
        cells=tuple(block.describe()),
        error=f"{failure.kind}: {failure.message}",
        traceback=failure.traceback,
    )
    write_failure(work.place, record)
    return record


def count_of(number: int, thing: str) -> str:
    """`1 block`, `3 blocks`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _span(cells: tuple[list[int], ...]) -> str:
    first, last = cells[0][0], cells[-1][0]
    return f"design point {first}" if first == last else f"design points {first} to {last}"
