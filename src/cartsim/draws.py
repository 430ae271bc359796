"""Addressed random numbers: if a subject dies in one arm, its twin in the other arm must not notice.

A number belongs to an address (study key, subject, decision, occurrence), never to a place in a stream. So adding a
subject, an arm, a decision or a log, another chunk size or worker count changes nobody else's numbers, and there is
no stream to exhaust. The generator is Philox4x64-10 (Salmon et al., SC 2011), the one behind
`numpy.random.Philox`, against which it is tested bit for bit. This is the only file that touches `numpy.random`.
"""

import hashlib
import math

import numpy as np
import numpy.typing as npt

from cartsim.compiled import UNCOMPILED, compiled
from cartsim.terms import BASELINE_DECISIONS

_M0 = np.uint64(0xD2E7470EE14C6C93)
_M1 = np.uint64(0xCA5A826395121157)
_W0 = np.uint64(0x9E3779B97F4A7C15)
_W1 = np.uint64(0xBB67AE8584CAA73B)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_12 = np.uint64(12)
_ONE = np.uint64(1)
_LANES = 4
_ROUNDS = 10
# 52 bits and a half: never 0 or 1, so that every inverse distribution function is finite
_STEP = 2.0**-52
_CUBE_EDGE = 2.0**-31

if UNCOMPILED:
    np.seterr(over="ignore")


def study_key(seed: int, replicate: int = 0) -> tuple[np.uint64, np.uint64]:
    """128-bit key of one replicate of a study, by blake2b (stable across processes, unlike `hash`)."""
    digest = hashlib.blake2b(f"cartsim/1/{int(seed)}/{int(replicate)}".encode(), digest_size=16).digest()
    return np.uint64(int.from_bytes(digest[:8], "little")), np.uint64(int.from_bytes(digest[8:], "little"))


@compiled
def _multiply_high(a: np.uint64, b: np.uint64) -> np.uint64:
    a_low, a_high = a & _LOW, a >> _32
    b_low, b_high = b & _LOW, b >> _32
    middle = a_high * b_low + ((a_low * b_low) >> _32)
    other = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _32) + (other >> _32)


@compiled
def philox(
    key0: np.uint64, key1: np.uint64, c0: np.uint64, c1: np.uint64, c2: np.uint64, c3: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """One Philox4x64-10 block: four 64-bit words for a 128-bit key and a 256-bit counter."""
    for _ in range(_ROUNDS):
        high0, low0 = _multiply_high(_M0, c0), _M0 * c0
        high1, low1 = _multiply_high(_M1, c2), _M1 * c2
        c0, c1, c2, c3 = high1 ^ c1 ^ key0, low1, high0 ^ c3 ^ key1, low0
        key0, key1 = key0 + _W0, key1 + _W1
    return c0, c1, c2, c3


@compiled
def block(
    key0: np.uint64, key1: np.uint64, subject: int, group: int, occurrence: int
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """The four words of decisions 4*group .. 4*group+3.

    The counter starts at 1, as NumPy's does: its generator steps before the first block, so
    `Philox(key, counter=[group, subject, occurrence, 0]).random_raw(4)` is this block.
    """
    return philox(
        key0, key1, np.uint64(group) + _ONE, np.uint64(subject), np.uint64(occurrence), np.uint64(0)
    )


@compiled
def to_unit(word: np.uint64) -> float:
    """A 64-bit word as a number strictly between 0 and 1."""
    return (float(word >> _12) + 0.5) * _STEP


@compiled
def uniform(key0: np.uint64, key1: np.uint64, subject: int, decision: int, occurrence: int) -> float:
    """The uniform number at one address. Pure: the same address, the same number, everywhere."""
    words = block(key0, key1, subject, decision // _LANES, occurrence)
    lane = decision % _LANES
    if lane == 0:
        return to_unit(words[0])
    if lane == 1:
        return to_unit(words[1])
    if lane == 2:
        return to_unit(words[2])
    return to_unit(words[3])


@compiled
def fill_baseline(key0: np.uint64, key1: np.uint64, subject: int, out: np.ndarray) -> None:
    """Fill `out` (64 numbers) with one subject's baseline draws, a block of four at a time."""
    for group in range(BASELINE_DECISIONS // _LANES):
        words = block(key0, key1, subject, group, 0)
        for lane in range(_LANES):
            out[_LANES * group + lane] = to_unit(words[lane])


@compiled
def _fill_uniforms(
    key0: np.uint64, key1: np.uint64, subjects: np.ndarray, decision: int, occurrence: int, out: np.ndarray
) -> None:
    for i in range(subjects.size):
        out[i] = uniform(key0, key1, subjects[i], decision, occurrence)


def uniforms(
    key: tuple[np.uint64, np.uint64], subjects: npt.ArrayLike, decision: int, occurrence: int = 0
) -> np.ndarray:
    """Uniform numbers of one decision and occurrence for many subjects (int64[n] -> float64[n])."""
    places = np.asarray(subjects, dtype=np.int64)
    out = np.empty(len(places))
    _fill_uniforms(key[0], key[1], places, int(decision), int(occurrence), out)
    return out


@compiled
def _fill_at(
    key0: np.uint64,
    key1: np.uint64,
    subjects: np.ndarray,
    decision: int,
    occurrences: np.ndarray,
    out: np.ndarray,
) -> None:
    for i in range(subjects.size):
        out[i] = uniform(key0, key1, subjects[i], decision, occurrences[i])


def uniforms_at(
    key: tuple[np.uint64, np.uint64], subjects: npt.ArrayLike, decision: int, occurrences: npt.ArrayLike
) -> np.ndarray:
    """Uniform numbers of one decision, each at its own subject and occurrence (both int64[n] -> float64[n])."""
    places = np.asarray(subjects, dtype=np.int64)
    out = np.empty(len(places))
    _fill_at(key[0], key[1], places, int(decision), np.asarray(occurrences, dtype=np.int64), out)
    return out


def sobol_baseline(seed: int, replicate: int, first: int, count: int) -> np.ndarray:
    """Scrambled Sobol' points for the baseline decisions of subjects `first .. first+count-1`, [count, 64].

    A pure function of the subject's index, as Philox is, so chunks may be cut anywhere. Sixty-four dimensions are
    always drawn: one more would change the others.
    """
    from scipy.stats import qmc

    key = study_key(seed, replicate)
    # scipy spawns a generator of its own, for which this one must have been seeded and not keyed
    generator = np.random.Generator(np.random.Philox([int(word) for word in key]))
    engine = qmc.Sobol(BASELINE_DECISIONS, scramble=True, bits=30, rng=generator)
    if first:
        engine.fast_forward(first)
    # in whole powers of two, of which scipy would otherwise remind the user at every run
    points = engine.random(1 << (count - 1).bit_length())[:count]
    return np.clip(points, 2.0**-31, 1.0 - 2.0**-31)


def name_counter(name: str) -> int:
    """A place among subjects for something that has a name and no number (63 bits, by blake2b).

    What is drawn for a name does not depend on which other names there are.
    """
    digest = hashlib.blake2b(f"cartsim/name/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def design_seed(seed: int) -> int:
    """Seed of a study's design, of 32 bits as samplers of others take it, and apart from every study key."""
    digest = hashlib.blake2b(f"cartsim/design/{int(seed)}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def lhs_cube(seed: int, points: int, inputs: int) -> np.ndarray:
    """Latin hypercube on the unit cube, [points, inputs]: every input has one point in each of `points` strata."""
    from scipy.stats import qmc

    return qmc.LatinHypercube(inputs, rng=_design_generator(seed)).random(points)


def sobol_cube(seed: int, points: int, inputs: int) -> np.ndarray:
    """Scrambled Sobol' points on the unit cube, [points, inputs]; fewer points are the first of more."""
    from scipy.stats import qmc

    engine = qmc.Sobol(inputs, scramble=True, bits=30, rng=_design_generator(seed))
    cube = engine.random(1 << (points - 1).bit_length())[:points]
    return np.clip(cube, _CUBE_EDGE, 1.0 - _CUBE_EDGE)


def saltelli_cube(seed: int, rows: int, inputs: int, groups: list[str] | None = None) -> np.ndarray:
    """Saltelli's matrices on the unit cube by SALib: for each of `rows`: A, AB of every input (or group, in the order
    in which `groups`, one name an input, first names it), B. Raises `ModuleNotFoundError` without SALib.
    """
    from SALib.sample import sobol  # type: ignore[import-untyped]

    problem = _salib_problem(inputs, groups)
    # a power of two keeps the sequence balanced; the rows that were not asked for are the last
    full = 1 << (rows - 1).bit_length()
    steps = 2 + (len(set(groups)) if groups else inputs)
    cube = sobol.sample(problem, full, calc_second_order=False, seed=_design_generator(seed))[: rows * steps]
    return np.clip(cube, _CUBE_EDGE, 1.0 - _CUBE_EDGE)


def morris_cube(seed: int, trajectories: int, inputs: int, groups: list[str] | None = None) -> np.ndarray:
    """Morris' trajectories on four levels of the unit cube by SALib: inputs (or groups) + 1 rows each, every row
    one step from the last. Raises `ModuleNotFoundError` without SALib.
    """
    from SALib.sample import morris

    return morris.sample(_salib_problem(inputs, groups), trajectories, num_levels=4, seed=seed)


def _design_generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(int(seed)))


def _salib_problem(inputs: int, groups: list[str] | None) -> dict[str, object]:
    problem: dict[str, object] = {
        "num_vars": inputs,
        "names": [f"x{place}" for place in range(inputs)],
        "bounds": [[0.0, 1.0]] * inputs,
    }
    return problem | ({"groups": groups} if groups else {})


# fmt: off
_A = (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
      4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3)
_B = (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
      2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3)
_C = (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
      1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4)
_D = (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
      1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9)
_E = (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
      2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7)
_F = (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
      7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15)
# fmt: on


@compiled
def _ratio(top: tuple[float, ...], bottom: tuple[float, ...], r: float) -> float:
    a = top[7]
    b = bottom[7]
    for i in range(6, -1, -1):
        a = a * r + top[i]
        b = b * r + bottom[i]
    return a / b


@compiled
def normal_quantile(u: float) -> float:
    """Standard normal quantile of u in (0, 1), relative error about 1e-16 (Wichura 1988, AS 241, PPND16)."""
    q = u - 0.5
    if abs(q) <= 0.425:
        return q * _ratio(_A, _B, 0.180625 - q * q)
    r = u if q < 0.0 else 1.0 - u
    r = math.sqrt(-math.log(r))
    x = _ratio(_C, _D, r - 1.6) if r <= 5.0 else _ratio(_E, _F, r - 5.0)
    return -x if q < 0.0 else x


@compiled
def normal_cdf(x: float) -> float:
    """Standard normal distribution function."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))
