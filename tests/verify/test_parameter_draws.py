"""Intervals and errors of means over parameter sets cover what they say, over many made cohorts of which the truth is
known; the parameter error does not grow with Monte Carlo noise."""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binomtest

from cartsim.analysis.crossed import Crossed, Crossing
from cartsim.analysis.draw_rows import DrawRows
from cartsim.analysis.endpoints import Endpoint
from cartsim.analysis.over_draws import OverDraws
from cartsim.analysis.summary import Summary
from cartsim.analysis.tally import tally
from cartsim.record.draw_tables import ALL_DRAWS, DRAW

pytestmark = pytest.mark.verify

COHORTS, SUBJECTS, SETS = 1_000, 300, 8
#: Shift of each set; the truth is the mean over these sets.
SHIFTS = np.linspace(-0.5, 0.5, SETS)
NOISE = 0.5
ENDPOINTS = (
    Endpoint("event", "Event", "risk", "level", "event", "proportion"),
    Endpoint("rare", "Rare event", "risk", "level", "rare", "proportion"),
    Endpoint("amount", "Amount", "mean", "value", "amount", "mg"),
)
#: Threshold of an event, and how much the new arm lowers it.
THRESHOLDS = {"event": (0.8, 0.3), "rare": (2.4, 0.1)}


def truth(name: str, arm: str) -> float:
    """Mean over the sets, in the reals."""
    if name == "amount":
        return 1.0 + (0.2 if arm == "new" else 0.0) + float(SHIFTS.mean())
    threshold, effect = THRESHOLDS[name]
    moved = threshold - (effect if arm == "new" else 0.0) - SHIFTS
    spread = np.hypot(1.0, NOISE)
    return float(np.mean([1 - NormalDist().cdf(x / spread) for x in moved]))


def cohort(rng: np.random.Generator) -> Callable[[float], dict[str, dict[str, np.ndarray]]]:
    """Subjects with luck of their own; what they show under a set and in both arms is partly the same."""
    own = rng.normal(size=SUBJECTS)

    def under(shift: float) -> dict[str, dict[str, np.ndarray]]:
        luck = own + NOISE * rng.normal(size=SUBJECTS)
        arms: dict[str, dict[str, np.ndarray]] = {}
        for arm in ("old", "new"):
            gain = 1.0 if arm == "new" else 0.0
            arms[arm] = {
                name: (luck + shift > threshold - gain * effect).astype("i1")
                for name, (threshold, effect) in THRESHOLDS.items()
            }
            arms[arm]["amount"] = 1.0 + shift + gain * 0.2 + luck * (1 + 0.5 * gain)
        return arms

    return under


@pytest.fixture(scope="module")
def made() -> list[dict[tuple[str, str], dict[str, float]]]:
    """Rows of every cohort by (arm or difference, endpoint)."""
    summary = Summary(
        ENDPOINTS, ["old", "new"], "old", 30.0, curves=False, bootstrap=False, scenario_id="verify"
    )
    rng = np.random.default_rng(20261122)
    found = []
    for _ in range(COHORTS):
        under, crossing = cohort(rng), Crossing(Crossed(summary), SUBJECTS, ("old", "new"))
        tables: dict[str, list[np.ndarray]] = {}
        for shift in SHIFTS:
            arms = under(float(shift))
            crossing.add(arms)
            for arm, columns in arms.items():
                for name, values in columns.items():
                    tables.setdefault(f"{arm} {name}", []).append(values)
        number = np.repeat(np.arange(SETS), SUBJECTS)
        columns = {
            arm: {name: np.concatenate(tables[f"{arm} {name}"]) for name in ("event", "rare", "amount")}
            for arm in ("old", "new")
        }
        each = tally(summary.plan, number, np.zeros(len(number), int), columns, "old", ["old", "new"])
        totals = crossing.rows(0, 0, ("old", "new"))
        rows = pa.concat_tables(
            [
                labelled(
                    each.set_column(0, "design_id", pa.array(np.zeros(each.num_rows, "i4"))), DRAW, each
                ),
                labelled(totals, ALL_DRAWS, None),
            ]
        ).unify_dictionaries()
        drawn = DrawRows(rows, summary, SETS, range(1))
        over = OverDraws(summary, SETS, range(1))
        held = {}
        for table, kind in ((over.outcomes(drawn), ""), (over.contrasts(drawn), "difference")):
            for row in table.to_pylist():
                if row["summary"] in ("proportion", "mean", "risk difference", "mean difference"):
                    held[kind or row["arm_id"], row["endpoint"]] = row
        found.append(held)
    return found


def labelled(rows: pa.Table, part: str, each: pa.Table | None) -> pa.Table:
    number = pa.array(np.zeros(rows.num_rows, "i4")) if each is None else each["design_id"]
    head = {
        "population": pa.array(["all infused subjects"] * rows.num_rows).dictionary_encode(),
        "part": pa.array([part] * rows.num_rows).dictionary_encode(),
        "number": number,
    }
    return pa.table({**head, **{name: rows[name] for name in rows.column_names}})


@pytest.mark.parametrize("endpoint", ["event", "rare", "amount"])
@pytest.mark.parametrize("what", ["old", "new", "difference"])
def test_the_monte_carlo_interval_covers(
    made: list[dict[tuple[str, str], dict[str, float]]], what: str, endpoint: str
) -> None:
    true = truth(endpoint, "new") - truth(endpoint, "old") if what == "difference" else truth(endpoint, what)
    rows = [held[what, endpoint] for held in made]
    inside = sum(row["lower"] <= true <= row["upper"] for row in rows)
    spread = float(np.std([row["value"] for row in rows], ddof=1))
    said = float(np.sqrt(np.mean([row["mcse"] ** 2 for row in rows])))
    print(f"{what} {endpoint}: covered {inside / COHORTS:.3f}, mcse {said:.5f} against {spread:.5f}")
    assert binomtest(inside, COHORTS, 0.95, alternative="less").pvalue > 1e-6
    # the variance of COHORTS values is known to about 4.5 %; 5 of its errors on either side
    assert said == pytest.approx(spread, rel=0.12)


@pytest.mark.parametrize("what", ["old", "new"])
def test_the_parameter_error_is_that_of_the_sets(
    made: list[dict[tuple[str, str], dict[str, float]]], what: str
) -> None:
    """Mean square of `se_parameter` against the variance of the true values of the sets."""
    found = float(np.mean([held[what, "amount"]["se_parameter"] ** 2 for held in made]))
    true = float(np.var(SHIFTS, ddof=1))
    print(f"{what}: {np.sqrt(found):.4f} against {np.sqrt(true):.4f}")
    assert found == pytest.approx(true, rel=0.02)
