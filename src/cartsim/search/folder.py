"""Why: samples of one scenario must never answer for another. A search's folder says whose it is before the first
sample, and holds the answer once there is one.

    search.json               whose search, what was asked and found; written first as partial, last as complete
    scenario.resolved.yaml    the scenario with every default filled in
    samples/*.parquet         outcomes by candidate and range of subjects, reused when the search is run again
    candidates.parquet        one row a candidate and endpoint      front.png  front.svg
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cartsim.errors import InvalidInput, OutputBroken
from cartsim.scenario.difference import scenario_difference
from cartsim.scenario.dump import dump_yaml
from cartsim.search.samples import FOLDER
from cartsim.store.manifest import Identity, identity_difference
from cartsim.store.place import Place
from cartsim.store.provenance import Provenance
from cartsim.sweep.opening import RESOLVED, read_resolved
from cartsim.sweep.points import Points

ANSWER = "search.json"
SCHEMA = "cartsim/search/1"
#: What a search leaves behind besides its samples.
RESULTS = ("candidates.parquet", "front.png", "front.svg")
FRESH = "--out with another name to keep both, or --fresh to replace it"


def open_folder(
    place: Place, points: Points, provenance: Provenance, question: Mapping[str, Any], fresh: bool
) -> None:
    """Make `place`, which the caller holds, the folder of this search, or go on with it.

    Results of an earlier question to the same scenario are removed, its samples are kept. Raises `InvalidInput` where
    the place holds something else.
    """
    identity = Identity.of(provenance)
    said = _read(place)
    if said is None and place.names():
        # nobody's files are removed but those of a search
        raise InvalidInput(
            "the output folder holds other files",
            where=place.text,
            why=f"it is not empty and has no {ANSWER}; nothing there is touched",
            mend="give --out a new or empty folder",
        )
    if fresh:
        _start_over(place)
        said = None
    if said is not None:
        _compare(place, said, identity, points)
    for name in RESULTS:
        place.delete(name)
    place.write_text(RESOLVED, dump_yaml(points.base.resolved()))
    write_answer(place, identity, points, question, {"status": "partial"})


def write_answer(
    place: Place, identity: Identity, points: Points, question: Mapping[str, Any], answer: Mapping[str, Any]
) -> dict[str, Any]:
    """search.json: identity, question, and what is known (`status` among it); returns what was written."""
    said = {
        "schema": SCHEMA,
        "scenario_id": points.base.id,
        **asdict(identity),
        "points_sha256": _points_digest(points),
        "question": dict(question),
        **answer,
    }
    place.write_text(ANSWER, json.dumps(said, indent=1, ensure_ascii=False) + "\n")
    return said


def _start_over(place: Place) -> None:
    """Remove a search and nothing else; what says whose folder it is goes last, so that a kill leaves a search."""
    for name in place.names():
        if name in (*RESULTS, RESOLVED) or name.startswith(f"{FOLDER}/"):
            place.delete(name)
    place.delete(ANSWER)
    place.delete_folders()


def _read(place: Place) -> dict[str, Any] | None:
    data = place.find(ANSWER)
    if data is None:
        return None
    try:
        said = json.loads(data)
        if not isinstance(said, dict) or said.get("schema") != SCHEMA:
            raise ValueError
    except ValueError:
        raise OutputBroken(
            f"{ANSWER} is not one of cartsim, or is damaged",
            place.where(ANSWER),
            mend="another folder with --out",
        ) from None
    return said


def _compare(place: Place, said: Mapping[str, Any], identity: Identity, points: Points) -> None:
    before = Identity.stored(said)
    found = identity_difference(before, identity, scenario=False)
    if before.scenario_sha256 != identity.scenario_sha256:
        # the order of rules, which are walked in order, is no key that differs
        found += scenario_difference(read_resolved(place) or {}, points.base.resolved()) or ["order of rules"]
    elif said.get("points_sha256") != _points_digest(points):
        found.append("the design points, which come from a file")
    if found:
        raise InvalidInput(
            "the output folder holds the search of another scenario or version",
            where=place.text,
            why=f"changed: {'; '.join(found)}",
            mend=FRESH,
        )


def _points_digest(points: Points) -> str:
    digest = hashlib.sha256()
    for i in range(len(points)):
        digest.update(points.id(i).encode())
    return digest.hexdigest()
