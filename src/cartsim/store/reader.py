"""Why: everything after the run works from what is stored, and can make sure that it is what was written."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cartsim.errors import Mismatch, Unreachable
from cartsim.record import schema
from cartsim.store.content import ContentHash
from cartsim.store.files import file_sha256, parts_of
from cartsim.store.writer import MANIFEST


def read_manifest(folder: Path | str) -> dict[str, Any]:
    """The manifest of a finished run; Unreachable when there is none."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise Unreachable("not a finished run", str(path), "there is no manifest", "run the scenario again")
    return json.loads(path.read_text(encoding="utf-8"))


def read_table(folder: Path | str, name: str, columns: list[str] | None = None) -> pa.Table:
    """One table of a run, parts in order, dictionaries unified; Unreachable when the run does not have it.

    Columns, types, units and labels are declared in `cartsim.record`.
    """
    paths = _paths(folder, name)
    parts = [pq.ParquetFile(path).read(columns=columns) for path in paths]
    data = pa.concat_tables(parts).unify_dictionaries()
    return data.replace_schema_metadata(schema(name).metadata)


def read_provenance(folder: Path | str, name: str) -> dict[str, Any]:
    """What the footer of a table's first part says about the run."""
    return json.loads(pq.read_schema(_paths(folder, name)[0]).metadata[b"cartsim"])


def content_hash(folder: Path | str, name: str) -> str:
    """Content hash of a stored table: the same for any block size, part size or number of workers."""
    content = ContentHash(name)
    for path in _paths(folder, name):
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                content.add(file.read_row_group(group))
    return content.hexdigest()


def verify(folder: Path | str) -> None:
    """Raise Mismatch unless every file of a run is the one its manifest names."""
    folder = Path(folder)
    manifest = read_manifest(folder)
    listed = [file for table in manifest["tables"] for file in table["files"]] + manifest["files"]
    for file in listed:
        path = folder / file["path"]
        if not path.is_file() or file_sha256(path) != file["sha256"]:
            raise Mismatch(
                "a file is not the one that was written", str(path), "its sha256 differs from the manifest"
            )


def _paths(folder: Path | str, name: str) -> list[Path]:
    paths = parts_of(Path(folder), name)
    if not paths:
        raise Unreachable(f"no table {name} in this run", str(folder), None, "list it under outputs: tables:")
    return paths
