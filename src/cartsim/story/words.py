"""Why: a course is read by a physician. Here codes become the words of the bedside, once, for every line of a story."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cartsim.record.kinds import CRS_STANDARD
from cartsim.tables import Identity
from cartsim.terms import HOURS_PER_DAY, Axis, Cause, CrsScale, Drug, Setting

MINUTES_PER_HOUR = 60
#: Durations from here on are told in days.
LONG_H = 96.0
BP = (
    "", "one fluid bolus", "repeated fluid boluses", "low-dose vasopressor", "high-dose vasopressor",
    "several vasopressors",
)  # fmt: skip
OXYGEN = ("", "low-flow oxygen", "high-flow oxygen", "CPAP", "ventilator")
#: The same in children (terms.CAPD_BELOW_Y); 9 or more was read, the levels below it are recalled.
CAPD = ("CAPD 0", "CAPD 1–8", "CAPD 1–8, wakes to voice only", "CAPD 9 or more", "unarousable")
ICE = ("ICE 10", "ICE 7–9", "ICE 3–6", "ICE 0–2", "unarousable")
PLACES = {
    Setting.HOME: "at home",
    Setting.CLINIC: "in the clinic",
    Setting.WARD: "on the ward",
    Setting.ICU: "in intensive care",
}
CAUSES = {Cause.CRS: "of CRS", Cause.ICANS: "of ICANS", Cause.OTHER: "of another cause"}
#: In tables of five scales there is no room for "2019".
SCALES = {scale: name.partition(" ")[0] for scale, name in CRS_STANDARD.items()}


@dataclass(frozen=True)
class Signs:
    """What an assessment saw; levels as in `terms`. `temperature_c` is told with fever only."""

    fever: int
    bp_support: int
    oxygen: int
    liver: int
    kidney: int
    neuro_level: int
    wide: int
    seizure: int
    temperature_c: float | None = None
    neuro_tool: str = "ICE"

    @classmethod
    def of(cls, course: np.ndarray, temperature_c: float | None = None, neuro_tool: str = "ICE") -> "Signs":
        """Signs of COURSE[1] as last seen; `neuro_tool` is what the neurological level is read from, ICE or CAPD."""
        bp, oxygen, liver, kidney = (int(level) for level in course["level"][0])
        fever = int(course["fever"][0])
        return cls(
            fever, bp, oxygen, liver, kidney, int(course["neuro"][0]), int(course["wide"][0]),
            int(course["grade_seizure"][0]), temperature_c if fever else None, neuro_tool,
        )  # fmt: skip

    def text(self) -> str:
        """`fever 38.9 °C, low-flow oxygen, ICE 7–9`."""
        degrees = "" if self.temperature_c is None else f" {self.temperature_c:.1f} °C"
        seen = [f"fever{degrees}" if self.fever else "", BP[self.bp_support], OXYGEN[self.oxygen]]
        seen += [f"liver grade {self.liver}" if self.liver else ""]
        seen += [f"kidney grade {self.kidney}" if self.kidney else ""]
        if self.neuro_level or self.wide:
            words = CAPD if self.neuro_tool == "CAPD" else ICE
            seen.append(
                words[self.neuro_level] if self.neuro_level else f"mild neurologic signs with {words[0]}"
            )
        seen += ["seizure since the last assessment" if self.seizure else ""]
        return ", ".join(word for word in seen if word) or "nothing abnormal"


@dataclass(frozen=True)
class Grades:
    """Grades of one assessment: CRS by scale (names of `terms.CrsScale` in lower case), ICANS, wide event."""

    crs: Mapping[str, int]
    icans: int
    ne: int

    @classmethod
    def of(cls, who: Identity, before: np.ndarray, after: np.ndarray, treated_iv: bool) -> "Grades":
        """Grades of the assessment between COURSE[1] `before` and `after`; `treated_iv`: fever is, in hospital."""
        fever = bool(after["fever"][0])
        # fever may have been forgotten in this very assessment, with the end of an episode
        waived = bool(before["drugged"][0]) or int(before["antipyretic"][0]) > 1
        counts = fever or bool(before["fever_began"][0]) or waived
        levels = after["level"][0]
        crs = {}
        for scale in CrsScale:
            grade = int(who.fever_grade[scale, int(treated_iv)]) if fever else 0
            if counts or not who.needs_fever[scale]:
                grade = max([grade, *(int(who.scale[scale, axis, levels[axis]]) for axis in Axis)])
            crs[scale.name.lower()] = grade
        return cls(crs, int(after["icans"][0]), int(after["ne"][0]))

    def text(self, main: CrsScale) -> str:
        """`CRS 2 (Penn 3, CTCAE 1), ICANS 1`: brackets where another scale differs from the scenario's."""
        grade = self.crs[main.name.lower()]
        others = [
            f"{SCALES[s]} {self.crs[s.name.lower()]}" for s in CrsScale if self.crs[s.name.lower()] != grade
        ]
        told = [f"CRS {grade}" if grade else "no CRS"]
        if others:
            told[0] += f" ({', '.join(others)})"
        told += [f"ICANS {self.icans}"] if self.icans else []
        told += [f"neurologic event {self.ne}"] if self.ne != self.icans else []
        return ", ".join(told)


def clock(t_d: float) -> str:
    """`day 2 06:00`: days and hours:minutes since infusion; what comes before it is on day -1."""
    minutes = round(t_d * HOURS_PER_DAY * MINUTES_PER_HOUR)
    day, rest = divmod(minutes, int(HOURS_PER_DAY) * MINUTES_PER_HOUR)
    return f"day {day} {rest // MINUTES_PER_HOUR:02d}:{rest % MINUTES_PER_HOUR:02d}"


def lasting(days: float) -> str:
    """`6 h`, `1:12 h` or `3.5 days`."""
    minutes = round(days * HOURS_PER_DAY * MINUTES_PER_HOUR)
    if minutes > LONG_H * MINUTES_PER_HOUR:
        return f"{days:.1f} days"
    hours, rest = divmod(minutes, MINUTES_PER_HOUR)
    return f"{hours}:{rest:02d} h" if rest else f"{hours} h"


def amount(mg: float) -> str:
    """`624 mg`: whole milligrams where there are ten or more."""
    return f"{mg:,.0f} mg" if mg >= 10 and abs(mg - round(mg)) < 0.05 else f"{mg:,.4g} mg"


def drug_name(drug: int) -> str:
    """The drug in lower case."""
    return Drug(drug).name.lower()


def patient(cohort: np.ndarray, dose_unit: str, product: str) -> tuple[str, dict[str, Any]]:
    """(text, data) of COHORT[1]: who the subject is before infusion."""
    row = {name: cohort[name][0].item() for name in cohort.dtype.names or ()}
    text = (
        f"{'Man' if row['male'] else 'Woman'}, {row['age_years']:.0f} years, {row['weight_kg']:.0f} kg, "
        f"{'high' if row['high_burden'] else 'low'} disease burden"
        f"{', prior neurologic disease' if row['prior_neuro'] else ''}; LDH {row['ldh_u_per_l']:,.0f} U/L, "
        f"ferritin {row['ferritin_ng_per_ml']:,.0f} ng/mL, CRP {row['crp_mg_per_l']:,.0f} mg/L, "
        f"platelets {row['platelets_1e9_per_l']:,.0f} x10^9/L, creatinine {row['creatinine_mg_per_dl']:.1f} mg/dL; "
        f"{product}, {row['cell_dose_1e6']:,.4g} x {dose_unit.replace('CELLS', 'cells')}"
    )
    kept = [name for name in row if name not in ("subject", "burden")]
    return text, {name: row[name] for name in kept}
