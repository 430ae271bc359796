"""Why: on a local disk a file is whole or not there: written under a temporary name, then renamed. What goes wrong is
said in plain words.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cartsim.errors import Unreachable

#: Ending of files that are being written; a killed writer may leave one.
WRITING = ".writing"


class Disk:
    """Files below a local folder, by relative names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, data: bytes) -> None:
        """A whole file."""
        with self.writing(name) as temporary, plain_words("write a file", self.folder / name):
            temporary.write_bytes(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A temporary file to fill; on leaving it becomes `name`, on an exception it is gone."""
        target = self.folder / name
        temporary = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}{WRITING}")
        try:
            with plain_words("write a file", target):
                target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with plain_words("write a file", target):
                os.replace(temporary, target)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def read(self, name: str) -> bytes | None:
        """A whole file, None when there is none."""
        path = self.folder / name
        with plain_words("read a file", path):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def open(self, name: str) -> Any:
        """A pyarrow file."""
        import pyarrow as pa

        with plain_words("read a file", self.folder / name):
            return pa.OSFile(str(self.folder / name), "rb")

    def size(self, name: str) -> int | None:
        """Bytes of a file, None when there is none."""
        path = self.folder / name
        with plain_words("read a file", path):
            return path.stat().st_size if path.is_file() else None

    def listing(self, under: str) -> dict[str, tuple[int, float]]:
        """{name: (bytes, time of the last change)}."""
        found: dict[str, tuple[int, float]] = {}
        with plain_words("list the files", self.folder / under):
            if (self.folder / under).exists() and not (self.folder / under).is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "it is a file, not a folder")
            for folder, _, files in os.walk(self.folder / under, onerror=_throw):
                for file in files:
                    path = Path(folder) / file
                    # somebody else may rename or remove it meanwhile
                    with suppress(FileNotFoundError):
                        state = path.lstat()
                        found[path.relative_to(self.folder).as_posix()] = state.st_size, state.st_mtime
        return found

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        with plain_words("remove a file", self.folder / name):
            (self.folder / name).unlink(missing_ok=True)

    def delete_folders(self, under: str) -> None:
        """Remove empty folders at and below `under`."""
        for folder, _, _ in os.walk(self.folder / under, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)

    def reach(self) -> None:
        """Write and remove one small file in the folder, or in the nearest one that exists above it."""
        folder = self.folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        trial = folder / f".cartsim-{os.getpid()}-{os.urandom(4).hex()}{WRITING}"
        try:
            with plain_words("write into the output folder", self.folder):
                trial.write_bytes(b"\0" * 4096)
        finally:
            with suppress(OSError):
                trial.unlink(missing_ok=True)


def _throw(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


@contextmanager
def plain_words(doing: str, where: Path | str) -> Iterator[None]:
    """Turn what a local disk throws into `Unreachable`; `doing` completes "cannot ..."."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise Unreachable(
            f"cannot {doing}: no space is left" if full else f"cannot {doing}",
            str(where),
            error.strerror or str(error),
            "free some space and run again: what is done is kept"
            if full
            else "choose a folder you may write to with --out",
        ) from error
