"""Why: two files that mean the same must be the same. A resolved scenario has every default filled in and every
policy written out; its hash is the identity of a run, whatever the comments or the order of keys were.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from cartsim.errors import InvalidInput, Problem
from cartsim.scenario.behaviour import Behaviour, behaviour_numbers, plain_behaviour
from cartsim.scenario.models import Arm as ArmBlock
from cartsim.scenario.models import (
    Grading,
    Harms,
    Levers,
    Monitoring,
    Outputs,
    Population,
    ProductBlock,
    Run,
    ScenarioFile,
    Site,
    Study,
)
from cartsim.scenario.patients import PatientFile
from cartsim.scenario.strict import Strict
from cartsim.scenario.sweep_block import SweepBlock
from cartsim.scenario.value import Costs, Utilities

if TYPE_CHECKING:
    from cartsim.policy.schema import Policy


#: Keys of the population block that say where subjects come from, and not what they are like.
_OF_FILES = frozenset({"file", "sample", "missing", "sha256"})
_NO_COVARIATES = {"subjects", *_OF_FILES}


@dataclass(frozen=True)
class Arm:
    """An arm with its policy resolved; `policy` holds the rungs of `prophylaxis` too."""

    id: str
    label: str
    policy: "Policy"
    prophylaxis: tuple[str, ...]
    model: Mapping[str, float | list[float]]
    levers: Levers | None = None
    behaviour: Behaviour | None = None


@dataclass(frozen=True)
class Product:
    """`id` is a product of the registry; `overrides` have full registry keys, `status` and `source` are theirs."""

    id: str
    name: str | None
    overrides: Mapping[str, float | list[float]]
    dose_cells_1e6: float | None
    costimulation: str | None = None
    status: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class Scenario:
    """One question, ready to run: what the file said with everything else filled in.

    `text` is the file as read, `file` its name (both None for a mapping); `overrides` what `--set` changed; `data`
    the plain data that all of it was made from. `draw` is the number of a parameter set, `sweep` the plan of a sweep.
    """

    id: str
    title: str
    study: Study
    product: Product
    population: Population
    grading: Grading
    monitoring: Monitoring
    model_overrides: Mapping[str, float | list[float]]
    arms: tuple[Arm, ...]
    reference: str
    site: Site | None
    run: Run
    outputs: Outputs
    text: str | None
    file: str | None
    overrides: Mapping[str, Any]
    draw: int | None = None
    pharmacokinetics: str = "linear"
    sweep: SweepBlock | None = None
    harms: Harms | None = None
    subgroups: Mapping[str, Mapping[str, Any]] | None = None
    costs: Costs | None = None
    utilities: Utilities | None = None
    data: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    levers: Levers | None = None
    behaviour: Behaviour | None = None
    patients: PatientFile | None = None

    @property
    def horizon_days(self) -> int:
        """Follow-up in days after infusion."""
        return self.study.horizon_days

    @property
    def subjects(self) -> int:
        """Subjects of the cohort (the same in every arm)."""
        return self.population.subjects

    @property
    def covariates(self) -> dict[str, Any]:
        """Covariates given in the file: name -> number, or a map with `dist` and its parameters."""
        given = self.population.model_dump(exclude=_NO_COVARIATES, exclude_none=True)
        return {
            name: {key: part for key, part in value.items() if key != "source"}
            if isinstance(value, dict)
            else value
            for name, value in given.items()
        }

    def levers_of(self, arm: Arm) -> Levers | None:
        """What is done before infusion in an arm."""
        return arm.levers if arm.levers is not None else self.levers

    def arm(self, arm_id: str) -> Arm:
        """The arm called `arm_id`. Raises `KeyError`."""
        for arm in self.arms:
            if arm.id == arm_id:
                return arm
        raise KeyError(arm_id)

    def registry_overrides(self, arm: Arm | None = None) -> dict[str, float | list[float]]:
        """Registry key -> value: the parameter set drawn, product block, `behaviour`, `model.overrides`, the arm's own.

        What comes later wins. Raises `InvalidInput` where a parameter set is asked for without a seed.
        """
        drawn: Mapping[str, float | list[float]] = {}
        if self.draw is not None:
            from cartsim.evidence.spread import draw_numbers

            drawn = draw_numbers(self.product.id, self.require_seed(), self.draw)
        habits = behaviour_numbers(self.behaviour)
        merged = {**drawn, **self.product.overrides, **habits, **self.model_overrides}
        return merged if arm is None else {**merged, **behaviour_numbers(arm.behaviour), **arm.model}

    def require_seed(self) -> int:
        """The seed. Raises `InvalidInput` where the file has none: a run must be repeatable."""
        if self.run.seed is None:
            raise InvalidInput(
                "the scenario has no seed",
                problems=[
                    Problem(
                        self.file,
                        None,
                        "run.seed",
                        "key `seed` is missing; without it the run could not be repeated",
                        "add `run: {seed: 20261122}`, or give --seed",
                    )
                ],
            )
        return self.run.seed

    def resolved(self) -> dict[str, Any]:
        """Plain data with every default filled; loading it again gives the same scenario."""
        return {
            "schema": "cartsim/scenario/1",
            "id": self.id,
            "title": self.title,
            "study": _plain(self.study),
            "product": {
                "base": self.product.id,
                "name": self.product.name,
                "overrides": {
                    key.removeprefix(f"product.{self.product.id}."): value
                    for key, value in self.product.overrides.items()
                },
                "dose_cells_1e6": self.product.dose_cells_1e6,
                "costimulation": self.product.costimulation,
                "status": self.product.status,
                "source": self.product.source,
            },
            "population": _plain_population(self.population),
            "levers": _plain(self.levers) if self.levers is not None else None,
            "grading": _plain(self.grading),
            "monitoring": _plain(self.monitoring),
            "model": {
                "overrides": dict(self.model_overrides),
                "draw": self.draw,
                "pharmacokinetics": self.pharmacokinetics,
            },
            "arms": [
                {
                    "id": arm.id,
                    "label": arm.label,
                    **self._policy_of(number),
                    "model": dict(arm.model),
                    **_own_choices(arm),
                }
                for number, arm in enumerate(self.arms)
            ],
            "reference": self.reference,
            "site": _plain(self.site) if self.site is not None else None,
            "run": _plain_run(self.run),
            "harms": _plain(self.harms) if self.harms is not None else None,
            "sweep": _plain_sweep(self.sweep) if self.sweep is not None else None,
            "trial": None,
            "outputs": _plain(self.outputs),
            **self._asked(),
        }

    def _asked(self) -> dict[str, Any]:
        """What a scenario need not have; without it `resolved()` is what it was before there was such a thing."""
        asked: dict[str, Any] = {}
        if self.behaviour is not None:
            asked["behaviour"] = plain_behaviour(self.behaviour)
        if self.subgroups:
            asked["subgroups"] = {name: dict(conditions) for name, conditions in self.subgroups.items()}
        if self.costs is not None:
            asked["costs"] = _plain(self.costs)
        if self.utilities is not None:
            asked["utilities"] = _plain(self.utilities)
        return asked

    def _policy_of(self, number: int) -> dict[str, Any]:
        """The policy of an arm written out, with what prophylaxis modules add.

        Where a sweep moves the policy or the modules, the arm stays as it was given, since a point is made by changing
        that and not what became of it (`extends`, null for a rung that goes); unless it names a file of the user's.
        """
        arm = self.arms[number]
        if self.sweep is not None and any(_moves_policy(path, number, arm.id) for path in self.sweep.paths()):
            given = self.data["arms"][number]["policy"]
            source = given if isinstance(given, str) else given.get("extends")
            if source is None or source in _ready_policies():
                return {"policy": given, "prophylaxis": list(arm.prophylaxis)}
        return {"policy": _plain_policy(arm.policy)}

    def hash(self) -> str:
        """sha256 over the canonical JSON of `resolved()`, with the order of rules, which are walked in order.

        Of a sweep also over the policies written out, which `resolved()` may only name.
        """
        order = [list(arm.policy.rules) for arm in self.arms]
        resolved = self.resolved()
        # a cohort is its content, wherever the file lies
        resolved["population"].pop("file", None)
        whole = _canonical([resolved, order])
        if self.sweep is not None:
            whole.append([_canonical(_plain_policy(arm.policy)) for arm in self.arms])
        text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    """24.0 and 24 are the same number, whichever way a file wrote it."""
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain(part: Strict) -> dict[str, Any]:
    return part.model_dump(mode="json", by_alias=True)


def _plain_run(run: Run) -> dict[str, Any]:
    """Without parameter sets where there are none: as it was before there were any."""
    plain = _plain(run)
    return plain if run.parameter_draws else {k: v for k, v in plain.items() if k != "parameter_draws"}


def _plain_population(population: Population) -> dict[str, Any]:
    """Without the keys of a cohort file where there is none."""
    plain = _plain(population)
    return plain if population.file is not None else {k: v for k, v in plain.items() if k not in _OF_FILES}


def _own_choices(arm: Arm) -> dict[str, Any]:
    own: dict[str, Any] = {} if arm.levers is None else {"levers": _plain(arm.levers)}
    return own if arm.behaviour is None else {**own, "behaviour": plain_behaviour(arm.behaviour)}


def _plain_sweep(sweep: SweepBlock) -> dict[str, Any]:
    """With the rows of a file in place of its name."""
    plain = _plain(sweep)
    return plain if sweep.rows is None else plain | {"file": None}


def _moves_policy(path: str, number: int, arm_id: str) -> bool:
    parts = path.split(".")
    return parts[0] == "arms" and parts[1] in (arm_id, str(number)) and parts[2] in ("policy", "prophylaxis")


@cache
def _ready_policies() -> frozenset[str]:
    from cartsim.policy.library import list_policies

    return frozenset(policy.id for policy in list_policies())


def _plain_policy(policy: "Policy") -> dict[str, Any]:
    return policy.model_dump(mode="json", by_alias=True, exclude_none=True)


def resolve_product(block: str | ProductBlock) -> Product:
    """The product that a file names or describes."""
    if isinstance(block, str):
        return Product(block, None, {}, None)
    full = {f"product.{block.base}.{key}": value for key, value in block.overrides.items()}
    return Product(
        block.base, block.name, full, block.dose_cells_1e6, block.costimulation, block.status, block.source
    )


def resolve_arm(block: ArmBlock, policy: "Policy") -> Arm:
    """An arm with its loaded policy."""
    prophylaxis = tuple(block.prophylaxis)
    return Arm(
        block.id, block.label or block.id, policy, prophylaxis, block.model, block.levers, block.behaviour
    )


def build_scenario(
    model: ScenarioFile,
    policies: list["Policy"],
    text: str | None,
    file: str | None,
    overrides: Mapping[str, Any],
    data: Mapping[str, Any],
    patients: PatientFile | None = None,
) -> Scenario:
    """Join the validated file, the loaded policies (one per arm, in order) and the cohort."""
    product = resolve_product(model.product)
    arms = tuple(resolve_arm(arm, policy) for arm, policy in zip(model.arms, policies, strict=True))
    return Scenario(
        id=model.id,
        title=model.title,
        study=model.study,
        product=product,
        population=model.population,
        grading=model.grading,
        monitoring=model.monitoring,
        model_overrides=model.model.overrides,
        arms=arms,
        reference=model.reference or arms[0].id,
        site=model.site,
        run=model.run,
        outputs=model.outputs,
        text=text,
        file=file,
        overrides=dict(overrides),
        draw=model.model.draw,
        pharmacokinetics=model.model.pharmacokinetics,
        sweep=model.sweep,
        harms=model.harms,
        subgroups=model.subgroups,
        costs=model.costs,
        utilities=model.utilities,
        data=data,
        levers=model.levers,
        behaviour=model.behaviour,
        patients=patients,
    )
