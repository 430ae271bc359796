"""Why: the numbers of reactions stand in the evidence registry like all others. Here they are read once an arm, and
the one that no paper prints, the hazard of infection without CRS, is worked out from those that do.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cartsim.errors import InvalidInput
from cartsim.terms import HarmSource, Reaction

Value = float | list[float]

#: Drugs of a scenario's block `harms`, as it names them.
DRUGS = {
    "tocilizumab": HarmSource.TOCILIZUMAB,
    "steroid": HarmSource.STEROID,
    "anakinra": HarmSource.ANAKINRA,
}
#: Reactions that each dose may bring, whatever its size.
PER_DOSE = (
    (HarmSource.TOCILIZUMAB, Reaction.INFUSION_REACTION),
    (HarmSource.TOCILIZUMAB, Reaction.HYPERSENSITIVITY),
    (HarmSource.TOCILIZUMAB, Reaction.NEUTROPENIA),
    (HarmSource.TOCILIZUMAB, Reaction.HEPATOTOXICITY),
    (HarmSource.ANAKINRA, Reaction.INJECTION_SITE),
)
#: Reactions that each day of exposure may bring; where True a day counts from some amount on.
PER_DAY = (
    (HarmSource.STEROID, Reaction.HYPERGLYCAEMIA, True),
    (HarmSource.STEROID, Reaction.PSYCHIATRIC, True),
    (HarmSource.ANAKINRA, Reaction.NEUTROPENIA, False),
)
_METHYLPREDNISOLONE = "steroid.methylprednisolone_to_dexamethasone"
_HALVINGS = 200
#: A share of 1 would need an infinite hazard.
_SURE = 1.0 - 1e-9


@dataclass(frozen=True)
class Form:
    """How a reaction looks once it is there: CTCAE grades of its usual and its severe form, times in days."""

    grades: tuple[int, int]
    severe_share: float
    serious_grade: int
    latency_d: tuple[float, float]
    duration_d: float


@dataclass(frozen=True)
class Infection:
    """Hazard of infection without a drug: `hazard` is the cumulative one by `window_d` without CRS."""

    hazard: float
    window_d: float
    shape: float  # of the Weibull clock: cumulative hazard = hazard * (t / window_d) ** shape
    step_hr: float
    step_grades: tuple[int, int]
    severe_share: float


@dataclass(frozen=True)
class SteroidInfection:
    """From the end of the last of `days` days of at least `day_mg`, severe infections are `ratio` times as frequent."""

    day_mg: float
    days: int
    window_d: float
    ratio: float


@dataclass(frozen=True)
class HarmNumbers:
    """What reactions of one arm are made from. `sources` are the drugs that are followed, background first."""

    sources: tuple[HarmSource, ...]
    forms: Mapping[Reaction, Form]
    chance: Mapping[tuple[HarmSource, Reaction], float]  # per dose or per day
    day_mg: Mapping[Reaction, float]
    infection: Infection
    steroid_infection: SteroidInfection
    anakinra_infection: float  # hazard ratio on a day with a dose
    odds_per_dose: float | None  # of infection, tocilizumab; None: no such effect
    odds_latency_d: tuple[float, float]
    mistaken_share: float
    dexamethasone_mg: float  # equivalent to 1 mg methylprednisolone


def read_numbers(
    numbers: Mapping[str, Value], drugs: Iterable[str], infection_per_tocilizumab_dose: bool = False
) -> HarmNumbers:
    """The numbers of an arm from the registry's (`harms.*`, and the equivalence of methylprednisolone).

    `drugs` are names of `DRUGS`. Raises `KeyError` where a number is missing, `InvalidInput` where two contradict.
    """

    def one(key: str) -> float:
        value = numbers[f"harms.{key}"]
        assert not isinstance(value, list), key
        return value

    def several(key: str) -> list[float]:
        value = numbers[f"harms.{key}"]
        assert isinstance(value, list), key
        return value

    def pair(key: str) -> tuple[float, float]:
        low, high = several(key)
        return low, high

    forms = {}
    for reaction in Reaction:
        name = reaction.name.lower()
        usual, severe = pair(f"{name}.grades")
        forms[reaction] = Form(
            (int(usual), int(severe)),
            one(f"{name}.severe_share"),
            int(one(f"{name}.serious_grade")),
            (0.0, 0.0) if reaction == Reaction.INFECTION else pair(f"{name}.latency_d"),
            one(f"{name}.duration_d"),
        )
    chance = {
        (source, reaction): one(f"{source.name.lower()}.{reaction.name.lower()}_per_dose")
        for source, reaction in PER_DOSE
    } | {
        (source, reaction): one(f"{source.name.lower()}.{reaction.name.lower()}_per_d")
        for source, reaction, _ in PER_DAY
    }
    conversion = numbers[_METHYLPREDNISOLONE]
    assert not isinstance(conversion, list)
    odds, odds_latency = one("tocilizumab.infection_odds_per_dose"), pair("tocilizumab.infection_latency_d")
    first, second = pair("infection.step_grades")
    window, median, ratio = one("infection.window_d"), one("infection.median_d"), one("infection.step_hr")
    if not median < window:
        raise InvalidInput(
            "infections cannot have their median after their window",
            where="harms.infection.median_d",
            why=f"got {median:g}, and harms.infection.window_d is {window:g}",
            mend="a smaller median_d",
        )
    shape = math.log(2.0) / math.log(window / median)
    return HarmNumbers(
        sources=(HarmSource.BACKGROUND, *sorted(DRUGS[drug] for drug in set(drugs))),
        forms=forms,
        chance=chance,
        day_mg={
            reaction: one(f"{source.name.lower()}.{reaction.name.lower()}_day_mg")
            for source, reaction, sized in PER_DAY
            if sized
        },
        infection=Infection(
            hazard=hazard_without_crs(
                one("infection.background_share"),
                ratio,
                tuple(several("infection.reference_shares")),
                tuple((day / window) ** shape for day in several("infection.reference_step_d")),
            ),
            window_d=window,
            shape=shape,
            step_hr=ratio,
            step_grades=(int(first), int(second)),
            severe_share=one("infection.severe_share"),
        ),
        steroid_infection=SteroidInfection(
            one("steroid.infection_day_mg"),
            int(one("steroid.infection_days")),
            one("steroid.infection_window_d"),
            one("steroid.infection_hr"),
        ),
        anakinra_infection=one("anakinra.infection_hr"),
        odds_per_dose=odds if infection_per_tocilizumab_dose else None,
        odds_latency_d=odds_latency,
        mistaken_share=one("psychiatric.mistaken_share"),
        dexamethasone_mg=conversion,
    )


@lru_cache(maxsize=256)
def hazard_without_crs(share: float, ratio: float, shares: Sequence[float], steps: Sequence[float]) -> float:
    """Cumulative hazard by the end of the window, without CRS, with which a cohort has `share` infected by then.

    `shares` of the cohort take none, one and two steps of `ratio` each, at `steps` (fractions of the cumulative
    hazard); found by halving, since the share rises with the hazard. `share` lies within 0 and 1, both excluded.
    """
    first, second = steps
    share = min(share, _SURE)
    weights = (
        1.0,
        first + ratio * (1.0 - first),
        first + ratio * (second - first) + ratio**2 * (1.0 - second),
    )
    low, high = 0.0, -math.log1p(-share) / min(weights)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        spared = sum(part * math.exp(-middle * weight) for part, weight in zip(shares, weights, strict=True))
        low, high = (middle, high) if 1.0 - spared / sum(shares) < share else (low, middle)
    return (low + high) / 2.0
