"""The desk of the ward against queueing theory: many customers, exponential times, closed forms of Erlang."""

import math
from typing import Any

import numpy as np
import pytest
import simpy
from scipy import stats

from cartsim.drivers.ward import Desk

pytestmark = pytest.mark.verify
CUSTOMERS, BATCHES = 300_000, 60
ALARM = 1e-6


def serve(arrivals: np.ndarray, services: np.ndarray, beds: int) -> tuple[np.ndarray, Desk]:
    """Waits of customers who come at `arrivals` and each hold a bed for their `services`; and the desk."""
    env = simpy.Environment()
    desk = Desk(env, "ward_bed", beds, returns=True)

    def stay(length: float) -> Any:
        yield env.timeout(length)
        desk.give_back()

    def come() -> Any:
        for k, at in enumerate(arrivals):
            yield env.timeout(at - env.now)
            grant, _ = desk.ask(k, 1)
            grant.callbacks.append(lambda _, length=services[k]: env.process(stay(length)))

    env.process(come())
    env.run()
    return np.array([wait.granted_d - wait.asked_d for wait in desk.waits]), desk


def kiefer_wolfowitz(arrivals: np.ndarray, services: np.ndarray, beds: int) -> np.ndarray:
    """Waits by the recursion over the work that each bed still has to do."""
    free_at = np.zeros(beds)
    waits = np.empty(len(arrivals))
    for k, at in enumerate(arrivals):
        bed = int(free_at.argmin())
        waits[k] = max(0.0, free_at[bed] - at)
        free_at[bed] = at + waits[k] + services[k]
    return waits


def erlang_c(beds: int, load: float) -> float:
    """Chance of waiting in M/M/c with offered load `load` (arrival rate over service rate)."""
    busy = load**beds / math.factorial(beds) * beds / (beds - load)
    return busy / (sum(load**k / math.factorial(k) for k in range(beds)) + busy)


@pytest.mark.parametrize("beds", [1, 2, 7])
def test_every_wait_is_that_of_the_recursion(beds: int) -> None:
    rng = np.random.default_rng(611)
    arrivals = np.cumsum(rng.exponential(1.0, 5_000))
    services = rng.lognormal(0.0, 1.0, 5_000) * 0.55 * beds
    waits, _ = serve(arrivals, services, beds)
    assert waits == pytest.approx(kiefer_wolfowitz(arrivals, services, beds), abs=1e-7)
    assert waits.max() > 1


@pytest.mark.parametrize(("beds", "load"), [(1, 0.5), (4, 2.4)])
def test_mean_wait_is_erlangs(beds: int, load: float) -> None:
    """Within 2 % of Erlang C, and not to be told from it (batch means); mean queue is rate times mean wait."""
    rng = np.random.default_rng(612)
    arrivals = np.cumsum(rng.exponential(1.0, CUSTOMERS))
    waits, desk = serve(arrivals, rng.exponential(load, CUSTOMERS), beds)
    theory = erlang_c(beds, load) * load / (beds - load)
    means = waits.reshape(BATCHES, -1).mean(axis=1)
    chance = stats.ttest_1samp(means, theory).pvalue
    print(f"M/M/{beds} at load {load}: mean wait {waits.mean():.4f}, Erlang C {theory:.4f}, p = {chance:.2g}")
    assert waits.mean() == pytest.approx(theory, rel=0.02)
    assert chance > ALARM
    assert (waits > 1e-9).mean() == pytest.approx(erlang_c(beds, load), rel=0.02)

    times = np.array([level[1] for level in desk.levels])
    queue = np.array([level[3] for level in desk.levels])
    in_use = np.array([level[2] for level in desk.levels])
    assert (queue[:-1] * np.diff(times)).sum() == pytest.approx(waits.sum(), rel=1e-9)
    assert (in_use[:-1] * np.diff(times)).sum() / times[-1] == pytest.approx(load, rel=0.02)
