"""Why: the same words mean other things in other papers. What counts as CRS, as a neurologic event, as its beginning
and its days is settled here, once for each row's own scale and definition.
"""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cartsim.calibrate.spells import episode_days, inside
from cartsim.evidence.target_rows import crs_scales
from cartsim.terms import CrsScale, Drug, Syndrome

if TYPE_CHECKING:
    from cartsim.calibrate.cohorts import Cohort
    from cartsim.calibrate.simulate import Simulated
    from cartsim.evidence.targets import Target

_STEROIDS = (Drug.DEXAMETHASONE, Drug.METHYLPREDNISOLONE)


class Reading:
    """Simulated subjects of a cohort as one row of the targets reads them; arrays (n,), times in days, NaN or infinity
    where something never came."""

    def __init__(self, target: "Target", cohort: "Cohort", simulated: "Simulated") -> None:
        self.target, self.cohort, self.s = target, cohort, simulated
        self.n = simulated.count
        self.courses = simulated.block.courses

    def col(self, name: str) -> np.ndarray:
        """A column of the subjects."""
        return self.s.column(name)

    def crs_on(self, scale: CrsScale) -> np.ndarray:
        """Highest CRS grade seen, on any scale."""
        own = scale == self.cohort.crs_scale
        return self.col("crs_max_grade" if own else f"crs_max_{scale.name.lower()}")

    @cached_property
    def scales(self) -> tuple[CrsScale, ...]:
        """Scales of the row; the cohort's where the row names none."""
        return tuple(CrsScale[name.upper()] for name in crs_scales(self.target.grading_crs)) or (
            self.cohort.crs_scale,
        )

    @cached_property
    def crs(self) -> np.ndarray:
        """Highest CRS grade seen on the row's scale; of a mixed cohort, on the one that is simulated."""
        own = self.cohort.crs_scale
        return self.crs_on(own if own in self.scales else self.scales[0])

    @property
    def has_crs(self) -> np.ndarray:
        """CRS of any grade."""
        return self.crs >= 1

    @cached_property
    def icans(self) -> np.ndarray:
        """Highest ICANS grade seen."""
        return self.col("icans_max_grade")

    @cached_property
    def ne(self) -> np.ndarray:
        """Highest neurologic grade by the cohort's definition."""
        if self.cohort.neuro == "icans":
            return self.icans
        wide = self.col("ne_max_grade")
        return wide if self.cohort.neuro == "wide" else np.where(self.icans >= 1, np.maximum(wide, 1), 0)

    @cached_property
    def ne_start(self) -> np.ndarray:
        """First neurologic event by the cohort's definition."""
        return self.col("t_ne_d" if self.cohort.neuro == "wide" else "t_icans_d")

    @cached_property
    def ne_end(self) -> np.ndarray:
        """Last sign of the last neurologic event; the end of follow-up where it was still there."""
        last = self.courses["last_end_t"]
        ended = last[:, Syndrome.ICANS if self.cohort.neuro == "icans" else Syndrome.NE]
        return np.where(np.isfinite(ended), ended, self.courses["end"])

    @cached_property
    def crs_end(self) -> np.ndarray:
        """Last sign of the last CRS episode; the end of follow-up where it was still there."""
        ended = self.courses["last_end_t"][:, Syndrome.CRS]
        return np.where(np.isfinite(ended), ended, self.courses["end"])

    def days_of(self, syndrome: Syndrome, between: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """(as lasted, inclusive calendar days) of a syndrome, by the cohort's convention."""
        self.s.need("episodes")
        since = np.where(np.isnan(self.col("t_icans_d")), np.inf, self.col("t_icans_d")) if between else None
        first_only = syndrome == Syndrome.CRS and self.cohort.first_episode_only
        name = f"days {int(syndrome)} {between} {first_only}"
        both = self.s.kept(
            name,
            lambda: np.stack(episode_days(self.s.block.episodes, syndrome, self.n, since, first_only)),
        )
        return both[0], both[1]

    def ne_days(self) -> tuple[np.ndarray, np.ndarray]:
        """Days of neurologic events by the cohort's definition."""
        if self.cohort.neuro == "icans":
            return self.days_of(Syndrome.ICANS)
        return self.days_of(Syndrome.NE, between=self.cohort.neuro == "between")

    @cached_property
    def toci(self) -> np.ndarray:
        """Reactive doses of tocilizumab."""
        return self.courses["toci_doses"] - self.courses["toci_prophylactic_doses"]

    @cached_property
    def steroid(self) -> np.ndarray:
        """A reactive steroid was given."""
        return np.isfinite(self.courses["steroid_start_t"])

    def given_for(self, steroid: bool, crs: bool) -> np.ndarray:
        """Whether tocilizumab (or a steroid) was given for CRS (or for neurotoxicity), as a trial counts it: ordered
        for it, or given while it was there (of neurotoxicity: ICANS). One course often serves both."""
        self.s.need("doses")
        self.s.need("episodes")
        doses, episodes = self.s.block.doses, self.s.block.episodes
        drug = np.isin(doses["drug"], _STEROIDS) if steroid else doses["drug"] == Drug.TOCILIZUMAB
        doses = doses[drug & (doses["prophylactic"] == 0)]
        ordered = (doses["syndrome"] == Syndrome.CRS) == crs
        own = episodes[episodes["syndrome"] == (Syndrome.CRS if crs else Syndrome.ICANS)]
        counted = ordered | inside(own, doses["row"], doses["t_start"])
        return np.bincount(doses["row"][counted], minlength=self.n) > 0
