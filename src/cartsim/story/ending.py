"""Why: what a course came to in a few lines: worst grades as seen and as they were, drugs, days in bed, and the end.
The same rows serve for one arm, for several beside each other, and for what would have been without a rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cartsim.cells import measure
from cartsim.record.kinds import CRS_STANDARD
from cartsim.story.lives import Life
from cartsim.story.words import CAUSES, clock, lasting
from cartsim.terms import Cause, CrsScale

_MG = "{:,.4g} mg"


@dataclass(frozen=True)
class Ending:
    """One course in numbers: `values` by adsl column (None where it did not come to that), and the cause of death.

    other_fever_d: from when to when fever was of another cause than CRS, which nobody at the bedside can tell.
    """

    values: Mapping[str, Any]
    cause: Cause
    crs_scale: CrsScale
    other_fever_d: tuple[float, float] | None

    @classmethod
    def of(cls, life: Life) -> "Ending":
        """Of a finished life."""
        measured = measure(life.ran, None)
        values = {name: _plain(column[0]) for name, column in measured.items()}
        cause = Cause(int(life.course["cause"][0])) if life.course["dead"][0] else Cause.ALIVE
        fever = tuple(float(life.ran.subjects[f"other_fever_{end}"][0]) for end in ("start", "end"))
        other = (fever[0], fever[1]) if fever[0] < values["t_followup_d"] else None
        return cls(values, cause, CrsScale(life.ran.who.crs_scale), other)

    def as_dict(self) -> dict[str, Any]:
        """Plain data: adsl columns by name."""
        cause = None if self.cause == Cause.ALIVE else self.cause.name
        return {**self.values, "death_cause": cause, "other_fever_d": self.other_fever_d}


def peak_rows(endings: Sequence[Ending]) -> list[tuple[str, ...]]:
    """(label, cell an ending): worst grades as seen, with the latent peak where that is another."""
    scales = [endings[0].crs_scale, *(s for s in CrsScale if s != endings[0].crs_scale)]
    names = [
        (f"CRS, {CRS_STANDARD[s]}", f"crs_max_{s.name.lower()}", f"crs_latent_{s.name.lower()}")
        for s in scales
    ]
    names += [
        ("ICANS, ASTCT 2019", "icans_max_grade", "icans_latent"),
        ("Neurologic event, CTCAE", "ne_max_grade", "ne_latent"),
    ]
    return [(label, *(_peak(one.values, seen, latent) for one in endings)) for label, seen, latent in names]


def other_rows(endings: Sequence[Ending]) -> list[tuple[str, ...]]:
    """(label, cell an ending) of drugs, days and the end; rows that say nothing in every course are left out."""
    tellers = {
        "CRS began": lambda v: _time(v["t_crs_d"]),
        "CRS lasted": lambda v: _span(v["crs_duration_d"]),
        "ICANS began": lambda v: _time(v["t_icans_d"]),
        "ICANS lasted": lambda v: _span(v["icans_duration_d"]),
        "Tocilizumab": lambda v: _drug(v["toci_doses"], v["toci_mg"]),
        "Steroids": lambda v: _drug(v["steroid_doses"], v["steroid_mg_dex_eq"], " dexamethasone equivalents"),
        "Days on steroids": lambda v: str(v["steroid_days"] or ""),
        "Anakinra": lambda v: _drug(v["anakinra_doses"], v["anakinra_mg"]),
        "Intensive care": lambda v: _span(v["icu_days"]),
        "Ventilated": lambda v: _span(v["vent_days"]),
        "In hospital": lambda v: _span(v["hospital_days"]),
        "Discharged": lambda v: _time(v["t_discharge_d"]),
    }
    rows: list[tuple[str, ...]] = []
    for label, teller in tellers.items():
        cells = [teller(one.values) for one in endings]
        if any(cells):
            rows.append((label, *(cell or "–" for cell in cells)))
    others = [_other_fever(one) for one in endings]
    if any(others):
        rows.append(("Fever, not of CRS", *(cell or "–" for cell in others)))
    return [*rows, ("End", *(_end(one) for one in endings))]


def _end(ending: Ending) -> str:
    if ending.cause == Cause.ALIVE:
        return f"alive on day {ending.values['t_followup_d']:g}"
    return f"died {CAUSES[ending.cause]}, {clock(ending.values['t_death_d'])}"


def _other_fever(ending: Ending) -> str:
    fever = ending.other_fever_d
    return "" if fever is None else f"{clock(fever[0])} to {clock(fever[1])}"


def _peak(values: Mapping[str, Any], seen: str, latent: str) -> str:
    observed, true = values[seen], values[latent]
    return f"{observed}" if observed == true else f"{observed} (latent {true})"


def _time(t_d: float | None) -> str:
    return "" if t_d is None else clock(t_d)


def _span(days: float | None) -> str:
    return lasting(days) if days else ""


def _drug(doses: int, mg: float, unit: str = "") -> str:
    return f"{doses} dose{'s' if doses > 1 else ''}, {_MG.format(mg)}{unit}" if doses else ""


def _plain(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and plain != plain else plain
