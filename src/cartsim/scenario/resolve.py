"""Why: two files that mean the same must be the same. A resolved scenario has every default filled in and every
policy written out; its hash is the identity of a run, whatever the comments or the order of keys were.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cartsim.errors import InvalidInput, Problem
from cartsim.scenario.models import (
    Grading,
    Monitoring,
    Outputs,
    Population,
    Run,
    ScenarioFile,
    Site,
    Strict,
    Study,
)

if TYPE_CHECKING:
    from cartsim.policy.schema import Policy


@dataclass(frozen=True)
class Arm:
    """An arm with its policy resolved; `policy` holds the rungs of `prophylaxis` too."""

    id: str
    label: str
    policy: "Policy"
    prophylaxis: tuple[str, ...]
    model: Mapping[str, float | list[float]]


@dataclass(frozen=True)
class Product:
    """`id` is a product of the registry; `overrides` have full registry keys."""

    id: str
    name: str | None
    overrides: Mapping[str, float | list[float]]
    dose_cells_1e6: float | None


@dataclass(frozen=True)
class Scenario:
    """One question, ready to run: what the file said with everything else filled in.

    `text` is the file as read, `file` its name (both None for a mapping); `overrides` what `--set` changed.
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
        given = self.population.model_dump(exclude={"subjects"}, exclude_none=True)
        return {
            name: {key: part for key, part in value.items() if key != "source"}
            if isinstance(value, dict)
            else value
            for name, value in given.items()
        }

    def arm(self, arm_id: str) -> Arm:
        """The arm called `arm_id`. Raises `KeyError`."""
        for arm in self.arms:
            if arm.id == arm_id:
                return arm
        raise KeyError(arm_id)

    def registry_overrides(self, arm: Arm | None = None) -> dict[str, float | list[float]]:
        """Registry key -> value: product block, then `model.overrides`, then the arm's own `model`."""
        merged = {**self.product.overrides, **self.model_overrides}
        return {**merged, **arm.model} if arm is not None else merged

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
            },
            "population": _plain(self.population),
            "grading": _plain(self.grading),
            "monitoring": _plain(self.monitoring),
            "model": {"overrides": dict(self.model_overrides)},
            "arms": [
                {
                    "id": arm.id,
                    "label": arm.label,
                    # The policy below already holds what the modules add.
                    "policy": _plain_policy(arm.policy),
                    "model": dict(arm.model),
                }
                for arm in self.arms
            ],
            "reference": self.reference,
            "site": _plain(self.site) if self.site is not None else None,
            "run": _plain(self.run),
            "sweep": None,
            "trial": None,
            "outputs": _plain(self.outputs),
        }

    def hash(self) -> str:
        """sha256 over the canonical JSON of `resolved()`, with the order of rules, which are walked in order."""
        order = [list(arm.policy.rules) for arm in self.arms]
        whole = _canonical([self.resolved(), order])
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


def _plain_policy(policy: "Policy") -> dict[str, Any]:
    return policy.model_dump(mode="json", by_alias=True, exclude_none=True)


def build_scenario(
    model: ScenarioFile,
    policies: list["Policy"],
    text: str | None,
    file: str | None,
    overrides: Mapping[str, Any],
) -> Scenario:
    """Join the validated file and the loaded policies (one per arm, in order)."""
    block = model.product
    if isinstance(block, str):
        product = Product(block, None, {}, None)
    else:
        full = {f"product.{block.base}.{key}": value for key, value in block.overrides.items()}
        product = Product(block.base, block.name, full, block.dose_cells_1e6)
    arms = tuple(
        Arm(arm.id, arm.label or arm.id, policy, tuple(arm.prophylaxis), arm.model)
        for arm, policy in zip(model.arms, policies, strict=True)
    )
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
    )
