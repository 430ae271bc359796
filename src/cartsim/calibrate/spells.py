"""Why: papers count days from first to last sign, and only the logs of a course say when signs came and went. These are
the readings that published figures of a cohort need; rows of a log are ordered by subject, then time.
"""

import numpy as np

from cartsim.terms import TIME_SLACK_D, Axis, BpSupport, Change, Syndrome

Days = tuple[np.ndarray, np.ndarray]


def episode_days(
    episodes: np.ndarray, syndrome: int, n: int, since: np.ndarray | None = None, first_only: bool = False
) -> Days:
    """Days (n,) of a syndrome, summed over its episodes (EPISODE rows): as lasted, a day added for each episode, and
    as inclusive calendar days, which is that on average.

    With `since` (n,) an episode counts from there on; one that ended before counts nothing. `first_only`: the first.
    """
    own = episodes[episodes["syndrome"] == syndrome]
    if first_only:
        own = own[own["seq"] == 1]
    row, start, end = own["row"], own["t_start"], own["t_end"]
    if since is not None:
        start = np.maximum(start, since[row])
        kept = start <= end
        row, start, end = row[kept], start[kept], end[kept]
    lasted = np.bincount(row, end - start + 1.0, n)
    return lasted, np.bincount(row, np.floor(end) - np.floor(start) + 1.0, n)


def inside(episodes: np.ndarray, row: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Whether each moment (`row` of a subject, `t` in days) falls into an episode of one syndrome (EPISODE rows)."""
    if not len(episodes) or not len(row):
        return np.zeros(len(row), bool)
    # a key rises with subject and time, so one search serves all subjects; moments before infusion stay in their row
    span = float(max(episodes["t_end"].max(), t.max(), 0.0)) - float(min(t.min(), 0.0)) + 1.0
    keys = episodes["row"] * span + episodes["t_start"]
    place = np.searchsorted(keys, row * span + t, side="right") - 1
    found = episodes[np.maximum(place, 0)]
    return (place >= 0) & (found["row"] == row) & (t >= found["t_start"]) & (t <= found["t_end"])


def first_fever(courses: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """Days (n,) from infusion to the first fever seen; infinity where never."""
    return _first(changes, changes["fever"] == 1, len(courses))


def support_after(courses: np.ndarray, changes: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Days (n,) to the first support of blood pressure seen at or after `after` (n,); infinity where never.

    Support that had begun before and went on counts from `after`.
    """
    n = len(courses)
    shown = changes["level"][:, Axis.BP_SUPPORT] >= BpSupport.ONE_BOLUS
    row, t = changes["row"], changes["t"]
    until = _until(courses, changes)
    counted = shown & (until > after[row])
    first = np.full(n, np.inf)
    np.minimum.at(first, row[counted], np.maximum(t[counted], after[row[counted]]))
    return first


def last_fever(courses: np.ndarray, changes: np.ndarray, look_d: float) -> np.ndarray:
    """Days (n,) from infusion to the last fever of the first CRS episode; -infinity where there is none.

    Fever was last seen one look (`look_d`) before the first assessment without it.
    """
    n, row = len(courses), changes["row"]
    over = courses["crs_ge_t"][:, 0] + courses["duration_first"][:, Syndrome.CRS]
    fever = (changes["fever"] == 1) & (changes["t"] <= over[row] + TIME_SLACK_D)
    last = np.maximum(changes["t"], _until(courses, changes) - look_d)
    found = np.full(n, -np.inf)
    np.maximum.at(found, row[fever], last[fever])
    return np.minimum(found, np.where(np.isfinite(over), over, np.inf))


def icu_stays(courses: np.ndarray, changes: np.ndarray) -> Days:
    """Stays in the ICU (n,), and their inclusive calendar days summed (n,); a stay may end with follow-up."""
    n = len(courses)
    came, left = changes[changes["kind"] == Change.ICU_IN], changes[changes["kind"] == Change.ICU_OUT]
    stays = np.bincount(came["row"], minlength=n)
    outs = np.bincount(left["row"], minlength=n)
    days = np.bincount(left["row"], np.floor(left["t"]), n) - np.bincount(came["row"], np.floor(came["t"]), n)
    return stays, days + (stays - outs) * np.floor(courses["end"]) + stays


def _first(changes: np.ndarray, shown: np.ndarray, n: int) -> np.ndarray:
    first = np.full(n, np.inf)
    np.minimum.at(first, changes["row"][shown], changes["t"][shown])
    return first


def _until(courses: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """How long each state lasted: to the subject's next row, or the end of follow-up."""
    row = changes["row"]
    until = courses["end"][row]
    same = row[1:] == row[:-1]
    until[:-1] = np.where(same, changes["t"][1:], until[:-1])
    return until
