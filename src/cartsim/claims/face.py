"""Why: a model may meet every figure it was fitted to and still not behave like CRS and ICANS. These named checks say
what a clinician expects to see, where the expectation comes from, what the model shows, and whether that passes.

Each check has a band to pass and, most of them, a wider band that the model must keep whatever its numbers are
(`keep`). A failed check is a finding to be read, not an error of a run.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from cartsim.cells import Ran
from cartsim.claims import face_measures as measures
from cartsim.claims.face_measures import Told
from cartsim.claims.face_settings import make_setting
from cartsim.claims.settings import Arms, Stage, Value, simulate
from cartsim.terms import Cause, Marker

SEED = 20261122
SUBJECTS = 10_000
STAGE = "checking face validity"
#: A marker has many samples a subject.
MOST_SAMPLED = 5_000
INF = math.inf

AIC = "Ann Intensive Care 2024;14:20, 84 subjects of several products, ASTCT (verified)"
BOSTON = "Blood Adv 2024;8:5346, 475 subjects, axi-cel, tisa-cel, liso-cel (verified)"
RECALLED = "recalled; no source with measured hours found (CLINICAL C2)"


@dataclass(frozen=True)
class Check:
    """One expectation. It passes within [low, high]; the model must stay within [keep_low, keep_high] where given."""

    id: str
    statement: str
    where: str
    settings: tuple[str, ...]
    measure: Callable[[Mapping[str, Arms]], Told]
    unit: str
    expected: str
    low: float
    high: float
    source: str
    keep: tuple[float, float] | None = None


@dataclass(frozen=True)
class FaceRow:
    """A check with its figure. `lower`, `upper`: 95 % Monte Carlo interval; `passed`, `kept` are null without a
    figure, `kept` also where nothing is to be kept."""

    id: str
    statement: str
    where: str
    value: float | None
    lower: float | None
    upper: float | None
    unit: str
    n: int
    expected: str
    low: float | None
    high: float | None
    passed: bool | None
    keep_low: float | None
    keep_high: float | None
    kept: bool | None
    source: str
    note: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a bound that does not exist is null."""
        return asdict(self)


def check_face(
    subjects: int = SUBJECTS,
    seed: int = SEED,
    *,
    workers: int = 0,
    progress: Callable[[Any], None] | None = None,
    numbers: Mapping[str, Value] | None = None,
) -> list[FaceRow]:
    """Every check, in their order, on `subjects` virtual subjects a setting.

    `numbers` are registry overrides (what would these numbers do to face validity?), `workers` threads (0: one a
    core) that change nothing. The same arguments give the same rows. Raises `InvalidInput` for an unknown number.
    """
    wanted = list(dict.fromkeys(name for check in CHECKS for name in check.settings))
    last = {name: max(k for k, check in enumerate(CHECKS) if name in check.settings) for name in wanted}
    report = progress or (lambda _: None)
    report(Stage(STAGE, 0, len(wanted)))
    known: dict[str, Arms] = {}
    rows: list[FaceRow] = []
    done = 0
    for k, check in enumerate(CHECKS):
        for name in check.settings:
            if name not in known:
                count = min(subjects, MOST_SAMPLED) if name == "markers" else subjects
                known[name] = simulate(make_setting(name, seed), count, workers=workers, numbers=numbers)
                done += 1
                report(Stage(STAGE, done, len(wanted)))
        rows.append(_row(check, check.measure(known)))
        # courses of a setting that no later check reads only fill memory
        known = {name: arms for name, arms in known.items() if last[name] > k}
    return rows


def _row(check: Check, told: Told) -> FaceRow:
    figure, note = told
    known = not math.isnan(figure.value)
    keep = check.keep
    return FaceRow(
        check.id,
        check.statement,
        check.where,
        _finite(figure.value),
        _finite(figure.lower),
        _finite(figure.upper),
        check.unit,
        figure.n,
        check.expected,
        _finite(check.low),
        _finite(check.high),
        check.low <= figure.value <= check.high if known else None,
        None if keep is None else _finite(keep[0]),
        None if keep is None else _finite(keep[1]),
        keep[0] <= figure.value <= keep[1] if known and keep is not None else None,
        check.source,
        note if math.isfinite(figure.value) or not known else f"more than half never; {note}",
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _one(name: str, measure: Callable[..., Told], **given: Any) -> Callable[[Mapping[str, Arms]], Told]:
    """A measure of the only (or the treated) arm of a setting."""
    return lambda known: measure(known[name]["one"], **given)


def _arms(name: str, measure: Callable[..., Told], **given: Any) -> Callable[[Mapping[str, Arms]], Told]:
    return lambda known: measure(known[name], **given)


def _ones(known: Mapping[str, Arms], names: tuple[str, ...]) -> dict[str, Ran]:
    return {name: known[name]["one"] for name in names}


_LYMPHOMA = ("axi_cel", "tisa_cel_lbcl", "liso_cel")
_PRODUCTS = (*_LYMPHOMA, "ide_cel", "cilta_cel", "tisa_cel_all")
_AXI = "axi-cel, asco_2021, ASTCT"
_ALL = "tisa-cel ALL, severe_only"
_MARKERS = "axi-cel, one tocilizumab at grade 2, no other drug"
_TAPERS = "axi-cel, 40 mg dexamethasone a day on days 3 to 5, then no, a rapid or a slow taper"
_JULIET = "tisa-cel LBCL, severe_only, events of any Penn grade"
_REGRADE = "Schuster 2020, Blood Adv 4:1432, 64 events (verified)"


def _late(known: Mapping[str, Arms], field: str) -> Told:
    return measures.late_onset(_ones(known, _LYMPHOMA).values(), field)


def _onset(known: Mapping[str, Arms]) -> Told:
    return measures.onset_severity(_ones(known, _PRODUCTS))


CHECKS: tuple[Check, ...] = (
    Check("responders_afebrile", "Responders are afebrile within a day of tocilizumab", _AXI, ("axi_cel",),
          _one("axi_cel", measures.hours_to_defervescence), "h", "median at most 24 h", 0, 24, RECALLED, (0, 48)),
    Check("responders_afebrile_24h", "Nearly all responders are afebrile at 24 h", _AXI, ("axi_cel",),
          _one("axi_cel", measures.share_afebrile, after_h=24.0), "share", "at least 0.75", 0.75, 1, RECALLED,
          (0.4, 1)),
    Check("hypotension_off_support", "Responders on a vasopressor are off support 12 to 48 h after tocilizumab",
          "axi-cel, zuma1_c1_2", ("zuma1",), _one("zuma1", measures.hours_off_support), "h", "median 12 to 48 h", 12,
          48, RECALLED, (4, 72)),
    Check("fever_to_hypotension", "Hypotension follows fever by about two days", _AXI, ("axi_cel",),
          _one("axi_cel", measures.fever_to_hypotension), "d", "median 2 (quartiles 1 and 3.75)", 1.5, 2.5, AIC,
          (0.5, 3.75)),
    Check("fever_to_peak", "The peak of CRS follows fever by about five days", f"{_AXI}, middle of the time at it",
          ("axi_cel",),
          _one("axi_cel", measures.fever_to_peak), "d", "median 5 (quartiles 2 and 7)", 4.25, 5.75, AIC),
    Check("crs_to_icans", "ICANS follows CRS by about three days", _AXI, ("axi_cel",),
          _one("axi_cel", measures.crs_to_icans), "d", "median 3 (quartiles 2 and 4)", 2.5, 3.5, AIC, (2, 4)),
    Check("icans_to_peak", "ICANS is worst about a day after it begins", _AXI, ("axi_cel",),
          _one("axi_cel", measures.icans_to_peak), "d", "median 1 (quartiles 0 and 2)", 0.5, 1.5, AIC, (0, 2)),
    Check("icans_without_crs", "ICANS without CRS is rare", _AXI, ("axi_cel",),
          _one("axi_cel", measures.icans_without_crs), "share", "0 to 0.08",
          0, 0.08, "5 of 66 (wide definition), 0 of 46, 0 of 28 in primary series (CLINICAL 0, verified)", (0, 0.08)),
    Check("icans_duration", "ICANS lasts about five calendar days", _AXI, ("axi_cel",),
          _one("axi_cel", measures.icans_duration), "d", "median 5 (quartiles 3 and 8)", 4.25, 5.75, AIC, (3, 10)),
    Check("crs_deaths", "Deaths of CRS are as rare as reported", f"{_AXI}, by day 30", ("axi_cel",),
          _one("axi_cel", measures.deaths, cause=Cause.CRS, by_d=30.0), "share", "0.0003 to 0.066", 0.0003, 0.066,
          "1 of 82 in ZUMA-2, exact interval (label, verified); 0 of 111 in JULIET; hazard uncalibrated", (0, 0.066)),
    Check("icans_deaths", "Deaths of ICANS are as rare as reported", f"{_AXI}, by day 28", ("axi_cel",),
          _one("axi_cel", measures.deaths, cause=Cause.ICANS, by_d=28.0), "share", "0.0034 to 0.0245", 0.0034, 0.0245,
          f"5 of 475, exact interval: {BOSTON}; hazard uncalibrated", (0, 0.06)),
    Check("late_icans", "ICANS hardly ever begins after day 14", "axi-cel, tisa-cel LBCL, liso-cel; asco_2021",
          _LYMPHOMA, partial(_late, field="icans_ge_t"), "share", "at most 0.007", 0, 0.007, BOSTON, (0, 0.02)),
    Check("late_crs", "CRS hardly ever begins after day 14", "axi-cel, tisa-cel LBCL, liso-cel; asco_2021",
          _LYMPHOMA, partial(_late, field="crs_ge_t"), "share", "at most 0.0077 (exact bound of 0 of 475)", 0, 0.0077,
          BOSTON, (0, 0.02)),
    Check("responders_afebrile_all", "Responders are afebrile within a day of tocilizumab", _ALL, ("tisa_cel_all",),
          _one("tisa_cel_all", measures.hours_to_defervescence), "h", "median at most 24 h", 0, 24, RECALLED),
    Check("hypotension_off_support_all", "Responders on a vasopressor are off support 12 to 48 h after tocilizumab",
          _ALL, ("tisa_cel_all",), _one("tisa_cel_all", measures.hours_off_support), "h", "median 12 to 48 h", 12, 48,
          RECALLED, (4, 120)),
    Check("onset_severity", "Within a product earlier CRS is worse CRS",
          "six products, asco_2021 (tisa-cel ALL severe_only), ASTCT grade; the largest correlation", _PRODUCTS, _onset,
          "rank correlation", "below 0", -1, 0, "direction reported within products, no size", (-1, 0)),
    Check("easix", "Each doubling of EASIX raises the odds of severe CRS or ICANS", "axi-cel, zuma1_c1_2, Lee",
          ("zuma1",), _one("zuma1", measures.easix_odds_ratio), "odds ratio", "1.72 (1.26 to 2.46)", 1.26, 2.46,
          "Korell 2022, ZUMA-1, 93 subjects (verified)", (1, 3)),
    Check("juliet_lee", "Regraded by Lee, Penn events mostly stay, fewer fall, fewest rise", _JULIET, ("juliet",),
          _one("juliet", measures.regrading_order, scale="lee2014", events=64), "smaller lead",
          "39, 20 and 5 of 64: same > lower > higher", 0, 1, _REGRADE, (0, 1)),
    Check("juliet_astct", "Regraded by ASTCT, Penn events mostly stay, fewer fall, fewest rise", _JULIET, ("juliet",),
          _one("juliet", measures.regrading_order, scale="astct2019", events=64), "smaller lead",
          "37, 23 and 4 of 64: same > lower > higher", 0, 1, _REGRADE, (0, 1)),
    Check("taper_crs", "CRS never rebounds more after a slower taper", _TAPERS, ("tapers",),
          _arms("tapers", measures.taper_order, grade="crs"), "share of subjects", "0", 0, 0,
          "pharmacology; flare during rapid taper in ASCO 2021 (verified)", (0, 0)),
    Check("taper_icans", "ICANS never rebounds more after a slower taper", _TAPERS, ("tapers",),
          _arms("tapers", measures.taper_order, grade="icans"), "share of subjects", "0", 0, 0,
          "pharmacology; flare during rapid taper in ASCO 2021 (verified)", (0, 0)),
    Check("il6_up", "IL-6 rises after tocilizumab", f"{_MARKERS}, 24 h after against before", ("markers",),
          _one("markers", measures.marker_ratio, marker=Marker.IL6, after_h=24.0), "median ratio", "above 1", 1, INF,
          "Nishimoto, Blood 2008;112:3959 (verified); several-fold (recalled)", (1, INF)),
    Check("crp_down", "CRP falls after tocilizumab", f"{_MARKERS}, 72 h after against before", ("markers",),
          _one("markers", measures.marker_ratio, marker=Marker.CRP, after_h=72.0), "median ratio", "below 1", 0, 1,
          "falls within 24 h, halving in one or two days (recalled, CLINICAL C2)"),
    Check("crp_below_untreated", "CRP is lower than it would be without tocilizumab", f"{_MARKERS}, after 72 h",
          ("markers",), _arms("markers", measures.marker_beside_untreated, marker=Marker.CRP, after_h=72.0),
          "median ratio", "below 1", 0, 1, "as crp_down", (0, 1)),
    Check("ferritin_on", "Ferritin goes on after tocilizumab", f"{_MARKERS}, 24 h after against before", ("markers",),
          _one("markers", measures.marker_ratio, marker=Marker.FERRITIN, after_h=24.0), "median ratio", "at least 1", 1,
          INF, "not cut by receptor block (MODEL 6)", (1, INF)),
)  # fmt: skip
