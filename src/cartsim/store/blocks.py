"""Why: a run that is killed keeps every block that was done. A block writes its own files and then its marker, the
receipt of what it wrote; a block without a marker has not been. Two who do the same block write the same bytes, so it
does not matter if it is done twice.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cartsim.errors import OutputBroken
from cartsim.record import check
from cartsim.record import table as declared
from cartsim.record.check import sort_keys, stream_runs
from cartsim.store.content import content_sums
from cartsim.store.files import TableReceipt, encode
from cartsim.store.place import Place
from cartsim.store.provenance import Provenance

BLOCKS, FAILURES = "blocks", "failures"
#: All receipts of a compacted run.
FOLDED = "blocks.json"
RETRY = "run again with --retry: damaged blocks are run again, the others kept"


@dataclass(frozen=True)
class Receipt:
    """What a block wrote. `number` is its place in the plan, `id` names its work, `cells` say what it covers.

    Nothing in it depends on when or where the block was done.
    """

    number: int
    id: str
    cells: tuple[Any, ...]
    tables: tuple[TableReceipt, ...]

    @property
    def path(self) -> str:
        """Where its marker lies."""
        return _marker(self.number, self.id)

    @property
    def rows(self) -> int:
        """Rows of all its tables."""
        return sum(table.rows for table in self.tables)

    @property
    def bytes(self) -> int:
        """Bytes of all its files."""
        return sum(table.bytes for table in self.tables)

    def table(self, name: str) -> TableReceipt | None:
        """What it wrote of one table."""
        return next((table for table in self.tables if table.name == name), None)

    def plain(self) -> dict[str, Any]:
        """Plain data for JSON, with a checksum of itself."""
        body = {
            "number": self.number,
            "id": self.id,
            "cells": list(self.cells),
            "tables": [table.plain() for table in self.tables],
        }
        return body | {"check": _checksum(body)}

    @classmethod
    def of(cls, plain: Any) -> "Receipt":
        """Read back what `plain` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        body = {key: value for key, value in plain.items() if key != "check"}
        if plain["check"] != _checksum(body):
            raise ValueError("its checksum is wrong")
        tables = tuple(TableReceipt.of(table) for table in plain["tables"])
        return cls(int(plain["number"]), str(plain["id"]), tuple(plain["cells"]), tables)


def write_block(
    place: Place,
    number: int,
    id: str,
    tables: Mapping[str, pa.Table],
    provenance: Provenance,
    cells: Iterable[Any],
) -> Receipt:
    """Check and write the tables of a block, its marker last. `cells` must be plain data for JSON.

    Raises `OutputBroken` for a table that breaks its declaration, `Unreachable` where it cannot be written; then
    there is no marker, and the block has not been.
    """
    written = []
    for name, data in tables.items():
        check(name, data)
        _check_streams(name, data)
        rows, first, second = content_sums(name, data)
        content = encode(name, data, provenance)
        path = part_path(name, number, id)
        place.write_bytes(path, content)
        written.append(
            TableReceipt(name, path, rows, len(content), hashlib.sha256(content).hexdigest(), (first, second))
        )
    # through JSON, so that a receipt just made equals the one read back
    receipt = Receipt(number, id, tuple(json.loads(json.dumps(list(cells)))), tuple(written))
    place.write_text(receipt.path, _json(receipt.plain()))
    clear_failure(place, number, id)
    return receipt


def read_receipts(place: Place) -> dict[str, Receipt]:
    """{block id: receipt} of the blocks that are done, in the order of the plan.

    Raises `OutputBroken` that names every marker that cannot be read.
    """
    receipts, broken = read_markers(place)
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise OutputBroken(
            "markers of blocks are damaged" if len(broken) > 1 else "the marker of a block is damaged",
            place.where(sorted(broken)[0]),
            "; ".join(f"block {_number(name)}: {broken[name]}" for name in sorted(broken)[:3]) + more,
            RETRY,
        )
    return receipts


def read_markers(place: Place) -> tuple[dict[str, Receipt], dict[str, str]]:
    """Receipts as `read_receipts` gives them, and {name of a marker that cannot be read: why}."""
    receipts: list[Receipt] = []
    broken: dict[str, str] = {}
    for name, data in place.find_all(place.names(BLOCKS, ".json")).items():
        try:
            receipt = Receipt.of(json.loads(data or b""))
            if receipt.path != name:
                raise ValueError(f"it is the marker of block {receipt.number} ({receipt.id})")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            torn = isinstance(error, json.JSONDecodeError | UnicodeDecodeError)
            broken[name] = "it is torn" if torn else str(error)
        else:
            receipts.append(receipt)
    if (folded := place.find(FOLDED)) is not None:
        receipts = [Receipt.of(plain) for plain in json.loads(folded)] + receipts
    return {r.id: r for r in sorted(receipts, key=lambda r: (r.number, r.id))}, broken


def damaged(
    place: Place, receipt: Receipt, deep: bool = False, sizes: Mapping[str, int] | None = None
) -> str | None:
    """What is wrong with the files of a block, in words; None when they are there and as long as they were.

    `deep` also compares the sha256 of each; `sizes` (from `place.sizes()`) spares a question for each file.
    """
    for table in receipt.tables:
        size = place.size(table.path) if sizes is None else sizes.get(table.path)
        if size is None:
            return f"{table.path} is missing"
        if size != table.bytes:
            return f"{table.path} has {size:,} bytes instead of {table.bytes:,}"
        if deep and sha256_of(place.read_bytes(table.path)) != table.sha256:
            return f"{table.path} is not the file that was written"
    return None


def check_blocks(place: Place, receipts: Iterable[Receipt], deep: bool = False) -> None:
    """Raise `OutputBroken` naming the blocks whose files are not those of their receipts."""
    sizes = place.sizes()
    wrong = {r.number: why for r in receipts if (why := damaged(place, r, deep, sizes)) is not None}
    if wrong:
        shown = "; ".join(f"block {number}: {why}" for number, why in list(wrong.items())[:3])
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise OutputBroken("files of the run are damaged", place.text, shown + more, RETRY)


def drop_block(place: Place, receipt: Receipt) -> None:
    """Forget a block: its marker first, so that it has not been, then its files."""
    place.delete(receipt.path)
    for table in receipt.tables:
        place.delete(table.path)


@dataclass(frozen=True)
class BlockFailure:
    """A block that could not be done; all that is needed to do it alone again."""

    number: int
    id: str
    seed: int
    cells: tuple[Any, ...]
    error: str
    traceback: str

    @property
    def path(self) -> str:
        """Where its record lies."""
        return f"{FAILURES}/{self.number:05d}-{self.id}.json"


def write_failure(place: Place, failure: BlockFailure) -> None:
    """Record a block that failed."""
    place.write_text(failure.path, _json(failure.__dict__ | {"cells": list(failure.cells)}))


def read_failures(place: Place) -> list[BlockFailure]:
    """Blocks that failed and have not been done since, in the order of the plan; torn records are left out."""
    found = []
    for data in place.find_all(place.names(FAILURES, ".json")).values():
        try:
            plain = json.loads(data or b"")
            found.append(BlockFailure(**plain | {"cells": tuple(plain["cells"])}))
        except (ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda f: (f.number, f.id))


def clear_failure(place: Place, number: int, id: str) -> None:
    """Forget that a block failed."""
    place.delete(f"{FAILURES}/{number:05d}-{id}.json")


def part_path(name: str, number: int, id: str) -> str:
    """Where the rows of a block lie."""
    return f"{name}/part-{number:05d}-{id}.parquet"


def sha256_of(data: bytes) -> str:
    """sha256 of a file's bytes."""
    return hashlib.sha256(data).hexdigest()


def _marker(number: int, id: str) -> str:
    return f"{BLOCKS}/{number:05d}-{id}.json"


def _number(marker: str) -> str:
    return marker.removeprefix(f"{BLOCKS}/").removesuffix(".json")


def _json(plain: dict[str, Any]) -> str:
    return json.dumps(plain) + "\n"


def _checksum(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_streams(name: str, data: pa.Table) -> None:
    """A stream that comes in several pieces goes on where it ended; within a piece `check` looks at the order."""
    spec = declared(name)
    if not spec.streamed:
        return
    keys = sort_keys(spec, data)
    last: dict[tuple[Any, ...], int] = {}
    for stream, start, stop in stream_runs(data):
        before = last.get(stream)
        if before is not None and not [k[before] for k in keys] < [k[start] for k in keys]:
            raise OutputBroken(
                f"rows of {name} are not in key order", f"{name} {'/'.join(map(str, stream))}",
                f"a piece begins at {keys[0][start]} after one that ended at {keys[0][before]}",
                "this is a fault of cartsim: please report it",
            )  # fmt: skip
        last[stream] = stop - 1
