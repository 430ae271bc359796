"""Why: a fit of minutes may be stopped at any time, and must then go on where it was and come out the same to the last
bit. So its whole state stands in one file that is written between blocks; JSON gives back every float64 as it was.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from cartsim.errors import Mismatch, OutputBroken, Unreachable

NAME = "unfinished.json"
SCHEMA = "cartsim/calibration-state/1"


@dataclass
class State:
    """Where a fit stands. `done`: blocks of the plan; `z`: scores; `lines`: what each block did; `draws`: scores of
    the posterior draws so far, each with its loss; `scale`: width of the shared proposals."""

    z: list[float]
    done: int = 0
    steps: list[float] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    jacobian: list[list[float]] = field(default_factory=list)
    residuals: list[float] = field(default_factory=list)
    draws: list[list[float]] = field(default_factory=list)
    sweeps: int = 0
    scale: float = 0.0


def write_text(path: Path, text: str) -> None:
    """Write a whole file or none. Raises `Unreachable` where the folder cannot be written."""
    beside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, "utf-8")
        os.replace(beside, path)
    except OSError as error:
        raise Unreachable(f"{path} cannot be written", why=error.strerror) from None


class Checkpoint:
    """The state file of a folder; None as the folder keeps nothing."""

    def __init__(self, folder: Path | None, identity: Mapping[str, Any]) -> None:
        self.path = folder / NAME if folder is not None else None
        self.identity = dict(identity)

    def read(self) -> State | None:
        """The state of an unfinished fit of the same problem; None where there is none.

        Raises `Mismatch` where it is of another one, `OutputBroken` where it cannot be read.
        """
        if self.path is None or not self.path.is_file():
            return None
        try:
            data = json.loads(self.path.read_text("utf-8"))
            if data["schema"] != SCHEMA:
                raise ValueError("another kind of file")
            identity, state = data["identity"], data["state"]
            known = {one.name for one in fields(State)}
            found = State(**{key: value for key, value in state.items() if key in known})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutputBroken(
                "the unfinished fit cannot be read", where=str(self.path), why=str(error), mend="--fresh"
            ) from None
        other = sorted(
            key for key in {*identity, *self.identity} if identity.get(key) != self.identity.get(key)
        )
        if other:
            raise Mismatch(
                "the folder holds an unfinished fit of another problem",
                where=str(self.path),
                why=f"different: {', '.join(other)}",
                mend="--fresh, or another --out",
            )
        return found

    def write(self, state: State) -> None:
        """Keep the state."""
        if self.path is not None:
            data = {"schema": SCHEMA, "identity": self.identity, "state": asdict(state)}
            write_text(self.path, json.dumps(data, separators=(",", ":"), allow_nan=False))

    def remove(self) -> None:
        """Forget it: the fit is finished, or begun anew."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
