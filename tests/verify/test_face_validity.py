"""Does the model keep what any model of CRS and ICANS must show, whatever its numbers are? (docs/credibility.md)

Directions and orders are asserted, and sizes within wide bands; the narrower bands of `cartsim validate --face` are
reported there, passed or not. Each figure is printed, so that a failure says by how much.
"""

import dataclasses

import numpy as np
import pytest

from cartsim.claims.face import CHECKS, FaceRow, check_face
from cartsim.claims.face_measures import rebounds
from cartsim.claims.face_settings import make_setting
from cartsim.claims.settings import simulate

pytestmark = pytest.mark.verify

SUBJECTS = 10_000
SEED = 20261123
KEPT = [check.id for check in CHECKS if check.keep is not None]


@pytest.fixture(scope="module")
def rows() -> dict[str, FaceRow]:
    return {row.id: row for row in check_face(SUBJECTS, SEED)}


@pytest.mark.parametrize("name", KEPT)
def test_the_model_keeps(name: str, rows: dict[str, FaceRow]) -> None:
    row = rows[name]
    print(dataclasses.asdict(row))
    assert row.n > 100, "too few subjects in question to say anything"
    assert row.kept, f"{row.statement}: {row.value} not within {row.keep_low} and {row.keep_high}"


def test_directions_are_sure_beyond_monte_carlo_error(rows: dict[str, FaceRow]) -> None:
    """Whole intervals lie on the right side, not only the figures."""
    il6, crp, onset, easix = (
        rows[name] for name in ("il6_up", "crp_below_untreated", "onset_severity", "easix")
    )
    assert il6.lower is not None and il6.lower > 1
    assert crp.upper is not None and crp.upper < 1
    assert onset.upper is not None and onset.upper < 0
    assert easix.lower is not None and easix.lower > 1


def test_no_subject_rebounds_more_after_a_slower_taper() -> None:
    """Subject by subject, for CRS and for ICANS; and some do rebound, so that the comparison is about something."""
    arms = simulate(make_setting("tapers", SEED), SUBJECTS)
    for grade in ("crs", "icans"):
        rise = rebounds(arms, grade)
        assert np.all(rise["slow"] <= rise["rapid"]), grade
        assert np.all(rise["rapid"] <= rise["none"]), grade
        again = [float((rise[name] > 0).mean()) for name in ("slow", "rapid", "none")]
        print(grade, again)
        assert 0 < again[0] < again[1] < again[2]


def test_rows_repeat() -> None:
    assert check_face(500, SEED) == check_face(500, SEED)
