"""Why: a run of a thousand blocks is a thousand small files a table; who only reads it, here or over a network, is
better served by few large ones. The rows stay the same, and so do the content hashes.

New files are written and read back first, then the manifest, then the old files go: a kill in between leaves a run
that can be read, and compacting again cleans up.
"""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from cartsim.errors import Mismatch
from cartsim.record import table as declared
from cartsim.store.blocks import BLOCKS, FOLDED, check_blocks, read_receipts
from cartsim.store.content import content_digest
from cartsim.store.files import FileWriter, TableReceipt
from cartsim.store.lock import hold
from cartsim.store.manifest import (
    MANIFEST,
    listed_files,
    other_files,
    read_manifest,
    remove_strays,
    rewrite,
    table_entries,
)
from cartsim.store.place import Place
from cartsim.store.reader import footer_of, groups_of, stored_sums

#: A part is closed at whichever comes first.
PART_ROWS, PART_BYTES = 524_288, 128 << 20


def compact(where: Any) -> dict[str, Any]:
    """Fold the blocks of a finished run into large parts, `part-00000.parquet` onwards; returns the new manifest.

    The run is final afterwards: its manifest says `compacted`, and no block can be added. Compacting again does
    nothing. Raises `Unreachable` when the run is not finished or somebody writes there, `OutputBroken` when a block is
    damaged, `Mismatch` when rows read back are not those of the manifest (nothing is removed then).
    """
    place = Place.of(where)
    manifest = read_manifest(place)
    with hold(place, "compact"):
        manifest = read_manifest(place)
        if not manifest.get("compacted"):
            receipts = read_receipts(place)
            check_blocks(place, receipts.values())
            # what a compaction that was killed has left
            remove_strays(place, listed_files(manifest))
            parts = {}
            for entry in [*manifest["tables"], *manifest["internal_tables"]]:
                parts[entry["name"]] = _fold(place, entry)
            folded = json.dumps([receipt.plain() for receipt in receipts.values()]) + "\n"
            place.write_text(FOLDED, folded)
            manifest |= {"compacted": True, **table_entries(parts)}
            old = [f for f in manifest["files"] if f["path"] != FOLDED]
            manifest["files"] = sorted(old + other_files(place, [FOLDED]), key=lambda f: str(f["path"]))
            rewrite(place, manifest)
        _remove_old(place, manifest)
    return manifest


def _fold(place: Place, entry: dict[str, Any]) -> list[TableReceipt]:
    """Write the parts of one table; the content hash must come out as it was."""
    name = entry["name"]
    old = [file["path"] for file in entry["files"]]
    if not (declared(name).streamed or declared(name).internal):
        sums = stored_sums(place, name, old)
        made = [
            TableReceipt(name, file["path"], file["rows"], file["bytes"], file["sha256"], sums[1:])
            for file in entry["files"]
        ]
    else:
        made = _write_parts(place, name, old)
        sums = stored_sums(place, name, [table.path for table in made])
    if content_digest(name, sums) != entry["content_hash"]:
        raise Mismatch(
            f"the rows of {name} are not those of the manifest", place.where(name),
            "their content hash differs", "find the damaged file with `cartsim status`; nothing was removed",
        )  # fmt: skip
    return made


def _write_parts(place: Place, name: str, old: list[str]) -> list[TableReceipt]:
    made: list[TableReceipt] = []
    footer = footer_of(place, old[0])
    waiting: Iterator[pa.Table] = (group for path in old for group in groups_of(place, path))
    group = next(waiting, None)
    while group is not None or not made:
        with FileWriter(place, name, footer, f"{name}/part-{len(made):05d}.parquet") as part:
            while group is not None:
                part.append(group)
                group = next(waiting, None)
                if part.rows >= PART_ROWS or part.bytes >= PART_BYTES:
                    break
        made.append(part.close())
    return made


def _remove_old(place: Place, manifest: dict[str, Any]) -> None:
    """Markers first: a part without a marker belongs to nobody."""
    for name in place.names(BLOCKS):
        place.delete(name)
    place.delete_all(BLOCKS)
    remove_strays(place, listed_files(manifest) | {MANIFEST})
