"""Why: arms share a subject only if everything that was drawn for it, and every number that its course runs on, is the
same in both. What differs here must be asked for (`arms[].model`), or it is a leak before the first event.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cartsim.arms import ReadyArm
from cartsim.model.parameters import FIELDS, RUN_FIELDS, registry_keys

#: Fields of PARAMETERS that follow from an arm's policy, or only say what is logged.
_OF_THE_POLICY = frozenset(
    name
    for name in RUN_FIELDS
    if name.startswith("want_") or name in ("policy_crs_scale", "levetiracetam_on", "skip")
)
_GRADING = ("scale", "fever_grade", "needs_fever")
#: Who a subject is, and which draws are its own: no number of the registry may touch these.
_ADDRESS = ("subject", "key0", "key1")

#: What a course leaves behind that is the policy's memory and plans, and none of the subject's.
_MEMORY = frozenset(
    (
        *("asked_toci_t", "prophylaxis_next", "prophylaxis_t", "spent", "eligible", "prophylaxis_mask"),
        *("held", "holding", "seen", "seen_fever", "ref_crs", "ref_bp", "ref_oxygen", "crs_policy"),
        # what a policy had measured, and how far its drug's concentration was followed
        *("marker_hour", "crp", "ferritin", "marker_sampled", "marker_value"),
        *("pk_steps", "pk_central", "pk_outer"),
    )
)
_PLANS = frozenset(
    f"toci_{what}"
    for what in ("start", "mg", "rule", "grade", "syndrome", "order_t", "delay", "prophylactic")
)
#: What the kernel may leave out because nothing can be seen or done, and how far it has got.
_BOUNDS = frozenset(
    [f"{what}_{end}" for what in ("support", "neuro", "harm", "fit") for end in ("from", "to", "done")]
    + ["grid", "peak_grid", "step", "next_assessment", "last_assessment", "assessments"]
)


def registry_difference(arm: ReadyArm, reference: ReadyArm) -> dict[str, tuple[Any, Any]]:
    """Registry numbers that the arm has of its own: key -> (arm, reference)."""
    if arm.registry.hash() == reference.registry.hash():
        return {}
    own, other = arm.registry.numbers(), reference.registry.numbers()
    return {key: (own[key], other.get(key)) for key in own if own[key] != other.get(key)}


def stray_numbers(arm: ReadyArm, reference: ReadyArm, declared: Mapping[str, Any]) -> list[str]:
    """What a course runs on that differs between the arms although neither policy nor registry says so."""
    keys = registry_keys(arm.identity.product_id)
    stray = []
    for name in (*FIELDS, *RUN_FIELDS):
        if name in _OF_THE_POLICY or keys.get(name) in declared:
            continue
        if not np.array_equal(arm.par[name], reference.par[name]):
            stray.append(keys.get(name, name))
    if not declared:
        stray += [
            f"grading.{name}"
            for name in _GRADING
            if not np.array_equal(arm.clinic[name], reference.clinic[name])
        ]
        names = arm.margins.dtype.names or ()
        stray += [
            f"population.{name}"
            for name in names
            if not np.array_equal(arm.margins[name], reference.margins[name])
        ]
    return stray


def differing_field(
    arm: np.ndarray, reference: np.ndarray, names: Sequence[str] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(int64[n], names): which field of two arrays of one record type differs first in each row, -1 where none."""
    fields = tuple(arm.dtype.names or ()) if names is None else tuple(names)
    found = np.full(len(arm), -1, "i8")
    for place, name in enumerate(fields):
        one, other = arm[name], reference[name]
        # a time that never came may be NaN, which equals nothing
        differs = (one != other) & ~((one != one) & (other != other))
        if differs.ndim > 1:
            differs = differs.any(axis=1)
        found[differs & (found < 0)] = place
    return found, fields


def baseline_fields(record: np.ndarray, pure: bool) -> list[str]:
    """Fields of COHORT or SUBJECT that must be the same: all in a pure contrast of policies, else who it is."""
    return [name for name in record.dtype.names or () if pure or name in _ADDRESS]


def summary_fields(courses: np.ndarray, levetiracetam: bool, pure: bool) -> list[str]:
    """Fields of COURSE that must be the same where all events are: the subject's own, drugs in the body included.

    `levetiracetam`: given in one arm only, which puts off a seizure beyond death or the horizon too; `pure`: no
    registry numbers of the arm's own, which would move the bounds by which the kernel skips empty assessments.
    """
    left_out = _MEMORY | _PLANS
    if levetiracetam:
        left_out |= {"hazard_seizure", "seizure_t"}
    if not pure:
        left_out |= _BOUNDS
    names = courses.dtype.names or ()
    return [name for name in names if name not in left_out and not name.startswith("reg_")]
