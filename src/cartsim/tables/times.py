"""Why: time-to-event rows that can be analysed with death competing, not only censored: `evtype` beside `CNSR`."""

import numpy as np
import pyarrow as pa

from cartsim.record.subject_tables import PARAMETERS
from cartsim.tables.columns import Identity, build, floats, ints, key_columns, same, words
from cartsim.terms import EventType, Syndrome

_CODES = tuple(p[0] for p in PARAMETERS)
_SOURCES = ("ADAE", "ADCM", "ADSL")
_SOURCE_OF = np.array([_SOURCES.index(p[3]) for p in PARAMETERS])
_DESCRIPTIONS = (*dict.fromkeys(p[2] for p in PARAMETERS), "END OF FOLLOW-UP", "OTHER COMPETING EVENT")
_EVENT_TEXT = np.array([_DESCRIPTIONS.index(p[2]) for p in PARAMETERS])


def adtte(who: Identity, cohort: np.ndarray, courses: np.ndarray) -> pa.Table:
    """Table adtte of one arm of one block: subject by subject, parameters in their declared order.

    RESCRS and RESICANS count from onset, among those with onset, to the end of the last episode; TTDISCH is
    among those admitted. evtype 1 event, 2 death first, 0 followed to the end without either.
    """
    event, origin, has_row = _times(courses)
    end, dead = courses["end"][:, None], courses["dead"][:, None] == 1
    happened = np.isfinite(event) & (event <= end)
    evtype = np.where(happened, EventType.EVENT, np.where(dead, EventType.DEATH, EventType.CENSORED))
    value = np.where(happened, event, end) - origin
    text = np.where(
        happened,
        _EVENT_TEXT,
        np.where(dead, _DESCRIPTIONS.index("DEATH"), _DESCRIPTIONS.index("END OF FOLLOW-UP")),
    )
    row, parameter = np.nonzero(has_row)
    evtype, n = evtype[has_row], len(row)
    return build(
        "adtte",
        key_columns(who, cohort["subject"], row)
        | {
            "PARAMCD": words(parameter, _CODES),
            "PARAM": words(parameter, tuple(p[1] for p in PARAMETERS)),
            "AVAL": floats(value[has_row]),
            "AVALU": same("DAYS", n),
            "CNSR": ints(evtype != EventType.EVENT, "i1"),
            "evtype": ints(evtype, "i1"),
            "EVNTDESC": words(text[has_row], _DESCRIPTIONS),
            "SRCDOM": words(_SOURCE_OF[parameter], _SOURCES),
        },
    )


def _times(courses: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """float64[n, parameters]: time of the event (not finite when never), origin, and bool whether it has a row."""
    crs, icans = courses["crs_ge_t"], courses["icans_ge_t"]
    event = {
        "TTCRS": crs[:, 0],
        "TTCRS3": crs[:, 2],
        "TTICANS": icans[:, 0],
        "TTICAN3": icans[:, 2],
        "TTTOCI": courses["toci_t"],
        "TTSTER": courses["steroid_start_t"],
        "RESCRS": courses["last_end_t"][:, Syndrome.CRS],
        "RESICANS": courses["last_end_t"][:, Syndrome.ICANS],
        "TTICU": courses["icu_t"],
        "TTDISCH": courses["discharge_t"],
        "OS": np.where(courses["dead"] == 1, courses["end"], np.nan),
    }
    shape = (len(courses), len(_CODES))
    origin, has_row = np.zeros(shape), np.ones(shape, bool)
    for code, onset in (("RESCRS", crs[:, 0]), ("RESICANS", icans[:, 0])):
        begun = np.isfinite(onset)
        has_row[:, _CODES.index(code)] = begun
        origin[:, _CODES.index(code)] = np.where(begun, onset, 0.0)
    has_row[:, _CODES.index("TTDISCH")] = np.isfinite(courses["admit_t"])
    return np.stack([event[code] for code in _CODES], axis=1), origin, has_row
