"""Why: a story is told of a run, or of a scenario that was never run. Either way it must be the story of exactly those
numbers, so what is asked for is checked against what there is, and another engine's run is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartsim.arms import ReadyArm
from cartsim.errors import InvalidInput, Mismatch
from cartsim.scenario.load import load_scenario
from cartsim.scenario.resolve import Scenario
from cartsim.scenario.shape import nearest
from cartsim.store.manifest import Identity, identity_difference, read_manifest
from cartsim.store.place import Place
from cartsim.sweep.opening import reopen
from cartsim.sweep.plan import Plan
from cartsim.sweep.points import Points


@dataclass(frozen=True)
class Source:
    """What a story is told of. `place`, `manifest` are None where nothing was run; `changed`: the engine since;
    `forced`: a story is wanted whatever differs.
    """

    points: Points
    place: Place | None
    manifest: Mapping[str, Any] | None
    subjects: int
    replicates: int
    changed: tuple[str, ...] = ()
    forced: bool = False

    @property
    def plan(self) -> Plan | None:
        """How the run was cut, where that is known."""
        plan = (self.manifest or {}).get("plan")
        return None if plan is None else Plan.of(plan)


@dataclass(frozen=True)
class Address:
    """One subject of one replicate of one design point."""

    design: int
    replicate: int
    subject: int


def open_source(told: Any, force: bool = False) -> Source:
    """Find what is to be told. Raises `InvalidInput` where there is no run or scenario, `Mismatch` unless `force`
    where the run was made by another engine (sources, evidence, dependencies).
    """
    if isinstance(told, Scenario) or _is_scenario(told):
        return _of_scenario(told if isinstance(told, Scenario) else load_scenario(told))
    out = getattr(told, "out", told)
    if out is None:
        return _of_scenario(told.scenario)
    place = Place.of(out)
    if place.local is not None and not place.local.exists():
        raise InvalidInput(
            "there is no such run or scenario", place.text, mend="the folder of a run, or a YAML file"
        )
    base, points = reopen(place)
    manifest = read_manifest(place, partial=True)
    from cartsim.in_folder import provenance_of

    changed = identity_difference(Identity.stored(manifest), Identity.of(provenance_of(base)))
    if changed and not force:
        raise Mismatch(
            "the run was made by another version of cartsim, its evidence or its dependencies",
            where=place.text,
            why="; ".join(changed) + ": simulated now, its subjects would tell another story",
            mend="the version that made it, a new run, or --force to be told what this version makes of them",
        )
    plan = manifest.get("plan")
    covered = Plan.of(plan) if plan is not None else None
    return Source(
        points,
        place,
        manifest,
        base.subjects if covered is None else covered.subjects,
        base.run.replicates if covered is None else covered.replicates,
        tuple(changed),
        force,
    )


def _is_scenario(told: Any) -> bool:
    if isinstance(told, Mapping):
        return True
    if isinstance(told, str) and "\n" in told:
        return True
    return isinstance(told, str | Path) and str(told).endswith((".yaml", ".yml"))


def _of_scenario(scenario: Scenario) -> Source:
    scenario.require_seed()
    return Source(Points(scenario), None, None, scenario.subjects, scenario.run.replicates)


def find_subject(source: Source, address: Address) -> Address:
    """The address, once every number of it is known to exist. Raises `InvalidInput` with the range."""
    for name, option, number, count in (
        ("design point", "--design", address.design, len(source.points)),
        ("replicate", "--replicate", address.replicate, source.replicates),
        ("subject", "--subject", address.subject, source.subjects),
    ):
        if not 0 <= number < count:
            numbers = "only 0" if count == 1 else f"0 to {count - 1}"
            raise InvalidInput(
                f"there is no {name} {number}",
                why=f"{name}s are numbered {numbers}",
                mend=f"{option} {max(count - 1, 0)}",
            )
    return address


def find_arms(source: Source, design: int, wanted: Sequence[str]) -> list[ReadyArm]:
    """The arms called so, in the order asked for; all where none is. Raises `InvalidInput` with the nearest id."""
    arms = {arm.id: arm for arm in source.points.arms(design)}
    for name in wanted:
        if name not in arms:
            raise InvalidInput(
                f"there is no arm {name!r}",
                why=f"arms are {', '.join(arms)}",
                mend=f"--arm {nearest(name, list(arms)) or next(iter(arms))}",
            )
    return [arms[name] for name in dict.fromkeys(wanted)] or list(arms.values())
