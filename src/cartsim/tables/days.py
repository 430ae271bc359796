"""Why: clinicians call infusion day 0, ADaM calls it study day 1 and has no day 0. The translation is here and
nowhere else."""

import numpy as np


def study_day(days_since_infusion: np.ndarray) -> np.ndarray:
    """ADaM relative day, float64 with NaN where the time is NaN or infinite: floor(t) + 1, or floor(t) before 0."""
    t = np.asarray(days_since_infusion, "f8")
    day = np.floor(t) + (t >= 0.0)
    finite = np.isfinite(t)
    return day if finite.all() else np.where(finite, day, np.nan)


def calendar_days(start_day: np.ndarray, end_day: np.ndarray) -> np.ndarray:
    """Days touched from one study day to another, both included (admiral: end - start + 1); NaN stays NaN."""
    start, end = np.asarray(start_day, "f8"), np.asarray(end_day, "f8")
    return end - start + 1.0 - ((start < 0.0) & (end > 0.0))
