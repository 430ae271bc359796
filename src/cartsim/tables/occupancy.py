"""Why: "how many are at grade 2 or more on day 5?" is what a ward plans by. Subjects are counted by arm, syndrome, day
and the highest grade seen on that day; counts add up over blocks, shares are made of them at the end.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from cartsim.record import schema
from cartsim.record.subject_tables import SYNDROMES
from cartsim.tables.columns import Identity
from cartsim.tables.responses import spans
from cartsim.terms import Syndrome

#: Grades 0 to 4 as seen, and 5: dead by the end of the day, of whatever cause.
GRADES = 6
DEAD = GRADES - 1
COUNTS = "occupancy_counts"
_FIELDS = {Syndrome.CRS: "crs", Syndrome.ICANS: "icans", Syndrome.NE: "ne"}
_KEYS = ("design_id", "replicate", "arm_id", "syndrome", "day", "grade")


def day_grades(courses: np.ndarray, changes: np.ndarray, days: int) -> dict[Syndrome, np.ndarray]:
    """Highest grade seen on each day [d, d + 1) after infusion, int8 (n, days), from a CHANGE log.

    5 from the day of death on. CRS is graded on the scenario's scale.
    """
    states, end = spans(courses, changes)
    first = np.minimum(states["t"].astype(np.int64), days - 1)
    last = np.minimum(np.ceil(end).astype(np.int64) - 1, days - 1)
    count = np.maximum(last - first + 1, 1)
    which = np.repeat(np.arange(len(states)), count)
    day = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count) + first[which]
    dead = (courses["dead"] == 1)[:, None] & (np.arange(days) >= np.floor(courses["end"])[:, None])
    found = {}
    for syndrome, field in _FIELDS.items():
        seen = np.zeros((len(courses), days), np.int8)
        np.maximum.at(seen, (states["row"][which], day), states[field][which])
        found[syndrome] = np.where(dead, np.int8(DEAD), seen)
    return found


def occupancy_counts(who: Identity, courses: np.ndarray, changes: np.ndarray, days: int) -> pa.Table:
    """Table occupancy_counts of one arm of one piece."""
    n = len(courses)
    cells = np.empty((n, 2), np.int64)
    cells[:, 0], cells[:, 1] = who.design_id, who.replicate
    names, cell = np.unique(cells, axis=0, return_inverse=True)
    columns: dict[str, list[np.ndarray]] = {"cell": [], "day": [], "grade": [], "syndrome": [], "count": []}
    for syndrome, grades in day_grades(courses, changes, days).items():
        code = (cell.reshape(-1, 1) * days + np.arange(days)) * GRADES + grades
        counts = np.bincount(code.ravel(), minlength=len(names) * days * GRADES)
        at = np.flatnonzero(counts)
        rest, grade = np.divmod(at, GRADES)
        which, day = np.divmod(rest, days)
        for name, values in zip(
            columns, (which, day, grade, np.full(len(at), syndrome), counts[at]), strict=True
        ):
            columns[name].append(values)
    held = {name: np.concatenate(values) for name, values in columns.items()}
    words = pa.DictionaryArray.from_arrays(pa.array(held["syndrome"], pa.int32()), pa.array(SYNDROMES))
    arm = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(len(words), np.int32)), pa.array([who.arm_id], pa.string())
    )
    made = {
        "design_id": names[held["cell"], 0],
        "replicate": names[held["cell"], 1],
        "arm_id": arm,
        "syndrome": words,
        "day": held["day"],
        "grade": held["grade"],
        "count": held["count"],
    }
    return pa.table(made).cast(schema(COUNTS))


def fold_counts(tables: Sequence[pa.Table]) -> pa.Table:
    """Several of these tables as one, each key once, in the order of the keys."""
    whole = pa.concat_tables(tables).unify_dictionaries()
    plain = whole.cast(pa.schema([(f.name, _plain(f.type)) for f in whole.schema]))
    summed = plain.group_by(list(_KEYS)).aggregate([("count", "sum")])
    ordered = summed.rename_columns([*_KEYS, "count"]).sort_by([(name, "ascending") for name in _KEYS])
    return ordered.cast(schema(COUNTS))


def occupancy_table(
    tables: Sequence[pa.Table], scenario_id: str, arms: Sequence[str], crs_scale: str
) -> pa.Table:
    """Table occupancy of some design points: every grade of every day, replicates pooled."""
    folded = fold_counts(tables).to_pandas()
    sizes = folded.groupby(["design_id", "arm_id", "syndrome", "day"], observed=True)["count"].sum()
    counts = folded.groupby(["design_id", "arm_id", "syndrome", "day", "grade"], observed=True)["count"].sum()
    scales = {"CRS": crs_scale, "ICANS": "astct2019", "NE": "ctcae"}
    rows = []
    for design in sorted(folded["design_id"].unique().tolist()):
        for arm in arms:
            for syndrome in SYNDROMES:
                for day in range(int(folded["day"].max()) + 1):
                    place = design, arm, syndrome, day
                    if place not in sizes.index:
                        continue
                    n = int(sizes.loc[place])
                    rows += [
                        (scenario_id, *place[:3], scales[syndrome], day, grade, n, count, count / n)
                        for grade in range(GRADES)
                        for count in [int(counts.get((*place, grade), 0))]
                    ]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema("occupancy"))
    plain = pa.schema([(f.name, _plain(f.type)) for f in schema("occupancy")])
    arrays = [pa.array(list(c), t) for c, t in zip(columns, plain.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=plain).cast(schema("occupancy"))


def _plain(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if pa.types.is_dictionary(type_) else type_
