"""Why: the files that people write (scenarios, policies, lists of design points) are read the same way, and whatever
keeps one from being read is said in the same words.
"""

from pathlib import Path

from cartsim.errors import InvalidInput, Problem
from cartsim.scenario.shape import nearest

MAX_BYTES = 5_000_000


def read_file(path: Path) -> str:
    """Text of a file that somebody wrote. Raises `InvalidInput` where it is no readable UTF-8 text."""
    name = str(path)
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise InvalidInput(f"the file is larger than {MAX_BYTES // 1_000_000} MB", where=name)
        raw = path.read_bytes()
    except FileNotFoundError:
        beside = [one.name for one in path.parent.glob("*.*")] if path.parent.is_dir() else []
        meant = nearest(path.name, beside)
        raise InvalidInput(
            "the file does not exist", where=name, mend=str(path.parent / meant) if meant else None
        ) from None
    except OSError as error:
        raise InvalidInput("the file cannot be read", where=name, why=error.strerror) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        problem = Problem(name, line, "", f"byte {error.start} is not UTF-8", "save the file as UTF-8")
        raise InvalidInput("the file is not UTF-8 text", problems=[problem]) from None
