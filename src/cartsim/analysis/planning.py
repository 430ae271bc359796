"""How many subjects a width will take, before any is simulated: from a pilot row, or from what somebody expects.

Paired runs are cheap or dear by one number that nobody knows beforehand: the share of subjects whose outcome differs
between the arms. Without a pilot the answer is therefore a table over that share, not a figure that looks certain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cartsim.analysis.intervals import LEVEL, normal_quantile
from cartsim.analysis.precision import FLOOR
from cartsim.analysis.targets import Condition
from cartsim.analysis.widths import Row, Seen, kind_of, smallest_whole
from cartsim.errors import InvalidInput

#: Shares of subjects whose outcome differs between two arms, for the table without a pilot.
DISCORDANT_SHARES = (0.001, 0.005, 0.01, 0.02, 0.05)
#: Shares of subjects with the event, for one arm.
EVENT_SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
#: Standard deviations in the endpoint's unit, for means.
DEVIATIONS = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Guess:
    """What is expected of a target: shares of subjects, or the standard deviation of a mean (or mean difference).

    `discordant` is the share of subjects whose outcome differs, `difference` the risk difference.
    """

    discordant: float | None = None
    difference: float = 0.0
    share: float | None = None
    sd: float | None = None

    @classmethod
    def of_risks(cls, p1: float, p0: float, correlation: float = 0.0) -> "Guess":
        """From the risks of the arm and its reference and the correlation of a subject's two outcomes.

        A correlation beyond what these risks allow is taken as the largest (or smallest) possible. Raises
        InvalidInput for shares outside 0 to 1.
        """
        if not (0 <= p1 <= 1 and 0 <= p0 <= 1 and -1 <= correlation <= 1):
            raise InvalidInput(
                f"risks of {p1:g} and {p0:g} with a correlation of {correlation:g}",
                why="risks lie between 0 and 1, a correlation between -1 and 1",
            )
        both = p1 * p0 + correlation * (p1 * (1 - p1) * p0 * (1 - p0)) ** 0.5
        both = min(max(both, 0.0, p1 + p0 - 1), p1, p0)
        return cls(discordant=p1 + p0 - 2 * both, difference=p1 - p0)


def subjects_for(
    condition: Condition, guess: Guess | Row, *, floor: int = FLOOR, level: float = LEVEL
) -> int:
    """The smallest number of subjects at which the expected width meets `condition`, not below `floor`.

    `guess` is a guess or a pilot's row of the target (its counts and spread are taken as they are). The very formulas
    of the reported intervals are inverted; a mean also needs as many subjects as its pilot lets it believe (see
    `Seen.believed_from`). Raises InvalidInput where the guess says nothing about the target.
    """
    z = 1.0 if condition.target.column == "halfwidth" else normal_quantile(level)
    limit = z * condition.limit
    seen = _guessed(condition, guess, level) if isinstance(guess, Guess) else _pilot(condition, guess, level)
    exact = smallest_whole(seen.half, float(seen.n[0]), limit)
    if isinstance(guess, Guess):
        return max(floor, exact)
    return max(floor, exact, int(np.ceil(seen.believed_from(limit, floor)[0])))


def planning_table(
    condition: Condition, *, floor: int = FLOOR, level: float = LEVEL
) -> tuple[str, list[tuple[str, int]]]:
    """What the number of subjects depends on, and the number for a few values of it (label, subjects)."""
    kind = _kind(condition)
    words, labels, guesses = _columns(kind, condition.target.endpoint.unit)
    if condition.target.endpoint.kind == "median":
        words += " (roughly, as if values were normal)"
    sizes = [subjects_for(condition, guess, floor=floor, level=level) for guess in guesses]
    return words, list(zip(labels, sizes, strict=True))


def _columns(kind: str, unit: str) -> tuple[str, list[str], list[Guess]]:
    def percent(shares: Sequence[float]) -> list[str]:
        return [f"{100 * share:g} %" for share in shares]

    if kind == "pairs":
        guesses = [Guess(discordant=share) for share in DISCORDANT_SHARES]
        return "subjects whose outcome differs between the arms", percent(DISCORDANT_SHARES), guesses
    if kind == "share":
        return (
            "subjects with the event",
            percent(EVENT_SHARES),
            [Guess(share=share) for share in EVENT_SHARES],
        )
    guesses = [Guess(sd=sd) for sd in DEVIATIONS]
    return f"standard deviation between subjects, {unit}", [f"{sd:g}" for sd in DEVIATIONS], guesses


def _kind(condition: Condition) -> str:
    summary = condition.target.summary
    if summary == "risk difference":
        return "pairs"
    return "share" if summary in ("proportion", "cumulative incidence") else "mean"


def _guessed(condition: Condition, guess: Guess, level: float) -> Seen:
    kind, n = _kind(condition), np.array([float(FLOOR)])
    contrast = condition.target.table == "contrasts"
    none = np.full(1, np.nan)
    if kind == "pairs" and guess.discordant is not None and abs(guess.difference) <= guess.discordant <= 1:
        more, fewer = (0.5 * (guess.discordant + sign * guess.difference) for sign in (1, -1))
        return Seen("pairs", n, n * more, n * fewer, none, contrast, level)
    if kind == "share" and guess.share is not None and 0 <= guess.share <= 1:
        return Seen("share", n, n * guess.share, none, none, contrast, level)
    if kind == "mean" and guess.sd is not None and guess.sd > 0:
        # A median is a little less precise than the mean, by this factor if its values are normal.
        widening = (np.pi / 2) ** 0.5 if condition.target.endpoint.kind == "median" else 1.0
        return Seen("mean", n, np.array([guess.sd * widening]), none, none, contrast, level)
    needs = {
        "pairs": "a share of discordant subjects",
        "share": "a share of subjects",
        "mean": "a standard deviation",
    }
    raise InvalidInput(
        f"{needs[kind]} is needed to plan", where=str(condition), mend="a pilot run, or a guess of it"
    )


def _pilot(condition: Condition, row: Row, level: float) -> Seen:
    if not row["n_units"] or row["lower"] is None or row["upper"] is None:
        raise InvalidInput(
            "the pilot has no interval to plan from", where=str(condition), mend="more subjects in it"
        )
    return Seen.of(kind_of(row), [row], condition.target.table == "contrasts", level)
