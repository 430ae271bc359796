"""Clinics, cohorts and hand-made subjects for the tests of the model: registry numbers plus what a test wants changed.

A hand-made subject has no spread: its drives are closed forms that a test can compute by itself, and a fever of
another cause gives it exact hours of grade 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cartsim.cohort import draw_cohort, margins_of
from cartsim.drivers.batch import Block, run_block
from cartsim.evidence.registry import Value, load_registry, starting_registry
from cartsim.model.parameters import RUN_FIELDS, fill_parameters, registry_keys
from cartsim.model.peaks import latent_peaks
from cartsim.model.state import ACTION, COURSE, LOG, PROPHYLAXIS, RULE, SUBJECT
from cartsim.model.views import make_clinic
from cartsim.policy.compile import CompiledPolicy, compile_policy
from cartsim.policy.library import load_policy

#: Numbers before calibration: hours worked out by hand must not move with a fit.
REGISTRY = starting_registry()
#: The same for tests that go through a scenario (`model: {overrides: ...}`): every number that a calibration moved.
STARTING: dict[str, Value] = {
    key: value for key, value in REGISTRY.numbers().items() if load_registry().numbers()[key] != value
}
PRODUCTS = tuple(REGISTRY.products())
ALL = np.uint64(2**64 - 1)
RUN = dict.fromkeys(RUN_FIELDS, 0.0) | {
    "horizon_d": 30.0,
    "ward_h": 6.0,
    "icu_h": 2.0,
    "clinic_h": 24.0,
    "home_h": 24.0,
    "skip": 1.0,
    "want_episodes": 1.0,
    "want_doses": 1.0,
    "want_changes": 1.0,
}
#: Hazards that make courses end at random: off where a test asks about the latent course alone.
NO_DEATH = {"hazard_background": 0.0, "hazard_crs": 0.0, "hazard_icans": 0.0}
NO_HAZARD = NO_DEATH | {"hazard_seizure": 0.0}
HOUR = 1.0 / 24.0
#: Signs of support at once with the fever, wide events on the curve of ICANS: what hand-made hours count on.
TOGETHER = {"support_lag_d": 0.0, "wide_decline_ratio": 1.0}
#: ... and one after the other.
APART = {"support_lag_d": 1.7, "wide_decline_ratio": 0.45}


def make_par(product: str = "axi-cel", **changes: Any) -> np.ndarray:
    """PARAMETERS[1] of a product; `changes` by field name, registry fields and run fields alike."""
    par = fill_parameters(REGISTRY.numbers(), product, RUN)
    for name, value in (TOGETHER | changes).items():
        assert name in registry_keys(product) or name in RUN_FIELDS, name
        par[name] = value
    return par


def policy_of(base: Mapping[str, Any] | str, /, **more: Any) -> CompiledPolicy:
    """A policy from the id of a ready one, or from hand-made rules (ASTCT); `more` are blocks of its file."""
    start = {"extends": base} if isinstance(base, str) else {"scale": "astct2019", "rules": dict(base)}
    return compile_policy(load_policy({"id": "mine"} | start | more, REGISTRY), REGISTRY)


def clinic_of(par: np.ndarray, policy: CompiledPolicy | None = None) -> np.ndarray:
    """CLINIC[1] with the registry's grading tables; the policy's own scale is set."""
    tables = REGISTRY.grading()
    par = par.copy()
    if policy is not None:
        par["policy_crs_scale"] = policy.crs_scale
        par["want_temperature"] = float(np.isfinite(policy.rules["temperature_min"]).any())
    rows = (
        (np.zeros(0, RULE), np.zeros(0, ACTION), np.zeros(0, PROPHYLAXIS))
        if policy is None
        else (policy.rules, policy.actions, policy.prophylaxis)
    )
    return make_clinic(par, tables.scale, tables.fever_grade, tables.needs_fever, *rows)


@dataclass(frozen=True)
class Arm:
    """A product under a policy, ready to run."""

    product: str
    clinic: np.ndarray
    policy: CompiledPolicy | None

    def draw(
        self, count: int, first: int = 0, seed: int = 7, source: str = "philox"
    ) -> tuple[np.ndarray, np.ndarray]:
        """(COHORT, SUBJECT)"""
        margins = margins_of(REGISTRY.population(self.product))
        return draw_cohort(self.clinic["par"], margins, seed, 0, first, count, source)

    def run(self, cohort: np.ndarray, subjects: np.ndarray) -> Block:
        """Every subject through the batch driver, with the policy's own eligibility."""
        cd28 = REGISTRY.product(self.product).cd28
        if self.policy is None:
            none = np.zeros(len(cohort), np.uint64)
            return run_block(self.clinic, subjects, none, none)
        policy = self.policy
        return run_block(
            self.clinic,
            subjects,
            policy.eligibility(cohort, cd28),
            policy.prophylaxis_mask(cohort, cd28),
        )

    def run_drawn(self, count: int, seed: int = 7) -> Block:
        """Draw and run."""
        return self.run(*self.draw(count, seed=seed))


def make_arm(product: str = "axi-cel", policy: CompiledPolicy | None = None, **changes: Any) -> Arm:
    """An arm; `changes` as in `make_par`."""
    return Arm(product, clinic_of(make_par(product, **changes), policy), policy)


def make_subject(**fields: Any) -> np.ndarray:
    """SUBJECT[1], 70 kg, a full responder in whom nothing ever happens, but for what `fields` say."""
    s = np.zeros(1, SUBJECT)
    quiet = {
        "crs_peak": -20.0,
        "crs_peak_d": 5.0,
        "crs_ascent": 0.5,
        "crs_decline": 0.3,
        "icans_peak": -20.0,
        "icans_peak_d": 7.0,
        "icans_ascent": 1.0,
        "icans_decline": 0.3,
        "toci_response": 1.0,
        "toci_effect": 1.2,
        "steroid_size": 1.0,
        "steroid_scale": 1.0,
        "weight_kg": 70.0,
        "other_fever_start": math.inf,
        "other_fever_end": -math.inf,
        "order_delay_u": 0.5,
        "death_threshold": 1e9,
        "death_cause_u": 0.5,
        "seizure_threshold": 1e9,
    }
    for name, value in (quiet | fields).items():
        s[name] = value
    return s


def with_support(peak: float, peak_d: float = 5.0, per_day: float = 0.1, **fields: Any) -> np.ndarray:
    """A subject whose CRS drive jumps to `peak` at `peak_d` and falls by `per_day`; only blood pressure shows it."""
    only_bp = np.array([0.0, -30.0, -30.0, -30.0])
    return make_subject(
        crs_peak=peak,
        crs_peak_d=peak_d,
        crs_ascent=2000.0,
        crs_decline=per_day,
        **({"eps": only_bp} | fields),
    )


def with_neuro(peak: float, peak_d: float = 5.0, per_day: float = 0.1, **fields: Any) -> np.ndarray:
    """A subject without CRS whose ICANS drive jumps to `peak` at `peak_d` and falls by `per_day`."""
    return make_subject(
        icans_peak=peak, icans_peak_d=peak_d, icans_ascent=2000.0, icans_decline=per_day, **fields
    )


def with_fever(from_h: float, to_h: float, **fields: Any) -> np.ndarray:
    """A subject with fever, and nothing else, in [from_h, to_h) hours after infusion."""
    return make_subject(other_fever_start=from_h * HOUR, other_fever_end=to_h * HOUR, **fields)


def run_one(arm: Arm, subject: np.ndarray) -> Block:
    """A hand-made subject, eligible for every rule and dose of the arm."""
    mask = np.full(len(subject), ALL)
    return run_block(arm.clinic, subject, mask, mask)


def new_course(**fields: Any) -> np.ndarray:
    """COURSE[1] as zeros but for `fields`."""
    course = np.zeros(1, COURSE)
    for name, value in fields.items():
        course[name] = value
    return course


def new_log() -> np.ndarray:
    """An empty LOG[1]."""
    return np.zeros(1, LOG)


def record(array: np.ndarray) -> np.record:
    """The first row as model functions take it, fields as attributes; writing to it writes to `array`."""
    return array.view(np.recarray)[0]


def same_bits(a: np.ndarray, b: np.ndarray, without: tuple[str, ...] = ()) -> list[str]:
    """Fields of two structured arrays that differ anywhere (NaN equals NaN); sizes must agree."""
    assert a.dtype == b.dtype and a.shape == b.shape, (a.shape, b.shape)
    names = [name for name in a.dtype.names or () if name not in without]
    return [
        name for name in names if not np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f")
    ]


def rich_arm() -> Arm:
    """An arm in which everything that can happen does: every drug, ICE errors, heavy hazards, small bodies."""
    policy = policy_of(
        "asco_2021",
        add=["dex_d0_2", "toci_risk_adapted"],
        rules={
            "hot": {
                "when": {"temperature_c": ">=38.5", "anakinra_doses": 0},
                "give": {"drug": "anakinra", "mg": 100, "every_h": 12, "max_doses": 4},
            }
        },
    )
    return make_arm(
        "tisa-cel-all", policy, ice_error=0.2, ln_gamma=0.3, toci_boost=1.1, hazard_seizure=0.3, hazard_crs=3.0,
        hazard_icans=3.0, other_fever_share=0.4, levetiracetam_on=1.0, policy_crs_scale=0.0, crs_scale=2.0, **APART,
    )  # fmt: skip


def run_rich(arm: Arm, count: int) -> dict[str, np.ndarray]:
    """Cohort, constants, courses, logs and latent peaks of `count` subjects."""
    cohort, subjects = arm.draw(count)
    block = arm.run(cohort, subjects)
    peaks = latent_peaks(arm.clinic, subjects, block.courses)
    return {"cohort": cohort, "subjects": subjects, "peaks": peaks} | vars(block)


def save_rich(path: str, count: int) -> None:
    """`run_rich` into an npz file, for another process to read."""
    np.savez(path, **run_rich(rich_arm(), count))
