"""Why: the same command begins a run, goes on with it after an interruption, makes it longer, or finds it done. Which
of these it is follows from what lies in the folder, and anything that does not fit is refused before a file changes.
"""

import io
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cartsim.errors import InvalidInput, OutputBroken
from cartsim.scenario.difference import scenario_difference
from cartsim.scenario.dump import dump_yaml
from cartsim.scenario.load import load_scenario
from cartsim.scenario.resolve import Scenario
from cartsim.store.blocks import BLOCKS
from cartsim.store.manifest import (
    COMPLETE,
    Identity,
    find_manifest,
    identity_difference,
    refuse_compacted,
    start_over,
    write_partial,
)
from cartsim.store.place import Place
from cartsim.store.provenance import Provenance
from cartsim.sweep.designs import Design
from cartsim.sweep.growth import Growth, check_growth, match_points
from cartsim.sweep.plan import Plan
from cartsim.sweep.points import Points
from cartsim.sweep.question import is_single
from cartsim.sweep.rows import Rows

RESOLVED, DESIGN = "scenario.resolved.yaml", "design.parquet"
FRESH = "--out with another name to keep both, or --fresh to replace it"


@dataclass(frozen=True)
class Opened:
    """A run in its place: what is to be covered, and whether it already is."""

    points: Points
    plan: Plan
    identity: Identity
    complete: bool
    notes: dict[str, Any]


@dataclass(frozen=True)
class Reordered:
    """Rows of a grown design: those that were there first, in their old order."""

    rows: Rows
    order: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.order)

    def row(self, i: int) -> dict[int, Any]:
        """Settings of row `i`."""
        return self.rows.row(self.order[i])

    def role(self, i: int) -> str | None:
        """What row `i` is for."""
        return self.rows.role(self.order[i])


def open_run(
    points: Points,
    place: Place,
    provenance: Provenance,
    *,
    extend: bool = False,
    fresh: bool = False,
    size: int | None = None,
    subjects: int | None = None,
    notes: dict[str, Any] | None = None,
) -> Opened:
    """Begin, resume or extend the run of `points` in `place`, which the caller holds.

    `size`: subjects of a block, for a run that begins; `subjects`: how many it begins with, where that is decided
    on the way and not by the scenario. Raises `InvalidInput` (with the difference) where the place
    holds another run, or files that no run has written (with `fresh` too); `Unreachable` where the run was compacted
    and cannot grow; `OutputBroken` where its manifest is damaged.
    """
    identity = Identity.of(provenance)
    manifest = _manifest_of(place, fresh)
    if fresh:
        start_over(place)
    if fresh or manifest is None:
        return _begin(points, place, identity, size, subjects, notes or {})
    stored = Identity.stored(manifest)
    before = read_resolved(place)
    changed = stored.scenario_sha256 != identity.scenario_sha256
    engine = _but_for_scenario(identity, stored, before, points.base) if changed else identity
    # without the scenario of that run its hash is all that can be compared
    differences = identity_difference(stored, engine, scenario=before is None)
    if differences:
        raise InvalidInput(
            "the results there were made by another version of cartsim, its evidence or its dependencies",
            where=place.text,
            why="; ".join(differences + (_differences(before, points.base) if changed else [])),
            mend=FRESH,
        )
    if "plan" not in manifest:
        raise InvalidInput("the folder has a manifest without a plan", where=place.text, mend=FRESH)
    plan = Plan.of(manifest["plan"])
    if not changed:
        kept = {k: v for k, v in manifest.items() if k in ("until", "warnings")} | (notes or {})
        # what was said of a cohort when it was read stays true where it cannot be read again
        said = [*(manifest.get("warnings") or []), *(kept.get("warnings") or [])]
        kept["warnings"] = list(dict.fromkeys(said))
        points = Points(points.base, _in_stored_order(points.design, place))
        complete = manifest.get("status") == COMPLETE
        if subjects is None and plan.subjects < points.base.subjects:
            # it had stopped at a precision, and now as many are asked for as the scenario says
            base = points.base
            kept.pop("until", None)
            plan = Growth(plan.points, plan.replicates, base.subjects, plan.arms).applied(plan)
            complete = False
        opened = Opened(points, plan, identity, complete, kept)
        if not complete:
            write_opening(place, opened)
        return opened
    if not extend:
        grows = before is not None and _only_grows(before, points.base)
        raise InvalidInput(
            "the output folder holds a shorter run of this scenario"
            if grows
            else "the output folder holds the results of another scenario",
            where=place.text,
            why="; ".join(_differences(before, points.base)) or None,
            mend=("--extend to add to it, or " if grows else "") + FRESH,
        )
    refuse_compacted(place, manifest)
    for name in place.names():
        # what was concluded from the shorter run is not true of the longer one
        if name.startswith("sensitivity."):
            place.delete(name)
    return _extend(points, place, identity, plan, before, notes or {})


def _manifest_of(place: Place, fresh: bool) -> dict[str, Any] | None:
    """The manifest of the run there, None in a free place or for a damaged one that goes. Refuses others' files."""
    try:
        manifest = find_manifest(place)
    except OutputBroken:
        # markers tell a run whose manifest is damaged from somebody's own manifest.json
        if place.names(BLOCKS, ".json"):
            if fresh:
                return None
            raise
    else:
        # killed before its first manifest, a run leaves these two
        if manifest is not None or set(place.names()) <= {RESOLVED, DESIGN}:
            return manifest
        # another shard may have begun since
        if (manifest := find_manifest(place)) is not None:
            return manifest
    raise InvalidInput(
        "the output folder holds other files",
        where=place.text,
        why="it is not empty and has no manifest.json of cartsim; nothing there is touched",
        mend="a new or empty folder",
    )


def _begin(
    points: Points,
    place: Place,
    identity: Identity,
    size: int | None,
    subjects: int | None,
    notes: dict[str, Any],
) -> Opened:
    base = points.base
    plan = Plan.new(
        len(points),
        base.run.replicates,
        base.subjects if subjects is None else subjects,
        [arm.id for arm in base.arms],
        whole=base.site is not None,
        size=size,
        many_sets=base.run.parameter_draws > 0,
    )
    opened = Opened(points, plan, identity, False, notes)
    write_opening(place, opened)
    return opened


def _extend(
    points: Points,
    place: Place,
    identity: Identity,
    plan: Plan,
    before: dict[str, Any] | None,
    notes: dict[str, Any],
) -> Opened:
    base = points.base
    if before is None:
        raise InvalidInput("the run there has no scenario.resolved.yaml", where=place.text, mend=FRESH)
    now = base.resolved()
    check_growth(before, now, scenario_difference(before, now))
    if (before.get("sweep") is None) != is_single(points):
        raise InvalidInput(
            "a scenario by itself cannot become a sweep, nor the reverse", where=place.text, mend=FRESH
        )
    design = points.design
    if not is_single(points):
        order = match_points(read_point_ids(place), [points.id(i) for i in range(len(points))])
        design = replace(design, rows=Reordered(design.rows, tuple(order)))
    arms = tuple(arm.id for arm in base.arms)
    # a run that stopped by precision has more subjects than its scenario said, and keeps them
    grows = base.subjects >= before["population"]["subjects"]
    subjects = max(base.subjects, plan.subjects) if grows else base.subjects
    grown = Growth(len(design), base.run.replicates, subjects, arms).applied(plan)
    opened = Opened(Points(base, design), grown, identity, False, notes)
    write_opening(place, opened)
    return opened


def write_opening(place: Place, opened: Opened) -> None:
    """What a run is, before any of it is done: design and scenario, then the manifest that says partial."""
    points = opened.points
    if not is_single(points):
        place.write_bytes(DESIGN, _parquet(points.design.table()))
    place.write_text(RESOLVED, dump_yaml(_resolved_in(place, points.base)))
    write_partial(place, opened.identity, opened.notes | {"plan": opened.plan.plain()})


def _resolved_in(place: Place, base: Scenario) -> dict[str, Any]:
    """The resolved scenario with its cohort file as seen from the folder of the run."""
    resolved = base.resolved()
    if base.patients is not None and place.local is not None:
        # another drive has no way from here to there, and the name stays as it was given
        with suppress(ValueError):
            way = os.path.relpath(base.patients.path, place.local)
            resolved["population"]["file"] = Path(way).as_posix()
    return resolved


def reopen(place: Place) -> tuple[Scenario, Points]:
    """Scenario and design points of a run, from what it wrote. Raises `InvalidInput` where there is none."""
    text = place.find(RESOLVED)
    if text is None:
        raise InvalidInput("this is not the folder of a run", where=place.text, why=f"it has no {RESOLVED}")
    base = load_scenario(text.decode(), folder=place.local, stored=True)
    points = Points(base)
    return base, Points(base, _in_stored_order(points.design, place))


def read_resolved(place: Place) -> dict[str, Any] | None:
    """The resolved scenario of a run as plain data; None where it cannot be read."""
    from cartsim.scenario.load import PLAIN_WORDS
    from cartsim.yaml_text import read_yaml

    text = place.find(RESOLVED)
    if text is None:
        return None
    try:
        found = read_yaml(text.decode(), None, PLAIN_WORDS)[0].data
    except (InvalidInput, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def read_point_ids(place: Place) -> list[str]:
    """Ids of the design points of a run, by design id."""
    with place.open(DESIGN) as file:
        ids: list[str] = pq.read_table(file, columns=["point_id"])["point_id"].to_pylist()
    return ids


def _in_stored_order(design: Design, place: Place) -> Design:
    """The design with the design ids that the run gave its points (they differ after an extension)."""
    if not place.exists(DESIGN):
        return design
    stored = read_point_ids(place)
    now = [design.point_id(i) for i in range(len(design))]
    return (
        design
        if stored == now
        else replace(design, rows=Reordered(design.rows, tuple(match_points(stored, now))))
    )


def _only_grows(before: dict[str, Any], base: Scenario) -> bool:
    now = base.resolved()
    try:
        check_growth(before, now, [])
    except InvalidInput:
        return False
    fewer = (
        base.subjects < before["population"]["subjects"] or base.run.replicates < before["run"]["replicates"]
    )
    return not fewer and (before.get("sweep") is None) == (base.sweep is None)


def _but_for_scenario(
    identity: Identity, stored: Identity, before: dict[str, Any] | None, base: Scenario
) -> Identity:
    """The identity with the seed and evidence of the stored run where the scenario alone decides that they differ."""
    if before is None:
        return identity
    now = base.resolved()
    if any(before.get(name) != now[name] for name in ("product", "model", "run")):
        identity = replace(identity, evidence_sha256=stored.evidence_sha256)
    return replace(identity, seed=stored.seed)


def _differences(before: dict[str, Any] | None, base: Scenario) -> list[str]:
    return scenario_difference(before, base.resolved()) if before is not None else []


def engine_of(identity: Identity) -> dict[str, object]:
    """What an id of a block takes from the engine: code, registry, dependencies, seed."""
    return {k: dict(v) if k in ("dependencies", "sources") else v for k, v in asdict(identity).items()} | {
        "scenario_sha256": None
    }


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
