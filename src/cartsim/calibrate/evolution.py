"""Why: a step along derivatives finds the floor of the valley it is in. At the start of a fit a product may be in the
wrong one (a cohort early and mild against late and severe), so its few scores are searched by an evolution strategy
first, which needs no derivatives and looks around (CMA-ES, Hansen & Ostermeier 2001, package `cma`).
"""

import math
from collections.abc import Sequence

import numpy as np

from cartsim.calibrate.crew import Crew, data_loss
from cartsim.calibrate.newton import settle
from cartsim.draws import name_counter, study_key, uniforms
from cartsim.errors import Unreachable


def need_package() -> None:
    """Raises `Unreachable` where the optional part is not installed."""
    try:
        import cma  # type: ignore[import-untyped]  # noqa: F401
    except ModuleNotFoundError:
        raise Unreachable(
            "the package `cma` is not installed",
            why="the search of `cartsim calibrate` is made by an optional part",
            mend='pip install "cartsim[calibrate]"',
        ) from None


def normals(name: str, count: int, first: int = 0) -> np.ndarray:
    """Standard normal numbers `first .. first+count-1` of an endless row that has a name."""
    from scipy.special import ndtri

    key = study_key(name_counter(f"calibrate/{name}"))
    return ndtri(uniforms(key, np.arange(first, first + count), 0))


def search_block(
    crew: Crew,
    z: np.ndarray,
    places: Sequence[int],
    groups: Sequence[int],
    *,
    name: str,
    width: float,
    population: int,
    generations: int,
) -> np.ndarray:
    """Scores with those at `places` moved to the best found; never worse than `z` on its `groups` and prior.

    `name` seeds it; `width` is the first standard deviation in scores.
    """
    import cma

    given = 0

    def randn(*shape: int) -> np.ndarray:
        nonlocal given
        count = math.prod(shape)
        made = normals(name, count, given).reshape(shape)
        given += count
        return made

    places = list(places)
    best, lowest = z, _loss(crew, [z], places, groups)[0]
    strategy = cma.CMAEvolutionStrategy(
        z[places],
        width,
        {
            "popsize": population,
            "maxiter": generations,
            "seed": np.nan,  # no global generator is touched
            "randn": randn,
            "verbose": -10,  # reads and writes no file
            "verb_log": 0,
            "verb_disp": 0,
        },
    )
    for _ in range(generations):
        if strategy.stop():
            break
        asked = strategy.ask()
        points = []
        for one in asked:
            point = z.copy()
            point[places] = one
            points.append(point)
        losses = _loss(crew, points, places, groups)
        strategy.tell(asked, losses)
        place = int(np.argmin(losses))
        if losses[place] < lowest:
            best, lowest = points[place], losses[place]
    return settle(best)


def _loss(
    crew: Crew, points: Sequence[np.ndarray], places: Sequence[int], groups: Sequence[int]
) -> list[float]:
    return [
        data_loss(parts) + float(z[places] @ z[places])
        for z, parts in zip(points, crew.whole(points, groups), strict=True)
    ]
