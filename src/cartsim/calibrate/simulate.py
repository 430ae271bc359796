"""Why: a fit asks for the same cohort under a hundred thousand sets of numbers. Whatever those numbers do not touch is
made once (the draws of the subjects, the compiled policy), and only what the cohort's figures need is written down.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from cartsim.arm_parts import Parts
from cartsim.arms import ReadyArm, prepare_arm
from cartsim.calibrate import spells
from cartsim.calibrate.cohorts import HORIZON_D, Cohort
from cartsim.cohort import draw_cohort
from cartsim.draws import sobol_baseline, study_key, uniforms
from cartsim.drivers.batch import Block, run_block
from cartsim.evidence.registry import load_registry
from cartsim.model.state import LATENT
from cartsim.tables import Identity
from cartsim.tables.measures import measures
from cartsim.tables.responses import response
from cartsim.terms import BASELINE_DECISIONS, HOURS_PER_DAY

Value = float | list[float]
#: Logs that the kernel may keep, by the name of their flag without `want_`.
LOGS = ("episodes", "doses", "changes")


@dataclass
class Simulated:
    """Subjects of one cohort under one set of numbers; columns are made when they are asked for.

    `look_d` is the time between two assessments, days.
    """

    count: int
    subjects: np.ndarray
    block: Block
    who: Identity
    look_d: float
    logs: frozenset[str]

    def __post_init__(self) -> None:
        self._columns: dict[str, np.ndarray] = {}
        self._latent = np.zeros(self.count, LATENT)

    def column(self, name: str) -> np.ndarray:
        """A column of adsl that a course decides, or one of `OWN`; (count,). Raises `KeyError`."""
        if name not in self._columns:
            self._columns |= self._make(name)
        return self._columns[name]

    def kept(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Something derived, made once."""
        if name not in self._columns:
            self._columns[name] = make()
        return self._columns[name]

    def need(self, log: str) -> None:
        """Raises `ValueError` where the runner did not keep a log."""
        if log not in self.logs:
            raise ValueError(f"the log of {log} was not kept for this cohort")

    def _make(self, name: str) -> dict[str, np.ndarray]:
        if name in OWN:
            logs, make = OWN[name]
            for log in logs:
                self.need(log)
            return {name: make(self)}
        found = measures(self.who, self.subjects, self.block.courses, self._latent, [name])
        if name not in found:
            raise KeyError(name)
        return found


def _response(s: Simulated) -> np.ndarray:
    return response(s.block.courses, s.block.episodes, s.block.doses)


#: Column -> (logs it needs, how it is made); see `spells`.
OWN: dict[str, tuple[tuple[str, ...], Callable[[Simulated], np.ndarray]]] = {
    "toci_response": (("episodes", "doses"), _response),
    "t_fever_d": (("changes",), lambda s: spells.first_fever(s.block.courses, s.block.changes)),
    "t_fever_last_d": (
        ("changes",),
        lambda s: spells.last_fever(s.block.courses, s.block.changes, s.look_d),
    ),
    "t_bp_after_fever_d": (
        ("changes",),
        lambda s: spells.support_after(s.block.courses, s.block.changes, s.column("t_fever_d")),
    ),
    "icu_stays": (("changes",), lambda s: spells.icu_stays(s.block.courses, s.block.changes)[0]),
    "icu_calendar_days": (("changes",), lambda s: spells.icu_stays(s.block.courses, s.block.changes)[1]),
}


class CohortRunner:
    """Simulates subjects `first .. first + subjects - 1` of a cohort under any numbers; may be shared by threads.

    `also`: other cohorts of the same scenario (`groups`), whose figures are read from the same subjects.
    """

    def __init__(
        self,
        cohort: Cohort,
        subjects: int,
        seed: int,
        source: str = "sobol",
        first: int = 0,
        also: Sequence[Cohort] = (),
    ) -> None:
        from cartsim.calibrate.endpoints import logs_of

        self.cohort, self.subjects, self.seed, self.source, self.first = cohort, subjects, seed, source, first
        outputs = cohort.scenario.outputs.model_copy(
            update={"tables": [], "events": "off", "endpoints": None}
        )
        study = cohort.scenario.study.model_copy(update={"horizon_days": HORIZON_D})
        self._scenario = replace(
            cohort.scenario, outputs=outputs, study=study, costs=None, utilities=None, harms=None
        )
        self.logs = frozenset(
            log for one in (cohort, *also) for name in one.endpoints for log in logs_of(name)
        )
        self._parts, self._lock = Parts(), Lock()
        self._baseline = _baseline(seed, first, subjects, source)
        self._published = load_registry().numbers()

    def run(self, numbers: Mapping[str, Value] | None = None) -> Simulated:
        """Subjects under `numbers`: registry overrides on top of the cohort's own; `key[i]` is one element of a list.

        A pure function of its arguments. Raises `InvalidInput` for a key that the registry does not have.
        """
        arm = self._arm(self._whole(numbers or {}))
        if arm.draws_all:
            cohort, subjects = draw_cohort(
                arm.par, arm.margins, self.seed, 0, self.first, self.subjects, self.source, self._baseline
            )
        else:
            cohort, subjects = arm.draw(self.seed, 0, self.first, self.subjects, self.source)
        block = run_block(arm.clinic, subjects, *arm.masks(cohort))
        look_d = self._scenario.monitoring.ward_h / HOURS_PER_DAY
        return Simulated(self.subjects, subjects, block, arm.identity, look_d, self.logs)

    def _arm(self, numbers: Mapping[str, Value]) -> ReadyArm:
        base = self._scenario.arms[0]
        with self._lock:
            changed = replace(base, model={**base.model, **numbers})
            arm = prepare_arm(self._scenario, changed, 1, self._parts)
        for log in LOGS:
            arm.clinic["par"][f"want_{log}"] = log in self.logs
        for rule, key in self.cohort.waits.items():
            arm.clinic["rules"]["for_d"][0, arm.policy.rule_names.index(rule)] = arm.overrides.get(
                key, self._published[key]
            )
        return arm

    def _whole(self, numbers: Mapping[str, Value]) -> dict[str, Value]:
        """Numbers with elements of lists put into their lists."""
        whole: dict[str, Value] = {}
        for key, value in numbers.items():
            if not key.endswith("]"):
                whole[key] = value
                continue
            name, _, place = key[:-1].partition("[")
            held = whole.get(name, self._published[name])
            assert isinstance(held, list) and not isinstance(value, list)
            whole[name] = [value if k == int(place) else one for k, one in enumerate(held)]
        return whole


def groups(cohorts: Mapping[str, Cohort]) -> list[tuple[Cohort, ...]]:
    """Cohorts that may be read from the same subjects: the same scenario and waits."""
    found: dict[tuple[int, tuple[tuple[str, str], ...]], list[Cohort]] = {}
    for cohort in cohorts.values():
        found.setdefault((id(cohort.scenario), tuple(cohort.waits.items())), []).append(cohort)
    return [tuple(group) for group in found.values()]


def _baseline(seed: int, first: int, count: int, source: str) -> np.ndarray:
    """Baseline numbers [count, 64] that the cohort draw would make at every call."""
    if source == "sobol":
        return sobol_baseline(seed, 0, first, count)
    key, places = study_key(seed), np.arange(first, first + count)
    return np.column_stack([uniforms(key, places, decision) for decision in range(BASELINE_DECISIONS)])
