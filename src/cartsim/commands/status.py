"""Why: who comes back to a run of yesterday wants to know how far it got, what went wrong, and what to type now."""

import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cartsim.store.place import Place

#: Failures and damaged blocks shown before "and n more".
SHOWN = 10


def examine(place: "Place") -> dict[str, Any]:
    """How far a run is. Raises `Unreachable` where there is none."""
    from cartsim.in_folder import provenance_of
    from cartsim.store.blocks import damaged, read_failures, read_markers
    from cartsim.store.manifest import COMPLETE, Identity, identity_difference, read_manifest
    from cartsim.sweep.opening import engine_of, reopen
    from cartsim.sweep.plan import Plan
    from cartsim.sweep.session import BlockNames

    manifest = read_manifest(place, partial=True)
    found: dict[str, Any] = {"run": str(place), "scenario_sha256": manifest["scenario_sha256"]}
    if manifest.get("compacted"):
        return found | {"status": "complete", "compacted": True, "rows": _rows(manifest)}
    plan = Plan.of(manifest["plan"])
    base, points = reopen(place)
    stored = Identity.stored(manifest)
    changed = identity_difference(stored, Identity.of(provenance_of(base)), scenario=False)
    names = BlockNames(points, engine_of(stored))
    receipts, torn = read_markers(place)
    sizes = place.sizes()
    done = missing = subjects = 0
    for block in plan.blocks():
        if names.of(block) in receipts:
            done, subjects = done + 1, subjects + block.subjects
        else:
            missing += 1
    wrong = {
        f"block {r.number}": why
        for r in receipts.values()
        if (why := damaged(place, r, sizes=sizes)) is not None
    } | dict(torn)
    failures = read_failures(place)
    whole = manifest.get("status") == COMPLETE and not wrong and not missing
    return found | {
        "status": "complete" if whole else "partial",
        "title": base.title,
        "blocks": plan.count_blocks(),
        "done": done,
        "missing": missing - len(failures),
        "failed": [
            {
                "block": f.number,
                "seed": f.seed,
                "cells": list(f.cells),
                "error": f.error,
                "traceback": f.traceback,
            }
            for f in failures
        ],
        "damaged": wrong,
        "design_points": len(points),
        "subjects_done": subjects,
        "subjects": plan.total,
        "until": manifest.get("until"),
        "changed_since": changed,
        "go_on": None
        if whole
        else _command(place, base.file, bool(wrong or failures), manifest.get("until")),
    }


def print_state(state: dict[str, Any]) -> None:
    """The state of a run in a few lines on stdout."""
    print(f"{state['run']}: {state['status']}")
    if state.get("compacted"):
        print(f"  compacted: {state['rows']:,} rows, final")
        return
    share = 100.0 * state["subjects_done"] / max(state["subjects"], 1)
    print(f"  {state['title']}")
    print(
        f"  blocks: {state['done']:,} of {state['blocks']:,} done, {state['missing']:,} to do, "
        f"{len(state['failed']):,} failed, {len(state['damaged']):,} damaged"
    )
    print(
        f"  subjects: {state['subjects_done']:,} of {state['subjects']:,} ({share:.0f} %), "
        f"{state['design_points']:,} design point{'s' if state['design_points'] != 1 else ''}"
    )
    for failure in state["failed"][:SHOWN]:
        print(f"  failed: block {failure['block']}, seed {failure['seed']}: {failure['error']}")
    _more(len(state["failed"]))
    for name, why in list(state["damaged"].items())[:SHOWN]:
        print(f"  damaged: {name}: {why}")
    _more(len(state["damaged"]))
    if state["until"]:
        print(f"  until: {'; '.join(state['until']['conditions'])}")
        print(f"  stopped: {state['until']['reason'] or 'not yet'}")
    if state["changed_since"]:
        print(f"  changed since, so it cannot be gone on with: {'; '.join(state['changed_since'])}")
    elif state["go_on"]:
        print(f"  go on with: {state['go_on']}")


def _more(count: int) -> None:
    if count > SHOWN:
        print(f"  and {count - SHOWN} more (--json lists all)")


def _command(place: "Place", file: str | None, retry: bool, until: dict[str, Any] | None) -> str:
    scenario = file or f"{place}/scenario.resolved.yaml" if place.local else file or "SCENARIO"
    # endpoint and region are part of where it is
    words = ["cartsim", "run", str(scenario), "--out", place.uri, *(["--retry"] if retry else [])]
    for condition in until["conditions"] if until else ():
        words += ["--until", condition]
    if until:
        words += ["--floor", str(until["floor"]), "--ceiling", str(until["ceiling"])]
    return shlex.join(words)


def _rows(manifest: dict[str, Any]) -> int:
    return sum(int(table["rows"]) for table in manifest["tables"])
