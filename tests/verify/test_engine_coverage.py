"""Do the intervals of a run hold the truth as often as they say? Through the whole engine: many small cohorts against
one very large, tested exactly against what each interval can reach with counts that are whole numbers."""

from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from cartsim.analysis.intervals import paired_risk_difference, wilson
from cartsim.scenario.load import load_scenario
from cartsim.study import run

pytestmark = pytest.mark.verify
SEEDS, SUBJECTS, LARGE = 200, 400, 1_000_000
ALARM = 1e-6
SCENARIO = Path(__file__).parents[2] / "scenarios" / "tocilizumab_timing.yaml"


@cache
def results(subjects: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Outcomes and contrasts with severe CRS observed, and days at grade 2 or more."""
    changes = {"population.subjects": subjects, "run.seed": seed, "outputs.tables": ["adsl"]}
    study = run(load_scenario(SCENARIO, changes))
    tables = []
    for table in (study.outcomes, study.contrasts):
        severe = table["estimand_id"].str.startswith("crs_ge3.astct2019.observed")
        days = table["endpoint"] == "crs_days_ge2"
        tables.append(table[severe | days].set_index(["arm_id", "endpoint", "summary"]))
    return tables[0], tables[1]


@pytest.fixture(scope="module")
def truth() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A cohort of a million that shares no subject with the small ones."""
    return results(LARGE, 987_654_321)


def check(name: str, covered: int, exact: float) -> None:
    """Print the estimate; fail only when it is impossible (1e-6) at the stated coverage."""
    chance = stats.binomtest(covered, SEEDS, min(exact, 1.0)).pvalue
    print(f"{name}: {covered} of {SEEDS} intervals hold the truth, {exact:.4f} expected, p = {chance:.2g}")
    assert exact > 0.92
    assert chance > ALARM


def exact_pair_coverage(p01: float, p10: float) -> float:
    """Chance that the interval from one small cohort holds p01 - p10: a sum over the trinomial."""
    top01, top10 = (int(stats.binom.isf(1e-12, SUBJECTS, p)) + 1 for p in (p01, p10))
    total = 0.0
    for n01 in range(top01 + 1):
        first = stats.binom.pmf(n01, SUBJECTS, p01)
        for n10 in range(top10 + 1):
            (lower, upper), _ = paired_risk_difference(n01, n10, SUBJECTS)
            if lower <= p01 - p10 <= upper:
                total += first * stats.binom.pmf(n10, SUBJECTS - n01, p10 / (1 - p01))
    return float(total)


@pytest.mark.parametrize("arm", ["grade1_24h", "grade3"])
def test_paired_risk_difference_covers(truth, arm: str) -> None:
    """Severe CRS with tocilizumab at another grade than 2: hardly a discordant pair, or many."""
    key = (arm, "crs_ge3", "risk difference")
    p01, p10 = (truth[1].loc[key, name] / LARGE for name in ("n01", "n10"))
    print(f"{arm}: difference {p01 - p10:+.5f} ({p01:.5f} new, {p10:.5f} spared), from {LARGE:,} subjects")
    rows = [results(SUBJECTS, seed)[1].loc[key] for seed in range(SEEDS)]
    covered = sum(row["lower"] <= p01 - p10 <= row["upper"] for row in rows)
    check(f"paired risk difference, {arm}", int(covered), exact_pair_coverage(p01, p10))


def test_proportion_covers(truth) -> None:
    key = ("grade2", "crs_ge3", "proportion")
    p = truth[0].loc[key, "value"]
    reach = sum(
        stats.binom.pmf(k, SUBJECTS, p)
        for k in range(SUBJECTS + 1)
        if wilson(k, SUBJECTS)[0] <= p <= wilson(k, SUBJECTS)[1]
    )
    rows = [results(SUBJECTS, seed)[0].loc[key] for seed in range(SEEDS)]
    covered = sum(row["lower"] <= p <= row["upper"] for row in rows)
    check(f"proportion {p:.4f}", int(covered), float(reach))


def test_paired_mean_difference_covers(truth) -> None:
    """Days at grade 2 or more: most differences are 0 and a few are long, yet 400 pairs are enough for t."""
    key = ("grade3", "crs_days_ge2", "mean difference")
    mean = truth[1].loc[key, "value"]
    rows = [results(SUBJECTS, seed)[1].loc[key] for seed in range(SEEDS)]
    covered = sum(row["lower"] <= mean <= row["upper"] for row in rows)
    check(f"mean difference {mean:+.4f} d", int(covered), 0.95)
