"""Why: results of two scenarios must never be mixed in one folder, and nobody's own files may be overwritten. What
is wrong with the folder is found before anything is simulated.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cartsim.errors import InvalidInput, OutputBroken

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario
    from cartsim.store.manifest import Identity
    from cartsim.store.place import Place

RESULTS = "results"
#: What a run writes before its first manifest; a folder with nothing else is free.
OPENING = ("scenario.resolved.yaml", "design.parquet")
Kind = Literal["free", "same", "other", "foreign", "file"]


@dataclass(frozen=True)
class State:
    """What lies in a place: nothing, this run, another run of cartsim, somebody's files, or a file of that name."""

    kind: Kind
    #: Of the run there, whatever its status.
    manifest: dict[str, Any] | None = None
    #: In what that run differs, in words: scenario by key, source files, evidence, versions.
    differences: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether the run there is finished."""
        return self.manifest is not None and self.manifest.get("status") == "complete"


def state_of(place: "Place", identity: "Identity", scenario: "Scenario | None" = None) -> State:
    """What lies in a place, compared with a run of that identity; `scenario` says which of its keys differ.

    Raises `Unreachable` where the place cannot be read.
    """
    from cartsim.store.manifest import Identity, identity_difference

    state = _look(place)
    if state.manifest is None:
        return state
    stored = Identity.stored(state.manifest)
    differences = identity_difference(stored, identity, scenario=scenario is None)
    if scenario is not None and stored.scenario_sha256 != identity.scenario_sha256:
        differences = (_by_key(place, scenario) or identity_difference(stored, identity)[:1]) + differences
    return State("other" if differences else "same", state.manifest, differences)


def refuse(place: "Place", state: State) -> None:
    """Raise `InvalidInput` unless the place is free or holds this very run."""
    if state.kind == "file":
        raise InvalidInput("the output folder is a file", where=place.text, mend="give --out another name")
    if state.kind == "foreign":
        raise InvalidInput(
            "the output folder holds other files",
            where=place.text,
            why="it is not empty and has no manifest.json of cartsim; nothing there is touched",
            mend="give --out a new or empty folder",
        )
    if state.kind == "other":
        raise InvalidInput(
            "the output folder holds the results of another scenario, or of another version of cartsim",
            where=place.text,
            why="changed: " + "; ".join(state.differences),
            mend="--out with another name to keep both, or --fresh to replace them",
        )


def prepare_folder(
    out: "str | Path | Place | None",
    scenario: "Scenario",
    fresh: bool = False,
    *,
    extend: bool = False,
    endpoint: str | None = None,
    region: str | None = None,
) -> "Place":
    """The place a run may write to: free, or holding a run of cartsim, which `refuse` or the caller judges.

    Without `out` it is `results/<id>`, or (unless `extend`) `results/<id>-<hash>` where another version of the
    scenario has its results there, so that both can be compared. Raises `InvalidInput` where files of somebody else
    are there (with `fresh` too), `OutputBroken` for a run whose manifest is damaged (unless `fresh`), `Unreachable`
    where nothing can be written.
    """
    from cartsim.store.place import Place

    chosen = Path(RESULTS, scenario.id) if out is None else out
    place = Place.of(chosen, endpoint=endpoint, region=region)
    if place.local is None:
        # whether anybody answers comes before what lies there
        place.reach()
    state = _look(place, fresh)
    held = (state.manifest or {}).get("scenario_sha256", scenario.hash())
    if out is None and not fresh and not extend and held != scenario.hash():
        place = place.beside(f"{scenario.id}-{scenario.hash()[:8]}")
        state = _look(place)
    if state.kind in ("file", "foreign"):
        refuse(place, state)
    return place if place.local is None else place.reach()


def _look(place: "Place", fresh: bool = False) -> State:
    """The state of a place, a run of cartsim there being `other` until it is compared."""
    from cartsim.store.blocks import BLOCKS
    from cartsim.store.manifest import find_manifest

    if place.local is not None and place.local.exists() and not place.local.is_dir():
        return State("file")
    try:
        manifest = find_manifest(place)
    except OutputBroken:
        # markers tell a run whose manifest is damaged from somebody's own manifest.json
        if not place.names(BLOCKS, ".json"):
            return State("foreign")
        if not fresh:
            raise
        return State("other")
    if manifest is not None:
        return State("other", manifest)
    return State("free" if set(place.names()) <= set(OPENING) else "foreign")


def _by_key(place: "Place", scenario: "Scenario") -> list[str]:
    """The keys in which the stored scenario differs, a few of them."""
    from cartsim.scenario.difference import scenario_difference
    from cartsim.scenario.load import PLAIN_WORDS
    from cartsim.yaml_text import read_yaml

    text = place.find(OPENING[0])
    if text is None:
        return []
    try:
        stored = read_yaml(text.decode(), None, PLAIN_WORDS)[0].data
    except (InvalidInput, UnicodeDecodeError):
        return []
    return scenario_difference(stored, scenario.resolved()) if isinstance(stored, dict) else []
