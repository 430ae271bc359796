"""Why: results of two scenarios must never be mixed in one folder, and nobody's own files may be overwritten. What
is wrong with the folder is found before anything is simulated.
"""

import errno
import json
import os
from contextlib import suppress
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from cartsim.errors import InvalidInput, Unreachable

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario

RESULTS = Path("results")


def prepare_folder(out: Path | None, scenario: "Scenario", fresh: bool) -> Path:
    """The folder a run may write to.

    Without `out` it is `results/<id>`, or `results/<id>-<hash>` where another version of the scenario has its
    results there, so that both can be compared. Raises `InvalidInput` where `out` holds something else and
    `Unreachable` where it cannot be written.
    """
    identity = scenario.hash()
    if out is None:
        out = RESULTS / scenario.id
        if not fresh and _state(out, identity) == "other":
            out = RESULTS / f"{scenario.id}-{identity[:8]}"
    state = _state(out, identity)
    if state == "file":
        raise InvalidInput("the output folder is a file", where=str(out), mend="give --out another name")
    if state == "foreign":
        raise InvalidInput(
            "the output folder holds other files",
            where=str(out),
            why="it is not empty and has no manifest.json of cartsim; nothing there is touched",
            mend="give --out a new or empty folder",
        )
    if state == "other" and not fresh:
        raise InvalidInput(
            "the output folder holds the results of another scenario",
            where=str(out),
            why=_difference(out, scenario),
            mend="--out with another name to keep both, or --fresh to replace them",
        )
    _try_writing(out)
    return out


def _state(out: Path, identity: str) -> str:
    """`free`, `same`, `other` (a cartsim run of another scenario), `foreign` or `file`."""
    try:
        if out.exists() and not out.is_dir():
            return "file"
        if not out.exists() or not any(out.iterdir()):
            return "free"
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "foreign"
    except OSError as error:
        raise Unreachable("the output folder cannot be read", where=str(out), why=error.strerror) from None
    except ValueError:
        return "foreign"
    found = manifest.get("scenario_sha256") if isinstance(manifest, dict) else None
    if found is None:
        return "foreign"
    return "same" if found == identity else "other"


def _difference(out: Path, scenario: "Scenario") -> str | None:
    """The first keys in which the stored scenario differs."""
    from cartsim.yaml_text import read_yaml

    try:
        text = (out / "scenario.resolved.yaml").read_text(encoding="utf-8")
        stored = read_yaml(text, None, frozenset({("outputs", "events")}))[0].data
    except (OSError, InvalidInput):
        return None
    before, now = _flat(stored), _flat(scenario.resolved())
    if before.get("id") != now["id"]:
        return f"they are those of {before.get('id')}, and this is {now['id']}"
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    shown = ", ".join(f"{key}: {_short(before.get(key))} -> {_short(now.get(key))}" for key in changed[:4])
    more = f" and {len(changed) - 4} more" if len(changed) > 4 else ""
    return f"changed: {shown}{more}" if changed else None


def _short(value: Any) -> str:
    return shorten(str(value), 40, placeholder=" ...")


def _flat(data: Any, path: str = "") -> dict[str, Any]:
    if isinstance(data, dict):
        items = [(str(key), value) for key, value in data.items()]
    elif isinstance(data, list):
        items = [
            (str(item.get("id", number)) if isinstance(item, dict) else str(number), item)
            for number, item in enumerate(data)
        ]
    else:
        return {path: data}
    flat: dict[str, Any] = {}
    for key, value in items:
        flat |= _flat(value, f"{path}.{key}" if path else key)
    return flat


def _try_writing(out: Path) -> None:
    """Write and remove one small file in the folder, or in the nearest one that exists above it."""
    place = out
    while not place.exists() and place != place.parent:
        place = place.parent
    trial = place / f".cartsim-{os.getpid()}"
    try:
        trial.write_bytes(b"\0" * 4096)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise Unreachable(
            "the output folder is full" if full else "the output folder cannot be written",
            where=str(out),
            why=error.strerror,
            mend="free some space, or choose another folder with --out"
            if full
            else "another folder with --out",
        ) from None
    finally:
        with suppress(OSError):
            trial.unlink(missing_ok=True)
