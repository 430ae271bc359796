"""Hand-made subjects and doses for the tests of harms, and the exact test that all of them use."""

import numpy as np
from scipy.stats import binomtest

from cartsim.draws import study_key
from cartsim.evidence.registry import starting_registry
from cartsim.harms import HarmNumbers, Harms, find_harms, read_numbers
from cartsim.model.state import COURSE, DOSE, SUBJECT
from cartsim.terms import Drug, HarmSource, Reaction

REGISTRY = starting_registry().numbers()
EVERY = ("tocilizumab", "steroid", "anakinra")
#: A test fails where the exact test rejects the nominal value at this level.
LEVEL = 1e-6


def numbers(drugs: tuple[str, ...] = EVERY, per_dose: bool = False, **changes: object) -> HarmNumbers:
    given = REGISTRY | {f"harms.{key}": value for key, value in changes.items()}
    return read_numbers(given, drugs, per_dose)


def make(
    n: int, crs: float = np.inf, crs4: float = np.inf, end: float = 30.0
) -> tuple[np.ndarray, np.ndarray]:
    """(SUBJECT[n], COURSE[n]) of adults seen with CRS from `crs` days on."""
    subjects, courses = np.zeros(n, SUBJECT), np.zeros(n, COURSE)
    subjects["steroid_scale"] = 1.0
    subjects["key0"], subjects["key1"] = study_key(20261122)
    courses["end"] = end
    courses["crs_ge_t"] = np.inf
    courses["crs_ge_t"][:, 0], courses["crs_ge_t"][:, 3] = crs, crs4
    return subjects, courses


def doses(n: int, drug: Drug, times: list[float], mg: float = 10.0) -> np.ndarray:
    """The same doses for each of n subjects."""
    made = np.zeros(n * len(times), DOSE)
    made["row"] = np.repeat(np.arange(n), len(times))
    made["drug"], made["mg"] = drug, mg
    made["t_start"] = made["t_end"] = np.tile(times, n)
    return made


def found(how: HarmNumbers, n: int, given: np.ndarray, **course: float) -> Harms:
    subjects, courses = make(n, **course)
    return find_harms(how, subjects, courses, given, np.arange(n))


def affected(harms: Harms, reaction: Reaction, source: HarmSource, n: int) -> np.ndarray:
    """bool[n]"""
    rows = harms.rows
    mine = rows["row"][(rows["reaction"] == reaction) & (rows["source"] == source)]
    return np.bincount(mine, minlength=n) > 0


def expect(hits: int, n: int, p: float) -> None:
    print(f"{hits / n:.5f} for {p:.5f}, {n} tried")
    assert binomtest(hits, n, p).pvalue > LEVEL
