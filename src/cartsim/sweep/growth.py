"""Why: `--extend` may add subjects, replicates, design points or arms to a run, and nothing else: a run in which half
of the subjects had another policy would look like any other. What is new is found by comparing resolved scenarios.
"""

import hashlib
import json
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cartsim.errors import InvalidInput
from cartsim.sweep.plan import Plan


@dataclass(frozen=True)
class Growth:
    """What a run is to cover now."""

    points: int
    replicates: int
    subjects: int
    arms: tuple[str, ...]

    def applied(self, plan: Plan) -> Plan:
        """The plan with what is new appended; the same plan when nothing is."""
        return plan.extended(self.points, self.replicates, self.subjects, self.arms)


def key_of(resolved: Mapping[str, Any], arms: Sequence[str], engine: Mapping[str, Any]) -> str:
    """sha256 over everything that the files of a block follow from, but for its cells and what their points set.

    `arms`: those of the block (the reference counts too). How many subjects, replicates, points and other arms a run
    has leaves a block as it is, so that a run can grow. `engine` stands for code, registry and dependencies.
    """
    core = without_size(resolved)
    names = {*arms, resolved["reference"]}
    core["arms"] = [
        {**arm, "number": number, "rules": list(arm["policy"].get("rules", {}))}
        for number, arm in enumerate(resolved["arms"], 1)
        if arm["id"] in names
    ]
    text = json.dumps([core, dict(engine)], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def without_size(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved scenario without what `--extend` may change."""
    core = {name: value for name, value in resolved.items() if name not in ("sweep", "arms")}
    # a cohort is its content: the name of its file may be another on another machine
    core["population"] = {k: v for k, v in resolved["population"].items() if k not in ("subjects", "file")}
    core["run"] = {k: v for k, v in resolved["run"].items() if k != "replicates"}
    return core


def check_growth(stored: Mapping[str, Any], now: Mapping[str, Any], differences: Sequence[str]) -> None:
    """Raise `InvalidInput` unless `now` only adds subjects, replicates, points or arms to `stored`.

    Both are resolved scenarios. `differences`: how they differ, in words, for the message.
    """
    before = {arm["id"]: arm for arm in stored["arms"]}
    after = {arm["id"]: arm for arm in now["arms"]}
    same_arms = all(after.get(name) == arm for name, arm in before.items())
    # arms are numbered in the tables, so new ones come last
    in_order = list(after)[: len(before)] == list(before)
    if without_size(stored) == without_size(now) and same_arms and in_order:
        return
    raise InvalidInput(
        "this is another scenario, not a longer run of the same one",
        why="; ".join(differences) or None,
        mend="--extend may change population.subjects, run.replicates, points of the sweep, and add arms at the "
        "end; for the rest --fresh starts over and --out takes another folder",
    )


def match_points(stored: Sequence[str], now: Sequence[str]) -> list[int]:
    """For each design id of the grown run, the position of its point in the new design.

    Points that were there keep their design id, new ones follow. Raises `InvalidInput` where one has gone.
    """
    # two points may have the same settings where a design was sampled from whole numbers or lists
    places: dict[str, deque[int]] = defaultdict(deque)
    for number, point in enumerate(now):
        places[point].append(number)
    kept, gone = [], []
    for number, point in enumerate(stored):
        if places[point]:
            kept.append(places[point].popleft())
        else:
            gone.append(number)
    if gone:
        raise InvalidInput(
            f"{len(gone)} of {len(stored)} design points of the run are not in the sweep any more",
            why=f"the first is design point {gone[0]}",
            mend="leave the points in and add others, or --fresh to start over",
        )
    had = set(kept)
    return kept + [number for number in range(len(now)) if number not in had]
