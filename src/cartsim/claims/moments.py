"""Why: "within a day of the dose" and "first needed support" are read from the log of what was seen, at moments that
differ from subject to subject. These are the readings that claims and checks of face validity share.
"""

import numpy as np

from cartsim.terms import HOURS_PER_DAY, TIME_SLACK_D, Marker


def place_at(states: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Row of `states` (by subject, then time; one at time 0 for each) that holds at `times` (n,) of each subject.

    A change at that very moment has happened. -1 where the time is not finite or negative.
    """
    n = len(times)
    known = np.isfinite(times) & (times >= 0)
    found = np.full(n, -1, np.int64)
    # a state's key rises with subject and time, so one search serves all subjects
    span = float(max(states["t"].max(initial=0.0), times[known].max(initial=0.0))) + 1.0
    keys = states["row"] * span + states["t"]
    wanted = np.arange(n)[known] * span + times[known]
    found[known] = np.searchsorted(keys, wanted, side="right") - 1
    return found


def first_time(states: np.ndarray, shown: np.ndarray, n: int, after: np.ndarray | None = None) -> np.ndarray:
    """Days (n,) at which `shown` (bool, one a state) is first seen, later than `after` (n,); infinity where never."""
    row, t = states["row"], states["t"]
    counted = shown if after is None else shown & (t > after[row])
    first = np.full(n, np.inf)
    np.minimum.at(first, row[counted], t[counted])
    return first


def highest_after(states: np.ndarray, grade: np.ndarray, n: int, after: np.ndarray) -> np.ndarray:
    """Highest `grade` (one a state) that a subject has after `after` (n,), the state then in force included."""
    highest = np.zeros(n, np.int64)
    place = place_at(states, after)
    highest[place >= 0] = grade[place[place >= 0]]
    later = states["t"] > after[states["row"]]
    np.maximum.at(highest, states["row"][later], grade[later])
    return highest


def calendar_days(episodes: np.ndarray, syndrome: int, n: int) -> np.ndarray:
    """Days (n,) with an episode of `syndrome`, first and last day included, summed over episodes; NaN where none."""
    own = episodes[episodes["syndrome"] == syndrome]
    days = np.floor(own["t_end"]) - np.floor(own["t_start"]) + 1
    total = np.bincount(own["row"], days, n)
    return np.where(np.bincount(own["row"], minlength=n) > 0, total, np.nan)


def sampled(samples: np.ndarray, marker: Marker, every_h: int, n: int, days: np.ndarray) -> np.ndarray:
    """Value (n,) of the last sample of a marker at or before `days` (n,); NaN where there is none.

    `samples`: SAMPLE, every `every_h` hours from infusion.
    """
    place = np.full(n, -1, np.int64)
    known = np.isfinite(days) & (days >= 0)
    place[known] = np.floor((days[known] + TIME_SLACK_D) * HOURS_PER_DAY / every_h)
    number = samples["hour"] // every_h
    table = np.full((n, int(number.max(initial=0)) + 2), np.nan)
    table[samples["row"], number] = samples["value"][:, marker]
    # the last column holds no sample: that is where unknown and later times point
    place[(place < 0) | (place >= table.shape[1])] = table.shape[1] - 1
    return table[np.arange(n), place]
