"""Why: shards of one run can be done on machines that share nothing. Merging puts their blocks into one folder, each
once, after making sure that all are pieces of the same run.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from cartsim.errors import InvalidInput, Mismatch, OutputBroken
from cartsim.store.blocks import (
    Receipt,
    check_blocks,
    clear_failure,
    read_failures,
    read_receipts,
    write_failure,
)
from cartsim.store.lock import hold
from cartsim.store.manifest import (
    PARTIAL,
    Identity,
    find_manifest,
    identity_difference,
    read_manifest,
    refuse_compacted,
    rewrite,
)
from cartsim.store.place import Place

#: Keys of a manifest that must be the same in every shard, where they have them.
SHARED = ("plan",)
#: Files that every shard has alike.
COMMON = ("scenario.resolved.yaml", "design.parquet")
#: Keys that only a complete manifest, or only a shard, has.
_RESULTS = ("finished", "tables", "internal_tables", "files", "shard")


def merge(out: Any, sources: Iterable[Any]) -> dict[str, Receipt]:
    """Copy the blocks of `sources` that `out` lacks; returns {block id: receipt} of all there, in the plan's order.

    `out` is a new folder, or a partial run of the same identity, which may be one of the sources; it is partial
    afterwards: results are made by who knows the plan. The caller must not hold `out`. Raises `InvalidInput` when the
    sources are not pieces of one run, `Mismatch` when a block is another one in two places, `OutputBroken` when one is
    damaged, `Unreachable` when storage fails. Blocks copied before an error stay, and are not copied again.
    """
    target = Place.of(out)
    places = [place for place in dict.fromkeys(Place.of(source) for source in sources) if place != target]
    manifests = {place: read_manifest(place, partial=True) for place in places}
    if (own := find_manifest(target)) is not None:
        manifests = {target: own} | manifests
    if not manifests:
        raise InvalidInput("there is nothing to merge", mend="name the folders of the shards")
    _check_one_run(manifests)
    found = {place: read_receipts(place) for place in manifests}
    _check_blocks_agree(found)
    if own is None:
        _refuse_foreign(target)
    with hold(target, "merge"):
        have = dict(found.get(target, {}))
        check_blocks(target, have.values())
        if own is None or any(receipts.keys() - have.keys() for receipts in found.values()):
            first = next(iter(manifests.values()))
            begun = {k: v for k, v in first.items() if k not in _RESULTS}
            rewrite(target, begun | {"status": PARTIAL})
        for place in places:
            check_blocks(place, (r for key, r in found[place].items() if key not in have))
            for key, receipt in found[place].items():
                if key not in have:
                    _copy(target, place, receipt)
                    have[key] = receipt
            _copy_rest(target, place)
        for place in places:
            for failure in read_failures(place):
                if failure.id not in have:
                    write_failure(target, failure)
        for failure in read_failures(target):
            if failure.id in have:
                clear_failure(target, failure.number, failure.id)
    return dict(sorted(have.items(), key=lambda item: (item[1].number, item[0])))


def _check_one_run(manifests: dict[Place, dict[str, Any]]) -> None:
    (first, said), *others = manifests.items()
    for place, manifest in manifests.items():
        refuse_compacted(place, manifest)
    for place, manifest in others:
        found = identity_difference(Identity.stored(said), Identity.stored(manifest))
        found += [f"the {key} of the run" for key in SHARED if manifest.get(key) != said.get(key)]
        if found:
            raise InvalidInput(
                "these are not pieces of one run", f"{first.text} and {place.text}",
                f"they differ in {'; '.join(found)}",
                "merge the shards of one scenario, made by one version of cartsim with the same options",
            )  # fmt: skip


def _check_blocks_agree(found: dict[Place, dict[str, Receipt]]) -> None:
    by_number: dict[int, tuple[Place, Receipt]] = {}
    for place, receipts in found.items():
        for receipt in receipts.values():
            other_place, other = by_number.setdefault(receipt.number, (place, receipt))
            where = f"block {receipt.number} in {other_place.text} and {place.text}"
            if other.id != receipt.id:
                raise InvalidInput(
                    "these runs are cut into other blocks", where, f"{other.id} and {receipt.id}",
                    "merge the shards of one scenario, made with the same options",
                )  # fmt: skip
            if other != receipt:
                differing = [a.name for a, b in zip(other.tables, receipt.tables, strict=False) if a != b]
                raise Mismatch(
                    "one block has two results", where, f"they differ in {', '.join(differing) or 'their tables'}",
                    "run both shards on the same versions of the packages; nothing was merged",
                )  # fmt: skip


def _copy(target: Place, source: Place, receipt: Receipt) -> None:
    """The files of a block, its marker last."""
    for table in receipt.tables:
        data = source.read_bytes(table.path)
        if hashlib.sha256(data).hexdigest() != table.sha256:
            raise OutputBroken(
                "a block is damaged", source.where(table.path), "it is not the file that was written",
                "run that shard again with --retry",
            )  # fmt: skip
        target.write_bytes(table.path, data)
    target.copy_from(source, receipt.path)


def _copy_rest(target: Place, source: Place) -> None:
    for name in COMMON:
        if not target.exists(name) and source.exists(name):
            target.copy_from(source, name)


def _refuse_foreign(target: Place) -> None:
    if target.names():
        raise InvalidInput(
            "the output folder holds other files", target.text,
            "it is not empty and has no manifest.json of cartsim; nothing there is touched",
            "give --out a new or empty folder",
        )  # fmt: skip
