"""Why: a number found in a file years later must say where it came from: which scenario, seed, version and
evidence. Nothing here may depend on when or where the run was made, or the same run would not give the same bytes."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from cartsim.record import SCHEMA_VERSION
from cartsim.terms import DISCLAIMER

DEPENDENCIES = ("numpy", "numba", "scipy", "pyarrow", "pandas", "simpy")
#: Parts of the package that only show or start: no row of a run follows from them.
_FACES = (
    "cli", "__main__", "commands/", "report/", "app/", "search/", "sensitivity/", "pairing/", "story/",
    "calibrate/", "validate/", "claims/",
)  # fmt: skip


@dataclass(frozen=True)
class Provenance:
    """What made a run. `scenario_text` as given, `scenario_sha256` over the resolved scenario."""

    scenario_id: str
    scenario_text: str
    scenario_sha256: str
    seed: int
    version: str
    commit: str | None
    dependencies: Mapping[str, str]
    evidence_sha256: str
    evidence_counts: Mapping[str, int]

    def as_dict(self) -> dict[str, object]:
        """Plain dictionary, with schema version and disclaimer."""
        return {"schema_version": SCHEMA_VERSION, "disclaimer": DISCLAIMER} | asdict(self)

    def footer(self, table: str) -> bytes:
        """Canonical JSON for the footer key `cartsim` of one table."""
        return json.dumps({"table": table} | self.as_dict(), sort_keys=True, separators=(",", ":")).encode()


@cache
def dependency_versions() -> dict[str, str]:
    """Versions of the packages that may move a number or a byte."""
    return {name: metadata.version(name) for name in DEPENDENCIES}


@cache
def source_digests() -> dict[str, str]:
    """{file of the package: first 12 digits of its sha256} of code and data from which rows follow."""
    package = Path(__file__).resolve().parents[1]
    found = {}
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package).as_posix()
        if path.suffix in (".py", ".yaml", ".json", ".csv") and not name.startswith(_FACES):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return found


@cache
def engine_commit() -> str | None:
    """Commit of the source tree this package runs from; None when installed, or without git."""
    package = Path(__file__).resolve().parents[1]
    try:
        answer = subprocess.run(
            ["git", "-C", str(package), "rev-parse", "--show-toplevel", "HEAD"],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    root, commit = answer.stdout.split("\n")[:2]
    # Another project's repository around the environment is not ours.
    return commit if Path(root) / "src" / "cartsim" == package else None
