"""What is measured on a subject, as data: one line an endpoint, with its estimand beside it.

A number without its denominator, scale and rule for death is not a result. Each endpoint therefore carries what
ICH E9(R1) asks for, and the accumulators read nothing but these declarations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cartsim.record.harm_columns import HARM_COLUMNS

Kind = Literal["risk", "mean", "median", "incidence"]
Measure = Literal["level", "happened", "value", "time"]
View = Literal["latent", "observed"]

#: CRS scales in the order of `terms.CrsScale`, as the adsl column suffixes spell them.
CRS_SCALES = ("astct2019", "lee2014", "penn", "ctcae5", "cartox2018")
ICANS_SCALE = "astct2019"
NE_SCALE = "ctcae"
#: Days at which cumulative incidence is reported, and the horizon itself.
REPORT_DAYS = (7.0, 14.0, 28.0)

#: Words of `evidence_status`: what kind of parameters a number rests on.
CALIBRATED, ASSUMED, UNCALIBRATED = "calibrated", "assumed", "uncalibrated"
#: The product has numbers that the scenario gave it.
OVERRIDE = "override"

#: Asked for, and not offered: the model does not hold them.
NOT_OFFERED = {
    "late_neurotoxicity": "the model ends with early ICANS (30 days); late or delayed neurotoxicity is not in it",
    "iec_hs": "hyperinflammation (IEC-HS) is not in the model",
    "response": "efficacy is not in the model",
    "cost": "it comes with the user's prices: a `costs:` block",
    "qald": "it comes with the user's decrements: a `utilities:` block",
    **{c.name: "it comes with a `harms:` block that follows the drug behind it" for c in HARM_COLUMNS},
}


@dataclass(frozen=True)
class Endpoint:
    """One variable with its estimand.

    `measure` says how `column` of adsl is read: `level` (an integer, event at >= `at_least`), `happened` (event when
    not null), `value` (a number), `time` (days since infusion, null when it never came, death competing).
    """

    id: str
    title: str
    kind: Kind
    measure: Measure
    column: str
    unit: str
    syndrome: str | None = None
    scale: str | None = None
    view: View | None = None  # null where there is no such choice
    at_least: int = 1
    level: float | None = None  # the grade or count of an "at least"
    conditioning: str | None = None
    ice_rescue: str = "treatment policy"
    ice_death: str = "while alive"
    evidence_status: str = CALIBRATED
    contrastable: bool = True
    adverse: bool = False  # fewer is better for the subject: a number needed to treat has a meaning
    helped_harmed: bool = False
    shares: bool = False  # also the share at each level 0 to 5
    among: int = 0  # a share among those at this level or above: who is not in question stands at 0
    reported: bool = True  # False: counted for something else, and no row of its own

    @property
    def key(self) -> tuple[str, str | None, str | None]:
        """Identity of an endpoint within a run: id, scale, view."""
        return self.id, self.scale, self.view


def _grades(syndrome: str, scale: str, view: View, column: str, main: bool, status: str) -> list[Endpoint]:
    any_grade = Endpoint(
        id=f"{syndrome.lower()}_any",
        title=f"{syndrome} of any grade",
        kind="risk",
        measure="level",
        column=column,
        unit="proportion",
        syndrome=syndrome,
        scale=scale,
        view=view,
        level=1.0,
        adverse=True,
        evidence_status=status,
        shares=main and view == "observed",
    )
    severe = [
        replace(
            any_grade,
            id=f"{syndrome.lower()}_ge{grade}",
            title=f"{syndrome} of grade {grade} or more",
            at_least=grade,
            level=float(grade),
            helped_harmed=main and syndrome == "CRS" and grade in (2, 3),
            shares=False,
        )
        for grade in (2, 3, 4)
    ]
    return [any_grade, *severe]


def _times(syndrome: str, scale: str, columns: Mapping[str, str], status: str) -> list[Endpoint]:
    name = {
        "any": "of any grade",
        "ge2": "of grade 2 or more",
        "ge3": "of grade 3 or more",
        "ge4": "of grade 4 or more",
    }
    return [
        Endpoint(
            id=f"{syndrome.lower()}_{cut}_incidence",
            title=f"Cumulative incidence of {syndrome} {name[cut]}",
            kind="incidence",
            measure="time",
            column=column,
            unit="proportion",
            syndrome=syndrome,
            scale=scale,
            view="observed",
            ice_death="competing",
            adverse=True,
            evidence_status=status,
        )
        for cut, column in columns.items()
    ]


def _descriptive(id_: str, title: str, column: str, syndrome: str, scale: str) -> Endpoint:
    return Endpoint(
        id=id_,
        title=title,
        kind="median",
        measure="value",
        column=column,
        unit="day",
        syndrome=syndrome,
        scale=scale,
        view="observed",
        conditioning=f"subjects with {syndrome}; descriptive, conditioned on a post-infusion event",
        contrastable=False,
    )


def _happened(
    id_: str, title: str, column: str, *, at_least: int = 1, adverse: bool = True, status: str = CALIBRATED
) -> Endpoint:
    level = float(at_least) if at_least > 1 else None
    return Endpoint(
        id=id_,
        title=title,
        kind="risk",
        measure="level",
        column=column,
        unit="proportion",
        at_least=at_least,
        level=level,
        adverse=adverse,
        evidence_status=status,
    )


def _mean(
    id_: str, title: str, column: str, unit: str, *, status: str = CALIBRATED, syndrome: str | None = None
) -> Endpoint:
    return Endpoint(
        id=id_,
        title=title,
        kind="mean",
        measure="value",
        column=column,
        unit=unit,
        syndrome=syndrome,
        evidence_status=status,
    )


def standard_endpoints(crs_scale: str = "astct2019", *, wide_neuro: bool = True) -> tuple[Endpoint, ...]:
    """Return every endpoint of a run whose scenario grades CRS on `crs_scale`, in reporting order.

    `wide_neuro` adds the CTCAE neurologic event beside ICANS; the two are never pooled. Raises ValueError for an
    unknown scale.
    """
    if crs_scale not in CRS_SCALES:
        raise ValueError(f"crs_scale is {crs_scale!r}; known scales are {', '.join(CRS_SCALES)}")
    scales = (crs_scale, *(s for s in CRS_SCALES if s != crs_scale))
    out: list[Endpoint] = []
    for scale in scales:
        status = CALIBRATED if scale == crs_scale else ASSUMED
        out += _grades("CRS", scale, "latent", f"crs_latent_{scale}", scale == crs_scale, status)
        out += _grades("CRS", scale, "observed", f"crs_max_{scale}", scale == crs_scale, status)
    neuro = [("ICANS", ICANS_SCALE), ("NE", NE_SCALE)] if wide_neuro else [("ICANS", ICANS_SCALE)]
    for syndrome, scale in neuro:
        out += _grades(syndrome, scale, "latent", f"{syndrome.lower()}_latent", True, CALIBRATED)
        out += _grades(syndrome, scale, "observed", f"{syndrome.lower()}_max_grade", True, CALIBRATED)

    crs_cuts = {"any": "t_crs_d", "ge2": "t_crs_ge2_d", "ge3": "t_crs_ge3_d", "ge4": "t_crs_ge4_d"}
    out += _times("CRS", crs_scale, crs_cuts, CALIBRATED)
    icans_cuts = {"any": "t_icans_d", "ge2": "t_icans_ge2_d", "ge3": "t_icans_ge3_d"}
    out += _times("ICANS", ICANS_SCALE, icans_cuts, CALIBRATED)
    if wide_neuro:
        out += _times("NE", NE_SCALE, {"any": "t_ne_d", "ge3": "t_ne_ge3_d"}, CALIBRATED)

    out += [
        _descriptive("crs_onset", "Time to onset of CRS", "t_crs_d", "CRS", crs_scale),
        _descriptive("crs_peak", "Time to peak grade of CRS", "t_crs_peak_d", "CRS", crs_scale),
        _descriptive("crs_duration", "Duration of CRS", "crs_duration_d", "CRS", crs_scale),
        _descriptive("icans_onset", "Time to onset of ICANS", "t_icans_d", "ICANS", ICANS_SCALE),
        _descriptive("icans_peak", "Time to peak grade of ICANS", "t_icans_peak_d", "ICANS", ICANS_SCALE),
        _descriptive("icans_duration", "Duration of ICANS", "icans_duration_d", "ICANS", ICANS_SCALE),
    ]
    if wide_neuro:
        out += [
            _descriptive("ne_onset", "Time to onset of a neurologic event", "t_ne_d", "NE", NE_SCALE),
            _descriptive("ne_duration", "Duration of neurologic events", "ne_duration_d", "NE", NE_SCALE),
        ]
    crs_days = _mean(
        "crs_days_ge2",
        "Days at CRS grade 2 or more (restricted mean time, to the horizon)",
        "crs_days_ge2",
        "day",
        syndrome="CRS",
    )
    icans_days = _mean(
        "icans_days_ge2",
        "Days at ICANS grade 2 or more (restricted mean time, to the horizon)",
        "icans_days_ge2",
        "day",
        syndrome="ICANS",
    )
    out += [
        replace(crs_days, scale=crs_scale, view="observed"),
        replace(icans_days, scale=ICANS_SCALE, view="observed"),
        _happened("tocilizumab_any", "Any tocilizumab", "toci_doses", adverse=False),
        _happened(
            "tocilizumab_ge2", "Two or more doses of tocilizumab", "toci_doses", at_least=2, adverse=False
        ),
        _mean("tocilizumab_doses", "Doses of tocilizumab", "toci_doses", "dose"),
        _happened("steroid_any", "Any steroid", "steroid_doses", adverse=False),
        _mean("steroid_mg", "Steroid, dexamethasone equivalents", "steroid_mg_dex_eq", "mg"),
        _mean("steroid_days", "Days with a steroid dose", "steroid_days", "day"),
        _happened("anakinra_any", "Any anakinra", "anakinra_doses", adverse=False, status=ASSUMED),
        _happened("vasopressor", "Vasopressor", "vasopressor"),
        _happened("oxygen", "Oxygen", "oxygen_any"),
        _happened("ventilation", "Mechanical ventilation", "ventilated", status=ASSUMED),
        _happened("icu_any", "ICU", "icu", status=ASSUMED),
        _mean("icu_days", "Days in ICU", "icu_days", "day", status=ASSUMED),
        _mean("hospital_days", "Days in hospital", "hospital_days", "day", status=ASSUMED),
        Endpoint(
            id="hospital_days_median",
            title="Days in hospital",
            kind="median",
            measure="value",
            column="hospital_days",
            unit="day",
            evidence_status=ASSUMED,
        ),
        Endpoint(
            id="death",
            title="Death by the horizon (hazard not calibrated)",
            kind="risk",
            measure="happened",
            column="t_death_d",
            unit="proportion",
            ice_death="composite",
            evidence_status=UNCALIBRATED,
            adverse=True,
        ),
    ]
    return tuple(out)


def words_of_evidence(
    endpoints: Sequence[Endpoint], counts: Mapping[str, int], overridden: bool = False, thin: bool = False
) -> dict[str, str]:
    """Return {endpoint id: "assumed"} for what calls itself calibrated and is not, for this registry and product.

    `counts` are the registry's entries by status, as in a run's manifest. `overridden`: the product is the user's
    own, so nothing it does was published; everything is "override", but for what is not calibrated in any product.
    `thin`: of the product's cohort only the share with any CRS could be fitted; all else there is the prior.
    """
    if overridden:
        return {e.id: OVERRIDE for e in endpoints if e.evidence_status != UNCALIBRATED}
    if counts.get(CALIBRATED) and not thin:
        return {}
    fitted = {"crs_any"} if counts.get(CALIBRATED) else set()
    words = {e.id: ASSUMED for e in endpoints if e.evidence_status == CALIBRATED and e.id not in fitted}
    return words | ({"crs_grade": ASSUMED} if fitted else {})


def select_endpoints(
    ids: Sequence[str], crs_scale: str = "astct2019", more: Sequence[Endpoint] = ()
) -> tuple[Endpoint, ...]:
    """Return the endpoints named in `ids` (every scale and view of each), in reporting order.

    They are the standard ones and `more`, such as `more_endpoints.further_endpoints`. Raises ValueError for an unknown
    id, and for one that the model does not support, with the reason.
    """
    known = (*standard_endpoints(crs_scale), *more)
    names = {e.id for e in known}
    for id_ in ids:
        if id_ in NOT_OFFERED and id_ not in names:
            raise ValueError(f"endpoint {id_!r} is not offered: {NOT_OFFERED[id_]}")
        if id_ not in names:
            raise ValueError(f"unknown endpoint {id_!r}; known: {', '.join(sorted(names))}")
    return tuple(e for e in known if e.id in set(ids))


def report_days(horizon_d: float) -> tuple[float, ...]:
    """Days since infusion at which cumulative incidence is reported: 7, 14, 28 and the horizon."""
    return (*(d for d in REPORT_DAYS if d < horizon_d), horizon_d)


def columns_needed(endpoints: Sequence[Endpoint]) -> tuple[str, ...]:
    """Return the adsl columns that the endpoints read, follow-up and death included, sorted."""
    names = {e.column for e in endpoints}
    if any(e.measure == "time" for e in endpoints):
        names |= {"t_death_d", "t_followup_d"}
    return tuple(sorted(names))
