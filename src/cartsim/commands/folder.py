"""Why: results of two scenarios must never be mixed in one folder, and nobody's own files may be overwritten. What
is wrong with the folder is found before anything is simulated.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cartsim.errors import InvalidInput, OutputBroken

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario
    from cartsim.store.place import Place

RESULTS = "results"
#: What a run writes before its first manifest; a folder with nothing else is free.
OPENING = ("scenario.resolved.yaml", "design.parquet")


def prepare_folder(
    out: "str | Path | Place | None",
    scenario: "Scenario",
    fresh: bool = False,
    *,
    extend: bool = False,
    endpoint: str | None = None,
    region: str | None = None,
) -> "Place":
    """The place a run may write to: free, or holding a run of cartsim, which is judged where it is opened.

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
    manifest = _look(place, fresh)
    held = (manifest or {}).get("scenario_sha256", scenario.hash())
    if out is None and not fresh and not extend and held != scenario.hash():
        place = place.beside(f"{scenario.id}-{scenario.hash()[:8]}")
        _look(place)
    return place if place.local is None else place.reach()


def _look(place: "Place", fresh: bool = False) -> dict[str, Any] | None:
    """The manifest of the run there, None in a free place and for a damaged one that is to go (`fresh`)."""
    from cartsim.store.blocks import BLOCKS
    from cartsim.store.manifest import find_manifest

    if place.local is not None and place.local.exists() and not place.local.is_dir():
        raise InvalidInput("the output folder is a file", where=place.text, mend="give --out another name")
    try:
        manifest = find_manifest(place)
    except OutputBroken:
        # markers tell a run whose manifest is damaged from somebody's own manifest.json
        if not place.names(BLOCKS, ".json"):
            _refuse(place)
        if not fresh:
            raise
        return None
    if manifest is None and not set(place.names()) <= set(OPENING):
        _refuse(place)
    return manifest


def _refuse(place: "Place") -> NoReturn:
    raise InvalidInput(
        "the output folder holds other files",
        where=place.text,
        why="it is not empty and has no manifest.json of cartsim; nothing there is touched",
        mend="give --out a new or empty folder",
    )
