"""Parquet in and out: runs are written whole or not at all, and say where they came from."""

from cartsim.store.provenance import Provenance, dependency_versions, engine_commit
from cartsim.store.reader import content_hash, read_manifest, read_provenance, read_table, verify
from cartsim.store.writer import RunWriter

__all__ = [
    "Provenance",
    "RunWriter",
    "content_hash",
    "dependency_versions",
    "engine_commit",
    "read_manifest",
    "read_provenance",
    "read_table",
    "verify",
]
