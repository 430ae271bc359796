"""The reference for speed: the same pathway as a competent user would write it in plain SimPy on Python floats.

One process per subject, random numbers drawn beforehand, the equations of MODEL 1-4, the ASCO 2021 policy, and the
same summary of each subject as the engine keeps. Nothing is slow on purpose, and what a careful user would save is
saved: curves are evaluated only where they can show, hazards only where they can act, and a subject at home in whom
nothing can happen any more is left in peace. It was written from the specification, not from the compiled text, so
that agreement subject by subject (tests/functional/test_plain_reference.py) says something about both.
"""

from collections.abc import Generator, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import simpy

from benchmarks.plain_care import Subject

# constant of a subject: field of the engine's cohort
_DRAWN = {
    "number": "subject", "a": "crs_peak", "peak_at": "crs_peak_d", "rise": "crs_ascent", "fall": "crs_decline",
    "b": "icans_peak", "peak_at_n": "icans_peak_d", "rise_n": "icans_ascent", "fall_n": "icans_decline",
    "resp": "toci_response", "size_toci": "toci_effect", "size_steroid": "steroid_size",
    "steroid_scale": "steroid_scale", "weight": "weight_kg", "bg_from": "other_fever_start",
    "bg_to": "other_fever_end", "delay_u": "order_delay_u", "death_threshold": "death_threshold",
    "cause_u": "death_cause_u", "seizure_threshold": "seizure_threshold", "iv_fever": "iv_fever",
}  # fmt: skip


def draw(cohort: np.ndarray, subjects: np.ndarray) -> list[dict[str, Any]]:
    """The constants of COHORT[n] and SUBJECT[n] as plain Python numbers, one dictionary a subject."""
    columns = {name: subjects[field].tolist() for name, field in _DRAWN.items()}
    columns["eps"] = [tuple(row) for row in subjects["eps"].tolist()]
    columns["adherent"] = (cohort["adherent"] == 1).tolist()
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def read_numbers(par: np.ndarray) -> SimpleNamespace:
    """PARAMETERS[1] as plain Python numbers and tuples."""
    fields = {name: par[name][0].tolist() for name in par.dtype.names}
    return SimpleNamespace(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def course(env: simpy.Environment, s: Subject) -> Generator[simpy.Event, None, None]:
    """The process of one subject: sleep until the next thing happens to it, then let it happen."""
    now = 0.0
    while True:
        t = min(s.toci_done, s.toci_start, s.steroid_next, s.anakinra_next, s.next_assessment, s.end)
        s.follow_hazards(t)
        died = s.death <= t and s.death < s.end
        if died:
            t = s.death
        if t > now:
            yield env.timeout(t - now)
            now = t
        s.events += 1
        if died:
            s.finish(t, True)
            return
        # at the same moment: what is given comes before who looks
        if t == s.toci_done:
            s.end_tocilizumab(t)
        elif t == s.toci_start:
            s.start_tocilizumab(t)
        elif t == s.steroid_next:
            s.give_steroid(t)
        elif t == s.anakinra_next:
            s.give_anakinra(t)
        elif t == s.next_assessment:
            s.assess(t)
        else:
            s.finish(t, False)
            return


def simulate(drawn: Sequence[dict[str, Any]], numbers: SimpleNamespace, batch: int) -> list[Subject]:
    """Run everybody, `batch` subjects to an environment (1: one each; len(drawn): one for all)."""
    everybody = []
    for first in range(0, len(drawn), batch):
        env = simpy.Environment()
        for constants in drawn[first : first + batch]:
            s = Subject(numbers, **constants)
            everybody.append(s)
            env.process(course(env, s))
        env.run()
    return everybody


def count_events(everybody: Iterable[Subject]) -> int:
    """Things that happened: assessments, doses, ends of infusions, ends of follow-up."""
    return sum(s.events for s in everybody)
