"""The compiled driver: nothing is scarce, so every request is granted at its own time.

One call runs a whole block of subjects; Python is entered once per block, never once per event.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from cartsim.compiled import compiled
from cartsim.model.begin import begin
from cartsim.model.course import DONE, FLUSH, REQUESTS, advance, answer
from cartsim.model.laboratory import advance_sampled
from cartsim.model.markers import sample_markers
from cartsim.model.state import CHANGE, COURSE, DOSE, EPISODE, LOG, SAMPLE
from cartsim.model.views import as_records


@dataclass
class Block:
    """What one arm of one block leaves behind; log rows are ordered by subject."""

    courses: np.ndarray
    episodes: np.ndarray
    doses: np.ndarray
    changes: np.ndarray
    samples: np.ndarray = field(default_factory=lambda: np.zeros(0, SAMPLE))

    def sampled(self, clinic: np.ndarray, subjects: np.ndarray) -> "Block":
        """The block with its biomarkers, where they are wanted; it needs the log of doses."""
        if clinic["par"]["want_samples"][0]:
            self.samples = sample_markers(clinic, subjects, self.courses, self.doses)
        return self


@compiled
def flush(
    log: np.record, row: int, count: np.ndarray, episodes: np.ndarray, doses: np.ndarray, changes: np.ndarray
) -> None:
    """Empty a course's log into the block's; rows beyond the room are only counted (int64[3])."""
    for k in range(log.n_episodes):
        if count[0] < episodes.size:
            log.episodes[k].row = row
            episodes[count[0]] = log.episodes[k]
        count[0] += 1
    for k in range(log.n_doses):
        if count[1] < doses.size:
            log.doses[k].row = row
            doses[count[1]] = log.doses[k]
        count[1] += 1
    for k in range(log.n_changes):
        if count[2] < changes.size:
            log.changes[k].row = row
            changes[count[2]] = log.changes[k]
        count[2] += 1
    log.n_episodes = 0
    log.n_doses = 0
    log.n_changes = 0


@compiled
def _run_all(
    clinics: np.ndarray, subjects: np.ndarray, courses: np.ndarray, eligible: np.ndarray,
    prophylaxis_mask: np.ndarray, logs: np.ndarray, count: np.ndarray, episodes: np.ndarray, doses: np.ndarray,
    changes: np.ndarray,
) -> None:  # fmt: skip
    clinic = clinics[0]
    log = logs[0]
    for i in range(courses.size):
        s = subjects[i]
        c = courses[i]
        begin(clinic, s, c, log, eligible[i], prophylaxis_mask[i])
        ask = FLUSH
        while ask != DONE:
            ask = advance(clinic, s, c, log, math.inf)
            if ask & REQUESTS:
                answer(clinic, s, c, log, ask, c.t)
            elif ask == FLUSH:
                flush(log, i, count, episodes, doses, changes)
        flush(log, i, count, episodes, doses, changes)


@compiled
def _run_all_sampled(
    clinics: np.ndarray, subjects: np.ndarray, courses: np.ndarray, eligible: np.ndarray,
    prophylaxis_mask: np.ndarray, logs: np.ndarray, count: np.ndarray, episodes: np.ndarray, doses: np.ndarray,
    changes: np.ndarray,
) -> None:  # fmt: skip
    """`_run_all` where rules look at biomarkers.

    A copy and no switch: in one loop both texts of a course are compiled, and every run without such rules would wait
    for it; a function handed in as an argument is not inlined.
    """
    clinic = clinics[0]
    log = logs[0]
    for i in range(courses.size):
        s = subjects[i]
        c = courses[i]
        begin(clinic, s, c, log, eligible[i], prophylaxis_mask[i])
        ask = FLUSH
        while ask != DONE:
            ask = advance_sampled(clinic, s, c, log, math.inf)
            if ask & REQUESTS:
                answer(clinic, s, c, log, ask, c.t)
            elif ask == FLUSH:
                flush(log, i, count, episodes, doses, changes)
        flush(log, i, count, episodes, doses, changes)


# rows a subject to begin with; a block that needs more is run again with what it asked for
_ROOM = (4, 24, 40)


def run_block(
    clinic: np.ndarray, subjects: np.ndarray, eligible: np.ndarray, prophylaxis_mask: np.ndarray
) -> Block:
    """Run every subject of a block (SUBJECT[n], uint64[n], uint64[n]) through one arm (CLINIC[1])."""
    n = len(subjects)
    par = clinic["par"]
    wanted = (par["want_episodes"], par["want_doses"], par["want_changes"])
    room = [rows * n if want[0] else 0 for rows, want in zip(_ROOM, wanted, strict=True)]
    while True:
        courses = np.zeros(n, COURSE)
        kinds = (EPISODE, DOSE, CHANGE)
        logs = [np.zeros(rows, kind) for rows, kind in zip(room, kinds, strict=True)]
        count = np.zeros(3, np.int64)
        run_all = _run_all_sampled if par["want_markers"][0] else _run_all
        run_all(
            as_records(clinic), as_records(subjects), as_records(courses), eligible, prophylaxis_mask,
            as_records(np.zeros(1, LOG)), count, *(as_records(rows) for rows in logs),
        )  # fmt: skip
        if (count <= room).all():
            block = Block(courses, *(rows[:used] for rows, used in zip(logs, count, strict=True)))
            return block.sampled(clinic, subjects)
        room = [max(int(used), space) for used, space in zip(count, room, strict=True)]
