"""Why: a run is the same run in a local folder and in an object store. A place is where one lies: it takes whole files
under relative names, never half of one, and says in plain words when storage fails.
"""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

from cartsim.errors import InvalidInput, Unreachable
from cartsim.store.disk import WRITING, Disk
from cartsim.store.remote import OPTIONS, SCHEMES, Bucket

#: Names that the store itself uses begin with this; lock files are kept when everything else goes.
LOCKS = ".lock"
# One slash too: pathlib folds two into one.
_URI = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)
_AT_ONCE = 16


class Place:
    """A run's folder. Names are relative, with `/`; a part that begins with a dot belongs to the store itself.

    Every method raises `Unreachable` where storage fails: full disk, no such bucket, endpoint that does not answer.
    Places can be pickled; credentials come from the environment and do not travel.
    """

    def __init__(self, text: str, local: Path | None, kind: str, root: str, options: dict[str, str]) -> None:
        """Use `Place.of`."""
        #: What a person would type, without options.
        self.text = text
        #: The folder; None for an object store.
        self.local = local
        self._kind, self._root, self._options = kind, root, options

    @classmethod
    def of(
        cls, where: "str | Path | Place", *, endpoint: str | None = None, region: str | None = None
    ) -> "Place":
        """The place of that name: a folder, or s3://, gs://, abfs://bucket/prefix[?endpoint_override=...&region=...].

        Nothing is touched. Raises `InvalidInput` for a URI that names no bucket or has an option nobody knows.
        """
        if isinstance(where, Place):
            return where
        text = str(where)
        uri = _URI.fullmatch(text)
        if uri is None:
            return cls(text, Path(text).absolute(), "local", "", {})
        scheme, rest = uri.groups()
        if scheme == "file":
            return cls(text, Path("/" + rest), "local", "", {})
        if scheme not in SCHEMES:
            known = ", ".join(f"{s}://" for s in SCHEMES)
            raise InvalidInput("no such kind of storage", text, mend=f"a folder, or one of {known}")
        kind = SCHEMES[scheme]
        path, _, query = rest.partition("?")
        options = dict(parse_qsl(query))
        if endpoint is not None:
            options["endpoint_override"] = endpoint
        if region is not None:
            options["region"] = region
        if "://" in options.get("endpoint_override", ""):
            protocol, _, host = options["endpoint_override"].partition("://")
            options |= {"endpoint_override": host.rstrip("/"), "scheme": protocol}
        unknown = sorted(set(options) - set(OPTIONS[kind]))
        if unknown:
            there = ", ".join(OPTIONS[kind])
            raise InvalidInput(f"{scheme}:// has no option {unknown[0]!r}", text, mend=f"one of {there}")
        root = path.strip("/")
        if not root:
            raise InvalidInput("no bucket is named", text, mend=f"{scheme}://bucket/folder")
        return cls(f"{scheme}://{root}", None, kind, root, options)

    def __repr__(self) -> str:
        return f"Place({self.text!r})"

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_store"}

    @property
    def _identity(self) -> tuple[object, ...]:
        return self._kind, self._root, self.local, tuple(sorted(self._options.items()))

    @cached_property
    def _store(self) -> Disk | Bucket:
        if self.local is not None:
            return Disk(self.local)
        return Bucket(self._kind, self._root, self._options, self.text)

    @property
    def name(self) -> str:
        """Last part of the name."""
        return self.local.name if self.local is not None else self._root.rsplit("/", 1)[-1]

    @property
    def uri(self) -> str:
        """The text with its options: what names the same place again."""
        return f"{self.text}?{urlencode(self._options)}" if self._options else self.text

    def where(self, name: str = "") -> str:
        """A file as a person would type it."""
        return f"{self.text.rstrip('/')}/{name}" if name else self.text

    def beside(self, name: str) -> "Place":
        """The place of another name next to this one."""
        text = f"{self.text.rstrip('/').rpartition('/')[0]}/{name}" if "/" in self.text else name
        local = None if self.local is None else self.local.with_name(name)
        return Place(text, local, self._kind, f"{self._root.rpartition('/')[0]}/{name}", self._options)

    def write_bytes(self, name: str, data: bytes) -> None:
        """Put a whole file there, replacing one of that name; nobody ever sees a part of it."""
        self._store.write(name, data)

    def write_text(self, name: str, text: str) -> None:
        """A text file in UTF-8."""
        self.write_bytes(name, text.encode())

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """A local file to fill; on leaving the context it becomes `name`, on an exception it is gone."""
        return self._store.writing(name)

    def find(self, name: str) -> bytes | None:
        """A whole file, or None when there is none."""
        return self._store.read(name)

    def find_all(self, names: Iterable[str]) -> dict[str, bytes | None]:
        """`find` of many files, several at a time where each costs a journey."""
        names = list(names)
        if self.local is not None or len(names) < 2:
            return {name: self.find(name) for name in names}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(names, pool.map(self.find, names), strict=True))

    def read_bytes(self, name: str) -> bytes:
        """A whole file; `Unreachable` also when there is none."""
        data = self.find(name)
        if data is None:
            raise Unreachable("a file is missing", self.where(name))
        return data

    def read_text(self, name: str) -> str:
        """A text file in UTF-8; `Unreachable` also when there is none."""
        return self.read_bytes(name).decode()

    def open(self, name: str) -> Any:
        """A file for `pyarrow.parquet.ParquetFile`, to be used as a context manager."""
        return self._store.open(name)

    def size(self, name: str) -> int | None:
        """Bytes of a file, or None when there is none."""
        return self._store.size(name)

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return self.size(name) is not None

    def names(self, under: str = "", suffix: str = "") -> list[str]:
        """Files below a folder, sorted; those of the store itself are left out."""
        return [name for name in self.sizes(under) if name.endswith(suffix)]

    def sizes(self, under: str = "") -> dict[str, int]:
        """{name: bytes} of the files below a folder in one listing, those of the store itself left out."""
        return {name: size for name, (size, _) in sorted(self.listing(under).items()) if not _own(name)}

    def listing(self, under: str = "") -> dict[str, tuple[int, float]]:
        """{name: (bytes, time of the last change in seconds)} of every file, the store's own included."""
        return self._store.listing(under)

    def delete(self, name: str) -> None:
        """Remove a file; nothing happens when there is none."""
        self._store.delete(name)

    def delete_all(self, under: str = "") -> None:
        """Remove every file below a folder (of the whole place: all but its locks), and empty folders."""
        names = [name for name in self.listing(under) if not name.startswith(LOCKS)]
        if self.local is not None:
            for name in names:
                self.delete(name)
        else:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(self.delete, names))
        self._store.delete_folders(under)

    def delete_folders(self) -> None:
        """Remove folders that hold nothing; an object store has none."""
        self._store.delete_folders("")

    def sweep(self) -> None:
        """Remove what killed writers left under temporary names. Only for one who holds the place alone."""
        if self.local is not None:
            for name in self.listing():
                if name.endswith(WRITING):
                    self.delete(name)

    def copy_from(self, other: "Place", name: str) -> bytes:
        """Copy a file from another place under the same name; returns its bytes."""
        data = other.read_bytes(name)
        self.write_bytes(name, data)
        return data

    def reach(self) -> Self:
        """Make sure that files can be written there; a local folder is not made, a bucket is asked for."""
        self._store.reach()
        return self


def _own(name: str) -> bool:
    return name.startswith(".") or "/." in name
