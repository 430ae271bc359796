"""Why: each check of face validity is about certain patients under certain rules. Here are those settings, made of
shipped products and policies; where a check needs a drug by itself, of a few rules that name no other drug.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cartsim.claims.settings import setting
from cartsim.policy.courses import tapers

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario

LOGS = ["adsl", "adae", "adcm", "grade_intervals"]
#: Slow declines of ICANS are cut at a month.
LONG_D = 60
MARKERS_EVERY_H = 6
#: Dexamethasone by the clock, to compare tapers on the same course: 40 mg a day for three days from day 3.
FULL_MG, FULL_EVERY_H, FULL_FROM_H, FULL_DOSES = 10.0, 6, 72, 12
#: When the first dose of a taper (or nothing) follows.
TAPER_H = FULL_FROM_H + FULL_DOSES * FULL_EVERY_H
TAPERED = ("none", "rapid", "slow")


def _one(product: str, policy: str, crs: str = "astct2019", days: int = 30) -> dict[str, Any]:
    return {
        "product": product,
        "grading": {"crs": crs},
        "study": {"horizon_days": days},
        "arms": [{"id": "one", "policy": policy}],
        "outputs": {"tables": LOGS},
    }


def _clock(doses: list[tuple[float, float]]) -> dict[str, Any]:
    """Prophylaxis block of doses (hour, mg) by the clock."""
    by_mg: dict[float, list[float]] = {}
    for hour, mg in doses:
        by_mg.setdefault(mg, []).append(hour)
    return {
        f"clock_{mg:g}".replace(".", "_"): {"drug": "dexamethasone", "mg": mg, "at_h": hours}
        for mg, hours in by_mg.items()
    }


def taper_doses(name: str) -> list[tuple[float, float]]:
    """(hour, mg) of the full course and of a named taper after it; `none` stops at once."""
    doses = [(float(FULL_FROM_H + FULL_EVERY_H * k), FULL_MG) for k in range(FULL_DOSES)]
    hour = float(TAPER_H)
    for step in [] if name == "none" else tapers()[name]["dexamethasone"]:
        for _ in range(step["doses"]):
            doses.append((hour, float(step["mg"])))
            hour += step["every_h"]
    return doses


def _tapers() -> dict[str, Any]:
    arms = [
        {"id": name, "policy": {"extends": "no_treatment", "prophylaxis": _clock(taper_doses(name))}}
        for name in TAPERED
    ]
    return {**_one("axi-cel", "no_treatment"), "arms": arms}


def _markers() -> dict[str, Any]:
    rule = {"toci_once": {"when": {"crs": ">=2"}, "give": {"drug": "tocilizumab"}}}
    return {
        **_one("axi-cel", "no_treatment"),
        "arms": [
            {"id": "one", "policy": {"extends": "no_treatment", "rules": rule}},
            {"id": "untreated", "policy": "no_treatment"},
        ],
        "outputs": {"tables": LOGS, "biomarkers": {"every_h": MARKERS_EVERY_H}},
    }


def contents() -> Mapping[str, dict[str, Any]]:
    """Setting -> what its scenario holds."""
    return {
        "axi_cel": _one("axi-cel", "asco_2021", days=LONG_D),
        "tisa_cel_lbcl": _one("tisa-cel-lbcl", "asco_2021"),
        "liso_cel": _one("liso-cel", "asco_2021"),
        "ide_cel": _one("ide-cel", "asco_2021"),
        "cilta_cel": _one("cilta-cel", "asco_2021"),
        "tisa_cel_all": _one("tisa-cel-all", "severe_only", "penn"),
        "zuma1": _one("axi-cel", "zuma1_c1_2", "lee2014"),
        "juliet": _one("tisa-cel-lbcl", "severe_only", "penn"),
        "tapers": _tapers(),
        "markers": _markers(),
    }


def make_setting(name: str, seed: int) -> "Scenario":
    """The scenario of a setting. Raises `KeyError` for an unknown one."""
    return setting(name, seed, contents()[name])
