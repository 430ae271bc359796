"""How clinical text becomes machine code, and how a stale cache is prevented.

numba keeps compiled functions on disk and refreshes one only when *its own* file changes, not when a file that it
calls does: a corrected equation could silently go on returning the old answer. So the cache folder is named after
a hash of all compiled sources. With `NUMBA_DISABLE_JIT=1` the very same text runs as plain Python.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

PACKAGE = Path(__file__).parent
#: Every file that holds compiled text or declares what it reads.
SOURCES = (
    "terms.py",
    "compiled.py",
    "draws.py",
    "cohort.py",
    "given.py",
    "drivers",
    "evidence/population.py",
    "model",
)


def source_hash(package: Path = PACKAGE) -> str:
    """sha256 (16 hex digits) over the text of all compiled sources under `package`."""
    digest = hashlib.sha256()
    for name in SOURCES:
        place = package / name
        for file in sorted(place.glob("*.py")) if place.is_dir() else [place]:
            digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Where compiled code is kept: `CARTSIM_CACHE`, else the user's cache, else the temporary folder."""
    root = os.environ.get("CARTSIM_CACHE") or os.environ.get("XDG_CACHE_HOME")
    base = Path(root) if root else Path.home() / ".cache"
    try:
        base.mkdir(parents=True, exist_ok=True)
        if not os.access(base, os.W_OK):
            raise PermissionError(base)
    except OSError:
        base = Path(tempfile.gettempdir())
    return base / "cartsim" / f"compiled-{source_hash()}"


def is_cold() -> bool:
    """True when nothing has been compiled yet for these sources."""
    folder = cache_folder()
    return not folder.exists() or not any(folder.rglob("*.nbc"))


# numba reads its cache folder once, at import: it must be set before.
os.environ["NUMBA_CACHE_DIR"] = str(cache_folder())
# LLVM's first level: the same bits and speed as its third here, where inlining is asked for by name, and a first run
# that starts ten seconds sooner
os.environ.setdefault("NUMBA_OPT", "1")

import numba  # noqa: E402

# ... and again for a program that had imported numba before us: its caches would lie beside the sources, and go stale
numba.config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]
UNCOMPILED = bool(numba.config.DISABLE_JIT)
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile without fast-math: same bits as the uncompiled text, and infinities mean what they say."""
    return numba.njit(cache=True, nogil=True, error_model="numpy")(function)


def compiled_inline(function: Function) -> Function:
    """The same, but compiled into its caller: for the large functions that every event of a course goes through.

    LLVM inlines small functions by itself and leaves these alone, which costs a seventh of the kernel's time. Inlining
    every function gives no more speed and takes several seconds longer to compile.
    """
    return numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)(function)
