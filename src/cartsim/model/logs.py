"""Rows that a course leaves behind: doses, episodes, changes. The log is the output; tables are derived from it.

A course writes into a small record that its driver empties: when it fills, `advance` says so and loses nothing.
"""

import numpy as np

from cartsim.compiled import compiled
from cartsim.model.state import LOG_MARGIN
from cartsim.terms import Change

_SIGNS = int(Change.SIGNS)


@compiled
def is_filling(log: np.record) -> bool:
    """One more event might not find room: time to empty the log."""
    return (
        log.n_episodes + LOG_MARGIN > log.episodes.size
        or log.n_doses + LOG_MARGIN > log.doses.size
        or log.n_changes + LOG_MARGIN > log.changes.size
    )


@compiled
def log_episode(p: np.record, log: np.record, c: np.record, syndrome: int, ongoing: int, end: float) -> None:
    """One episode of a syndrome, from first to last positive assessment."""
    if not p.want_episodes:
        return
    row = log.episodes[log.n_episodes]
    log.n_episodes += 1
    row.syndrome = syndrome
    row.grade = c.ep_max[syndrome]
    row.seq = c.ep_count[syndrome]
    row.ongoing = ongoing
    row.t_start = c.ep_start[syndrome]
    row.t_max = c.ep_max_t[syndrome]
    row.t_end = end


@compiled
def log_dose(
    p: np.record, log: np.record, drug: int, syndrome: int, grade: int, rule: int, number: int,
    prophylactic: int, mg: float, ordered: float, start: float, end: float,
) -> None:  # fmt: skip
    """One administration."""
    if not p.want_doses:
        return
    row = log.doses[log.n_doses]
    log.n_doses += 1
    row.drug = drug
    row.syndrome = syndrome
    row.grade = grade
    row.rule_no = rule
    row.dose_no = number
    row.prophylactic = prophylactic
    row.mg = mg
    row.t_order = ordered
    row.t_start = start
    row.t_end = end


@compiled
def log_change(p: np.record, log: np.record, c: np.record, kind: int, t: float, rule: int, drug: int) -> None:
    """One change of what is seen, where the subject is, or what is ordered."""
    if not p.want_changes:
        return
    row = log.changes[log.n_changes]
    log.n_changes += 1
    row.kind = kind
    row.t = t
    row.setting = c.setting
    row.fever = c.fever
    for axis in range(c.level.size):
        row.level[axis] = c.level[axis]
    row.neuro = c.neuro
    row.wide = c.wide
    row.seizure = c.grade_seizure
    row.crs = c.crs
    row.icans = c.icans
    row.ne = c.ne
    row.toci_doses = c.toci_doses
    row.steroid_on = 1 if c.reg_action[0] >= 0 else 0
    row.rule_no = rule
    row.drug = drug


@compiled
def log_signs(p: np.record, log: np.record, c: np.record, t: float) -> None:
    """Signs as seen at an assessment, when they differ from the last ones."""
    log_change(p, log, c, _SIGNS, t, -1, -1)
