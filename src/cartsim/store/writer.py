"""Why: a run that fails leaves nothing that looks like a result. Everything is written into a folder beside the
target, the manifest last, and the folder takes its name only when it is whole."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from cartsim.errors import OutputBroken, Unreachable
from cartsim.record import SCHEMA_VERSION, check
from cartsim.record import table as declared
from cartsim.store.content import ContentHash
from cartsim.store.files import PartWriter, file_sha256
from cartsim.store.provenance import Provenance

MANIFEST = "manifest.json"


class RunWriter:
    """Writes the tables of one run as they come, block by block and arm by arm within a block.

    Use as a context manager: leaving it normally publishes the folder `out`, an exception removes what was
    written. `append` checks each part (OutputBroken); storage that cannot be written raises Unreachable (exit
    code 6). One thread at a time. Rows of an arm must come with ascending subjects.

    >>> with RunWriter(out, ["adsl", "adae"], provenance) as run:   # doctest: +SKIP
    ...     run.append("adsl", table)
    ...     run.write_text("scenario.resolved.yaml", text)
    """

    def __init__(
        self,
        out: Path | str,
        tables: Sequence[str],
        provenance: Provenance,
        notes: Mapping[str, object] | None = None,
    ) -> None:
        """`notes` go into the manifest (workers, warnings, ...); keys must be new."""
        self.out = Path(out).absolute()
        self.provenance = provenance
        self.notes: dict[str, object] = dict(notes or {})
        self._created = _now()
        self._published = False
        for name in tables:
            declared(name)
        with _storage(self.out):
            _check_free(self.out)
            self.out.parent.mkdir(parents=True, exist_ok=True)
            #: Where files of the run belong until it is published; figures and reports may be put here.
            self.folder = self.out.with_name(f".{self.out.name}.{os.getpid()}-{os.urandom(4).hex()}.partial")
            self.folder.mkdir()
        self._writers = {name: PartWriter(self.folder, name, provenance.footer(name)) for name in tables}
        self._hashes = {name: ContentHash(name) for name in tables}

    def append(self, name: str, data: pa.Table) -> None:
        """Add rows to a table; KeyError when the table was not announced."""
        check(name, data)
        self._hashes[name].add(data)
        with _storage(self.out):
            self._writers[name].add(data)

    def write_text(self, name: str, text: str) -> None:
        """A text file at the top of the folder, e.g. scenario.resolved.yaml."""
        with _storage(self.out):
            (self.folder / name).write_text(text, encoding="utf-8", newline="\n")

    def publish(self) -> Path:
        """Close the tables, write the manifest, give the folder its name; called on leaving the context."""
        with _storage(self.out):
            for writer in self._writers.values():
                writer.close()
            manifest = json.dumps(self._manifest(), indent=1) + "\n"
            (self.folder / MANIFEST).write_text(manifest, encoding="utf-8")
            _replace(self.folder, self.out)
        self._published = True
        return self.out

    def discard(self) -> None:
        """Remove what was written; nothing happens after `publish`."""
        if self._published:
            return
        for writer in self._writers.values():
            writer.abandon()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.publish()
        finally:
            self.discard()

    def _manifest(self) -> dict[str, object]:
        owned = {path for writer in self._writers.values() for path in writer.paths}
        others = sorted(p for p in self.folder.rglob("*") if p.is_file() and p not in owned)
        made = self.provenance.as_dict()
        return {
            "schema_version": SCHEMA_VERSION,
            "status": "complete",
            "created": self._created,
            "finished": _now(),
            **{k: v for k, v in made.items() if k not in ("schema_version", "scenario_text")},
            **self.notes,
            "tables": [
                {
                    "name": name,
                    "rows": sum(writer.rows),
                    "content_hash": self._hashes[name].hexdigest(),
                    "files": [
                        {"rows": rows, **self._file(path)}
                        for path, rows in zip(writer.paths, writer.rows, strict=True)
                    ],
                }
                for name, writer in self._writers.items()
            ],
            "files": [self._file(path) for path in others],
        }

    def _file(self, path: Path) -> dict[str, object]:
        return {
            "path": path.relative_to(self.folder).as_posix(),
            "bytes": path.stat().st_size,
            "sha256": file_sha256(path),
        }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _check_free(out: Path) -> None:
    if out.is_dir():
        if any(out.iterdir()) and not (out / MANIFEST).is_file():
            raise Unreachable(
                "the output folder holds something that is not a run",
                str(out),
                f"it is not empty and has no {MANIFEST}, so it will not be overwritten",
                "choose another folder with --out, or empty this one",
            )
    elif out.exists():
        raise Unreachable("the output is a file, not a folder", str(out), None, "choose another --out")


def _replace(new: Path, out: Path) -> None:
    """Give `new` the name `out`; an older run there goes only after the new one is whole."""
    _check_free(out)
    if not out.exists():
        new.rename(out)
        return
    old = new.with_suffix(".old")
    out.rename(old)
    try:
        new.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _storage(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unreachable(
            "the results cannot be written",
            str(out),
            error.strerror or str(error),
            "free some space, or choose a folder you may write to with --out",
        ) from error
    except pa.ArrowException as error:
        raise OutputBroken("a table cannot be encoded", str(out), str(error)) from error
