"""Parquet in and out: blocks that are whole or have not been, and runs that say where they came from."""

from cartsim.store.blocks import (
    BlockFailure,
    Receipt,
    check_blocks,
    clear_failure,
    damaged,
    drop_block,
    read_failures,
    read_receipts,
    write_block,
    write_failure,
)
from cartsim.store.compact import compact
from cartsim.store.files import ResultWriter, TableReceipt
from cartsim.store.lock import hold
from cartsim.store.manifest import (
    Identity,
    identity_difference,
    read_manifest,
    start_over,
    write_complete,
    write_partial,
)
from cartsim.store.merge import merge
from cartsim.store.place import Place
from cartsim.store.provenance import Provenance, dependency_versions, engine_commit, source_digests
from cartsim.store.reader import content_hash, read_parts, read_provenance, read_table, verify

__all__ = [
    "BlockFailure",
    "Identity",
    "Place",
    "Provenance",
    "Receipt",
    "ResultWriter",
    "TableReceipt",
    "check_blocks",
    "clear_failure",
    "compact",
    "content_hash",
    "damaged",
    "dependency_versions",
    "drop_block",
    "engine_commit",
    "hold",
    "identity_difference",
    "merge",
    "read_failures",
    "read_manifest",
    "read_parts",
    "read_provenance",
    "read_receipts",
    "read_table",
    "source_digests",
    "start_over",
    "verify",
    "write_block",
    "write_complete",
    "write_failure",
    "write_partial",
]
