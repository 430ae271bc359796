"""Why: half of a published table is how its patients were watched, treated and counted. A cohort is therefore an
ordinary scenario that runs the trial's own rules, with the conventions of its figures beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from cartsim.errors import InvalidInput, Problem
from cartsim.evidence.target_rows import crs_scales
from cartsim.evidence.targets import ACTIVE, TargetSet
from cartsim.scenario.load import load_scenario
from cartsim.scenario.resolve import Scenario
from cartsim.terms import CrsScale
from cartsim.yaml_text import read_yaml

FOLDER = Path(__file__).parent / "cohorts"
INDEX = FOLDER / "index.yaml"
#: Follow-up of every cohort: slow endings are clipped at 30 days.
HORIZON_D = 60
NEURO = ("wide", "icans", "between")


@dataclass(frozen=True)
class Cohort:
    """A cohort of the targets, ready to simulate.

    `neuro`: what its `ne_*` figures count, "wide" (any CTCAE kind), "icans", or "between" (begins as ICANS does, ends
    as wide events do). `behaviour`: registry keys of its clinicians; `waits`: rule -> registry key of the days it
    waits. `proxy`: why the product run is not the cohort's own, or empty. `endpoints`: what its rows ask for.
    """

    id: str
    scenario: Scenario
    crs_scale: CrsScale
    neuro: str
    first_episode_only: bool = False
    behaviour: tuple[str, ...] = ()
    notes: str = ""
    unverified: tuple[str, ...] = ()
    waits: Mapping[str, str] = field(default_factory=dict)
    proxy: str = ""
    endpoints: tuple[str, ...] = ()

    @property
    def product(self) -> str:
        """Registry id of the product that is run."""
        return self.scenario.product.id


def load_cohorts(targets: TargetSet, own: Mapping[str, str | Path] | None = None) -> dict[str, Cohort]:
    """Cohort of every `cohort_id` that has rows to simulate, in the order of the targets.

    `own` names scenario files of the user's cohorts. Raises `InvalidInput` for a cohort without a scenario, for one
    that no target names, for a scenario with several arms or a sweep, and for a row on a scale that the scenario does
    not grade on.
    """
    named = dict(own or {})
    _check_named(targets, named)
    cohorts: dict[str, Cohort] = {}
    problems: list[Problem] = []
    for id_ in targets.cohorts:
        if id_ in named:
            cohorts[id_] = _own(id_, Path(named[id_]))
        elif id_ in _index():
            cohorts[id_] = _published(id_)
        else:
            row = targets.where(ACTIVE, id_)[0]
            what = f"no scenario is known for the cohort `{id_}`"
            problems.append(Problem(row.file, row.line, id_, what, f"--cohort {id_}=scenario.yaml"))
    if problems:
        raise InvalidInput("the targets name cohorts that cannot be simulated", problems=problems)
    _check_scales(targets, {id_: cohort for id_, cohort in cohorts.items() if id_ in named})
    return {
        id_: replace(cohort, endpoints=tuple(sorted({row.endpoint for row in targets.where(ACTIVE, id_)})))
        for id_, cohort in cohorts.items()
    }


@cache
def _index() -> Mapping[str, Mapping[str, Any]]:
    document, traps = read_yaml(INDEX.read_text(encoding="utf-8"), INDEX.name)
    assert not traps
    return document.data["cohorts"]


@cache
def _scenario(file: str) -> Scenario:
    return load_scenario(FOLDER / file)


@cache
def _published(id_: str) -> Cohort:
    entry = _index()[id_]
    scenario = _scenario(entry["file"])
    scale = CrsScale[entry["crs"].upper()]
    assert scenario.grading.crs == entry["crs"] and entry["neuro"] in NEURO
    notes = " ".join(line.lstrip("# ") for line in (scenario.text or "").splitlines() if line.startswith("#"))
    return Cohort(
        id=id_,
        scenario=scenario,
        crs_scale=scale,
        neuro=entry["neuro"],
        first_episode_only=entry.get("first_episode_only", False),
        behaviour=tuple(entry.get("behaviour", ())),
        notes=notes,
        unverified=tuple(entry.get("unverified", ())),
        waits=dict(entry.get("waits", {})),
        proxy=entry.get("proxy", ""),
    )


def _own(id_: str, path: Path) -> Cohort:
    """A user's cohort: what its scenario says. Its `ne_*` rows are on a CTCAE scale, or they had been refused."""
    scenario = load_scenario(path)
    name = str(path)
    if len(scenario.arms) != 1:
        raise InvalidInput(
            f"the cohort `{id_}` needs a scenario of one arm; {len(scenario.arms)} are there",
            where=name,
            why="a published cohort was managed in one way",
            mend="keep the arm that the cohort had",
        )
    asked = {
        "sweep": scenario.sweep is not None,
        "site": scenario.site is not None,
        "population.file": scenario.patients is not None,
        "model.draw": scenario.draw is not None,
        "run.parameter_draws": scenario.run.parameter_draws > 0,
    }
    for what in (key for key, there in asked.items() if there):
        raise InvalidInput(
            f"the cohort `{id_}` is simulated without `{what}`", where=name, mend=f"remove `{what}`"
        )
    return Cohort(
        id=id_,
        scenario=replace(scenario, study=scenario.study.model_copy(update={"horizon_days": HORIZON_D})),
        crs_scale=CrsScale[scenario.grading.crs.upper()],
        neuro="wide",
        notes=scenario.title,
        unverified=tuple(scenario.arms[0].policy.unverified),
    )


def _check_named(targets: TargetSet, named: Mapping[str, Any]) -> None:
    for id_ in named:
        if id_ not in targets.cohorts:
            raise InvalidInput(
                f"a scenario is given for the cohort `{id_}`, of which the targets have no row to simulate",
                where=targets.source,
                mend=", ".join(targets.cohorts),
            )


def _check_scales(targets: TargetSet, cohorts: Mapping[str, Cohort]) -> None:
    """Rows of a user's cohorts are graded as their scenario grades."""
    problems = []
    for id_, cohort in cohorts.items():
        name = cohort.crs_scale.name.lower()
        for row in targets.where(ACTIVE, id_):
            scales = crs_scales(row.grading_crs)
            if scales and name not in scales:
                what = f"the row is graded by {scales[0]}, and the cohort's scenario by {name}"
                problems.append(Problem(row.file, row.line, row.id, what, f"grading: {{crs: {scales[0]}}}"))
    if problems:
        raise InvalidInput("targets and scenarios disagree on the scale", problems=problems)
