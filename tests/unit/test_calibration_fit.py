"""Search, steps and posterior on problems whose answer is known exactly; a stopped fit is the fit that was not."""

import json
from pathlib import Path

import numpy as np
import pytest

from cartsim.calibrate.checkpoint import NAME, Checkpoint
from cartsim.calibrate.crew import Crew, Group
from cartsim.calibrate.evolution import normals, search_block
from cartsim.calibrate.fit import Effort, Fit, Fitter
from cartsim.calibrate.newton import find_slope, first_steps, step_down
from cartsim.calibrate.posterior import Sampler
from cartsim.errors import Mismatch, OutputBroken

SMALL = Effort(rounds=1, population=8, generations=4, steps=2, draws=60, sweeps=2)


class Linear:
    """Residuals A z - y in three groups: two of product a, one of product b, all with shared scores 0..2."""

    def __init__(self, bend: float = 0.0) -> None:
        generator = np.random.default_rng(5)
        self.size, self.bend = 10, bend
        self.groups = [
            Group("a1", (0, 1, 2, 3, 4, 5), 6, "a"),
            Group("a2", (0, 1, 2, 3, 4, 5), 3, "a"),
            Group("b", (0, 1, 2, 6, 7, 8, 9), 8, "b"),
        ]
        self.slopes = [generator.normal(size=(group.rows, len(group.reads))) for group in self.groups]
        self.seen = [2 * generator.normal(size=group.rows) for group in self.groups]

    def evaluate(self, group: int, z: np.ndarray) -> np.ndarray:
        moved = self.slopes[group] @ z[list(self.groups[group].reads)]
        return moved + self.bend * moved**2 - self.seen[group]

    def exact(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of the posterior of the straight problem."""
        whole = np.zeros((17, 10))
        whole[:6, :6], whole[6:9, :6] = self.slopes[0], self.slopes[1]
        whole[9:, [0, 1, 2, 6, 7, 8, 9]] = self.slopes[2]
        covariance = np.linalg.inv(whole.T @ whole + np.eye(10))
        return covariance @ whole.T @ np.concatenate(self.seen), covariance


def fitted(problem: Linear, effort: Effort = SMALL, workers: int = 1, **more: object) -> Fit:
    with Crew(problem, workers) as crew:
        return Fitter(crew, np.zeros(10), effort, seed=3, **more).run()  # type: ignore[arg-type]


def test_named_normals_do_not_depend_on_how_many_are_taken() -> None:
    assert np.array_equal(normals("x", 10)[4:], normals("x", 6, first=4))
    assert not np.array_equal(normals("x", 4), normals("y", 4))
    many = normals("many", 40_000)
    assert abs(many.mean()) < 5 / 200 and abs(many.std() - 1) < 0.02


def test_search_finds_the_floor_of_a_bowl() -> None:
    problem = Linear()
    mean, _ = problem.exact()
    with Crew(problem) as crew:
        found = search_block(
            crew, np.zeros(10), range(10), [0, 1, 2], name="t", width=0.5, population=14, generations=150
        )
        again = search_block(
            crew, np.zeros(10), range(10), [0, 1, 2], name="t", width=0.5, population=14, generations=150
        )
    assert np.abs(found - mean).max() < 0.01
    assert np.array_equal(found, again)


def test_search_never_makes_it_worse() -> None:
    problem = Linear()
    mean, _ = problem.exact()
    with Crew(problem) as crew:
        found = search_block(crew, mean, [3, 4], [0, 1], name="t", width=0.9, population=4, generations=1)
    assert np.array_equal(np.delete(found, [3, 4]), np.round(np.delete(mean, [3, 4]), 7))
    assert (
        sum(float(problem.evaluate(g, found) @ problem.evaluate(g, found)) for g in (0, 1))
        + found[3:5] @ found[3:5]
        <= sum(float(problem.evaluate(g, mean) @ problem.evaluate(g, mean)) for g in (0, 1))
        + mean[3:5] @ mean[3:5]
        + 1e-6
    )


def test_slope_is_the_matrix_and_skips_what_a_group_does_not_read() -> None:
    problem = Linear()
    with Crew(problem) as crew:
        slope = find_slope(crew, np.zeros(10), first_steps(10))
    assert np.allclose(slope.jacobian[:6, :6], problem.slopes[0])
    assert not slope.jacobian[:9, 6:].any() and not slope.jacobian[9:, 3:6].any()


def test_steps_reach_the_exact_mean() -> None:
    problem = Linear()
    mean, covariance = problem.exact()
    with Crew(problem) as crew:
        z = np.zeros(10)
        for _ in range(12):
            slope = find_slope(crew, z, first_steps(10))
            z, loss = step_down(crew, slope)
            assert loss <= slope.loss
    assert np.abs(z - mean).max() < 1e-4
    assert np.allclose(slope.covariance(), covariance, atol=1e-8)


def test_draws_of_a_linear_problem_are_the_exact_posterior() -> None:
    problem = Linear()
    mean, covariance = problem.exact()
    effort = Effort(rounds=1, population=8, generations=4, steps=8, draws=4000, sweeps=2)
    fit = fitted(problem, effort)
    draws = fit.posterior.draws
    # six standard errors of a mean, and of a standard deviation, of 4000 draws
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean(axis=0) - mean) < 6 * sd / np.sqrt(4000)).all()
    assert (np.abs(draws.std(axis=0) / sd - 1) < 6 / np.sqrt(8000)).all()
    assert np.abs(np.corrcoef(draws.T) - covariance / np.outer(sd, sd)).max() < 6 / np.sqrt(4000)
    lines = fit.posterior.checks["lines"]
    # where Laplace is exact no draw counts for less, and every move is accepted
    assert lines[0]["ess"]["all"] == pytest.approx(1, abs=1e-3)
    assert all(share > 0.999 for line in lines[1:] for share in line["accepted"].values())


def test_moves_mend_what_laplace_gets_wrong() -> None:
    problem = Linear(bend=0.12)
    effort = Effort(rounds=1, population=10, generations=10, steps=10, draws=3000, sweeps=12)
    with Crew(problem) as crew:
        fit = Fitter(crew, np.zeros(10), effort, seed=8).run()
        first = Sampler(crew, fit.slope, {"a": [3, 4, 5], "b": [6, 7, 8, 9]}, (), 8).first(3000)
        # importance weights of many Laplace draws are another way to the same posterior
        points = np.concatenate([fit.z + k * (first - fit.z) for k in (1.0, 1.3)])
        precision = fit.slope.precision()
        real = np.array(
            [
                sum(float(r @ r) for r in parts) + z @ z
                for z, parts in zip(points, crew.whole(list(points)), strict=True)
            ]
        )
    apart = points - fit.z
    square = np.einsum("mi,ij,mj->m", apart, precision, apart)
    n = len(first)
    mixture = np.logaddexp(-square / 2, -square / (2 * 1.3**2) - 10 * np.log(1.3))
    weights = np.exp(-real / 2 - mixture - (-real / 2 - mixture).max())
    weights /= weights.sum()
    mean = weights @ points
    effective = 1 / (weights**2).sum()
    assert effective > 300, effective
    sd = np.sqrt(weights @ (points - mean) ** 2)
    error = 6 * sd * np.sqrt(1 / effective + 1 / n)
    assert (np.abs(fit.posterior.draws.mean(axis=0) - mean) < error).all()
    assert fit.posterior.checks["lines"][0]["ess"]["all"] < 0.9


def test_kept_scores_have_the_prior_width_and_the_rest_follows() -> None:
    problem = Linear()
    mean, covariance = problem.exact()
    effort = Effort(rounds=1, population=8, generations=4, steps=8, draws=4000, sweeps=2)
    draws = fitted(problem, effort, kept=(1,)).posterior.draws
    assert draws[:, 1].std() == pytest.approx(1, abs=6 / np.sqrt(8000))
    assert draws[:, 1].mean() == pytest.approx(mean[1], abs=6 / np.sqrt(4000))
    # the others keep their regression on the kept one
    slope = covariance[:, 1] / covariance[1, 1]
    found = ((draws - draws.mean(axis=0)) * (draws[:, [1]] - draws[:, 1].mean())).mean(axis=0) / draws[
        :, 1
    ].var()
    rest = np.sqrt(np.diag(covariance) - covariance[:, 1] ** 2 / covariance[1, 1])
    assert (np.abs(found - slope) <= 6 * rest / np.sqrt(4000) + 1e-9).all()


def test_workers_do_not_move_a_bit() -> None:
    one, two = (fitted(Linear(0.1), workers=workers) for workers in (1, 2))
    assert np.array_equal(one.z, two.z)
    assert np.array_equal(one.posterior.draws, two.posterior.draws)
    assert one.lines == two.lines


@pytest.mark.parametrize("blocks", [1, 2, 4, 5, 6])
def test_a_stopped_fit_is_the_fit_that_was_not(tmp_path: Path, blocks: int) -> None:
    whole = fitted(Linear(0.1))
    seen = []

    def stop(progress: object) -> None:
        seen.append(progress)
        if len(seen) > blocks:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(Linear(0.1), checkpoint=Checkpoint(tmp_path, {"x": 1}), tell=stop)
    assert json.loads((tmp_path / NAME).read_text("utf-8"))["state"]["done"] == blocks
    rest = fitted(Linear(0.1), checkpoint=Checkpoint(tmp_path, {"x": 1}))
    assert np.array_equal(whole.z, rest.z)
    assert np.array_equal(whole.posterior.draws, rest.posterior.draws)
    assert whole.lines == rest.lines


def test_an_unfinished_fit_of_something_else_is_not_taken_up(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, {"seed": 1, "subjects": 64})
    fitted(Linear(), checkpoint=checkpoint)
    with pytest.raises(Mismatch) as caught:
        Checkpoint(tmp_path, {"seed": 2, "subjects": 64}).read()
    assert "seed" in str(caught.value) and "--fresh" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"schema": "cartsim/calibration-state/1", "identity": {}}']
)
def test_a_broken_state_is_no_state(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text, "utf-8")
    with pytest.raises(OutputBroken):
        Checkpoint(tmp_path, {}).read()
