"""Selection of the best over 400 planted cases: how often it is right, and how many subjects it takes.

Fixed seeds; fails only where an exact test rejects the stated 95 % from below at 1e-6. Two rulers for the subjects:
equal allocation (every candidate gets as many as the longest-running one needed) and the fixed number that gives the
same guarantee without looking on the way (Clark and Yang 1986, Bonferroni over paired differences, two-stage: the
same first stage decides how many, for all candidates).
"""

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtri

from cartsim.search.pareto import Front, point_front
from cartsim.search.run import Settings, batch_size, search

pytestmark = pytest.mark.verify
CONFIDENCE, ALARM = 0.95, 1e-6
CASES = 400


class Planted:
    """Candidates with known means and correlated outcomes: each mixes a subject's own number with noise of its own.

    `share`: 0/1 outcomes with the means as probabilities; else normal with sd 1. `samples` remembers the first stage.
    """

    def __init__(self, seed, indifference, *, share, slippage=False):
        rng = np.random.default_rng(seed)
        self.seed, self.share, self.d = seed, share, indifference
        self.k = int(rng.integers(10, 31))
        gaps = np.full(self.k, indifference)
        if not slippage:
            gaps += rng.exponential(3 * indifference, self.k)
        self.best = int(rng.integers(self.k))
        gaps[self.best] = 0
        self.means = (rng.uniform(0.05, 0.3) if share else 2.0) + gaps
        self.weight = rng.uniform(0.5, 0.98, self.k)
        self.first = {}

    def __call__(self, candidate, first, count):
        shared = np.random.default_rng([self.seed, first, 1]).standard_normal(count)
        # a list that only ends in another number of zeros would give the same stream
        own = np.random.default_rng([self.seed, first, 2 + candidate]).standard_normal(count)
        w = self.weight[candidate]
        latent = np.sqrt(w) * shared + np.sqrt(1 - w) * own
        if self.share:
            values = (latent < ndtri(self.means[candidate])).astype(float)
        else:
            values = self.means[candidate] + latent
        if first == 0:
            self.first[candidate] = values
        return values[:, None]

    def fixed_number(self, settings):
        """Subjects per candidate of the two-stage procedure that does not look on the way, first stage included."""
        units = np.column_stack([self.first[i] for i in range(self.k)])
        units = units.reshape(settings.first, settings.batch, self.k).mean(axis=1)
        cov = np.cov(units.T)
        variance = np.diag(cov)[:, None] + np.diag(cov) - 2 * cov
        t = stats.t.isf((1 - CONFIDENCE) / (self.k - 1), settings.first - 1)
        return max(settings.first, int(np.ceil(t**2 * variance.max() / self.d**2))) * settings.batch


def run_cases(seeds, indifference, *, share, slippage=False):
    """(right, spent, equal allocation, fixed number) summed over the cases."""
    total = np.zeros(4)
    for seed in seeds:
        case = Planted(seed, indifference, share=share, slippage=slippage)
        reach = 1.0 if share else None
        batch = batch_size(indifference, reach)
        settings = Settings(CONFIDENCE, indifference, batch, reach=(reach,))
        found = search(case.k, case, settings)
        spent = found.subjects
        total += (
            found.selection.best == case.best,
            spent.sum(),
            case.k * spent.max(),
            case.k * case.fixed_number(settings),
        )
    return total


def report(name, n, total):
    """Print the estimates; fail only when so few were right that 95 % is excluded."""
    right, spent, equal, fixed = total
    p = stats.binomtest(int(right), n, CONFIDENCE, alternative="less").pvalue
    print(
        f"{name}: {int(right)} of {n} right ({right / n:.4f}; stated at least {CONFIDENCE}, p = {p:.2g}); subjects a "
        f"case {spent / n:,.0f} = {spent / equal:.3f} of equal allocation, {spent / fixed:.3f} of the fixed number"
    )
    assert p > ALARM


def test_planted_cases_with_random_gaps():
    """200 of 0/1 outcomes and 200 continuous: right in at least 95 %, with at most half the subjects."""
    share = run_cases(range(200), 0.005, share=True)
    # What is saved depends on the question: at 0.05 SD the first stage is so large a part of the whole that 0.55 of
    # equal allocation is spent, at 0.03 SD some 0.4.
    value = run_cases(range(200, CASES), 0.03, share=False)
    report("0/1 outcomes", 200, share)
    report("continuous", 200, value)
    total = share + value
    report("all planted cases", CASES, total)
    # subjects are counted within each kind: their numbers differ by an order of magnitude
    for _, spent, equal, fixed in (share, value):
        assert spent <= 0.5 * equal
        assert spent <= 0.5 * fixed


def test_the_least_favourable_means_keep_the_promise():
    """Every other candidate exactly the indifference worse: where the guarantee is tight."""
    report("least favourable, 0/1", 150, run_cases(range(1000, 1150), 0.01, share=True, slippage=True))
    value = run_cases(range(2000, 2150), 0.05, share=False, slippage=True)
    report("least favourable, continuous", 150, value)


def rare(seed, indifference):
    """sample() of 10 candidates that agree in nearly every subject; the first is better by the indifference."""

    def sample(candidate, first, count):
        event = np.random.default_rng([seed, first, 1]).random(count) < 0.5
        turned = np.random.default_rng([seed, first, 2 + candidate]).random(count)
        if candidate == 0:
            return event.astype(float)[:, None]
        # half a share of d turns for the better, one and a half for the worse
        better, worse = turned < indifference, turned < 3 * indifference
        return np.where(event, ~better, worse).astype(float)[:, None]

    return sample


def test_rare_differences_are_not_missed():
    """Candidates that differ from the best in 2 % of subjects, and are worse in 1 %, which is the indifference."""
    right, n = 0, 600
    for seed in range(n):
        found = search(10, rare(seed, 0.01), Settings(CONFIDENCE, 0.01, batch_size(0.01, 1.0)))
        right += found.selection.best == 0
    p = stats.binomtest(right, n, CONFIDENCE, alternative="less").pvalue
    print(f"differ in 2 % of subjects: {right} of {n} right ({right / n:.4f}, p = {p:.2g})")
    assert p > ALARM


def test_no_true_member_of_the_front_is_called_dominated():
    """150 random fronts of 3 objectives, looked at three times: the stated 95 % holds, and most others are found."""
    kept = found = there = 0
    cases = 150
    for seed in range(cases):
        rng = np.random.default_rng([77, seed])
        k, n = 12, 6000
        means = np.column_stack([rng.uniform(0.1, 0.3, k), rng.uniform(0.1, 0.3, k), rng.uniform(5, 7, k)])
        shared, own = rng.standard_normal((1, n, 3)), rng.standard_normal((k, n, 3))
        latent = 0.9 * shared + np.sqrt(1 - 0.81) * own
        values = np.where([True, True, False], latent < ndtri(np.minimum(means, 0.99))[:, None], 0.0)
        values[:, :, 2] = means[:, None, 2] + 2 * latent[:, :, 2]
        truth = point_front(means)
        front = Front(k, [1.0, 1.0, 20.0], CONFIDENCE, 2000)
        while front.look_at <= n:
            front.look(list(values))
            front.grow(100)
        kept += not any(truth[i] for i in front.dominated)
        found += len(front.dominated)
        there += int((~truth).sum())
    p = stats.binomtest(kept, cases, CONFIDENCE, alternative="less").pvalue
    print(
        f"fronts left whole: {kept} of {cases} (p = {p:.2g}); {found} of {there} dominated candidates found"
    )
    assert p > ALARM
    assert found > there / 3
