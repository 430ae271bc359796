"""Why: a subject has hundreds of laboratory values, so rows are put in their places by arithmetic, never sorted."""

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa

from cartsim.record.marker_tables import LABORATORY, VITAL_SIGNS, units
from cartsim.tables.columns import Identity, build, floats, ints, key_columns, words, yes
from cartsim.tables.days import study_day
from cartsim.terms import HOURS_PER_DAY, Marker

#: Place of a sampled parameter in the values of a SAMPLE.
_PLACE = {
    "IL6": Marker.IL6,
    "CRP": Marker.CRP,
    "FERRITIN": Marker.FERRITIN,
    "TOCICONC": Marker.TOCILIZUMAB,
    "TOCIOCC": Marker.OCCUPANCY,
    "TEMP": Marker.TEMPERATURE,
}
_BASELINE = {
    "LDH": "ldh_u_per_l",
    "PLAT": "platelets_1e9_per_l",
    "CREAT": "creatinine_mg_per_dl",
    "EASIX": "easix",
}
_MG_PER_L_IN_MG_PER_DL = 10.0

Parameters = tuple[tuple[str, str, str, str, str | None], ...]


def adlb(who: Identity, cohort: np.ndarray, samples: np.ndarray, markers: Collection[str]) -> pa.Table:
    """Table adlb of one arm of one block: COHORT[n], SAMPLE[k] by row and hour, and which markers are wanted."""
    at_baseline = {name: cohort[field] for name, field in _BASELINE.items()}
    crp = cohort["crp_mg_per_l"] / _MG_PER_L_IN_MG_PER_DL
    at_baseline["MEASIX"] = cohort["ldh_u_per_l"] * crp / cohort["platelets_1e9_per_l"]
    sampled = [p[0] for p in LABORATORY if p[4] in markers]
    return _findings("adlb", "LBSTRESU", LABORATORY, who, cohort, samples, sampled, at_baseline)


def advs(who: Identity, cohort: np.ndarray, samples: np.ndarray) -> pa.Table:
    """Table advs of one arm of one block: body temperature."""
    return _findings("advs", "VSSTRESU", VITAL_SIGNS, who, cohort, samples, ["TEMP"], {})


def _findings(
    table: str, unit: str, parameters: Parameters, who: Identity, cohort: np.ndarray, samples: np.ndarray,
    sampled: Sequence[str], at_baseline: dict[str, np.ndarray],
) -> pa.Table:  # fmt: skip
    """Rows by subject, parameter in declared order, hour."""
    n = len(cohort)
    each = np.bincount(samples["row"], minlength=n)
    first_sample = np.cumsum(each) - each
    width = each * len(sampled) + len(at_baseline)
    start = np.cumsum(width) - width
    total = int(width.sum())
    row, code, hour = np.empty(total, "i8"), np.empty(total, "i4"), np.zeros(total, "i4")
    value, base = np.empty(total), np.empty(total)
    codes = [p[0] for p in parameters]
    of = samples["row"]
    within = np.arange(len(samples)) - first_sample[of]
    for number, name in enumerate(sampled):
        place = start[of] + number * each[of] + within
        found = np.ascontiguousarray(samples["value"][:, _PLACE[name]])
        row[place], code[place], hour[place], value[place] = of, codes.index(name), samples["hour"], found
        base[place] = found[first_sample[of]]
    for number, (name, found) in enumerate(at_baseline.items()):
        place = start + len(sampled) * each + number
        row[place], code[place], value[place], base[place] = np.arange(n), codes.index(name), found, found
    named = units(parameters)
    unit_names, categories = tuple(dict.fromkeys(named)), tuple(dict.fromkeys(p[3] for p in parameters))
    unit_of = np.array([unit_names.index(one) for one in named])
    category_of = np.array([categories.index(p[3]) for p in parameters])
    return build(
        table,
        key_columns(who, cohort["subject"], row)
        | {
            "PARAMCD": words(code, tuple(codes)),
            "ATPTN": ints(hour, "i4"),
            "PARAM": words(code, tuple(p[1] for p in parameters)),
            "PARCAT1": words(category_of[code], categories),
            "AVAL": floats(value),
            "BASE": floats(base),
            "CHG": floats(value - base),
            "ABLFL": yes(hour == 0),
            "ADY": ints(study_day(hour / HOURS_PER_DAY), "i2"),
            unit: words(unit_of[code], unit_names),
        },
    )
