"""Tables that look like those of a run, and small runs made of them, for the tests of the store."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from cartsim import record, store

ARMS = ("standard", "early")
MADE = store.Provenance(
    "timing", "id: timing\n", "a" * 64, 7, "0.1.0", None, {"numpy": "2"}, "b" * 64, {"assumed": 2}
)
SOURCES = {"model/course.py": "0123456789ab"}
IDENTITY = store.Identity.of(MADE, SOURCES)


def fake(name: str, arm: str, first: int, n: int, design_id: int = 0) -> pa.Table:
    """Two rows per subject (one in adsl) of values that depend on arm, column, design and subject only."""
    spec = record.table(name)
    each = 1 if name == "adsl" else 2
    subject = np.repeat(np.arange(first, first + n), each)
    arrays = []
    for j, c in enumerate(spec.columns):
        seed = subject * 31 + np.tile(np.arange(each), n) * 17 + j + 1000 * ARMS.index(arm) + 77 * design_id
        missing = (seed % 5 == 0) if c.nullable and not c.key else np.zeros(len(seed), bool)
        if c.name in ("scenario_id", "arm_id", "USUBJID"):
            text = {"scenario_id": "timing", "arm_id": arm}.get(c.name)
            values = [text or f"timing-{arm}-{s:07d}" for s in subject]
        elif c.name == "subject":
            values = subject
        elif c.name in ("design_id", "replicate"):
            values = np.full(len(seed), design_id if c.name == "design_id" else 0)
        elif c.name.endswith("SEQ"):
            values = np.tile(np.arange(1, each + 1), n)
        elif c.name.startswith("t_") or c.name in ("ASTDY", "AENDY"):
            values = np.full(len(seed), 3) if c.name != "t_end_d" else seed % 7 + 4
        elif pa.types.is_dictionary(c.type) or pa.types.is_string(c.type):
            options = c.values or ("x", "y", "z")
            values = [options[s % len(options)] for s in seed]
        elif pa.types.is_floating(c.type):
            values = np.sin(seed)
        else:
            values = seed % ((c.top or 9) + 1)
        plain = c.type.value_type if pa.types.is_dictionary(c.type) else c.type
        arrays.append(pa.array(values, plain, mask=missing).cast(c.type))
    return pa.Table.from_arrays(arrays, schema=spec.schema)


def tallies(first: int, n: int, design_id: int = 0) -> pa.Table:
    """Counts of two features in each arm."""
    rows = [
        {"design_id": design_id, "replicate": 0, "arm_id": arm, "kind": "value", "feature": f"f{k}",
         "key": float(first + k), "key2": None if k else 1.5, "count": n}
        for arm in ARMS for k in range(2)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=record.schema("tallies"))


def outcomes(design_id: int, arms: tuple[str, ...] = ARMS) -> pa.Table:
    """A result row an arm."""
    base = {"scenario_id": "timing", "design_id": design_id, "estimand_id": "e", "population": "all",
            "variable": "v", "endpoint": "crs_ge3", "horizon_d": 30.0, "summary": "proportion",
            "ice_rescue": "treatment policy", "ice_death": "composite", "replication_unit": "subject",
            "n_units": 10, "value": 0.25, "evidence_status": "assumed"}  # fmt: skip
    schema = record.schema("outcomes")
    names = schema.names
    rows = [{name: (base | {"arm_id": arm}).get(name) for name in names} for arm in arms]
    return pa.Table.from_pylist(rows, schema=schema)


def block_tables(
    first: int, n: int, tables: tuple[str, ...] = ("adsl", "adcm"), design_id: int = 0
) -> dict[str, pa.Table]:
    """What a block of `n` subjects from `first` on writes."""
    rows = {name: pa.concat_tables([fake(name, arm, first, n, design_id) for arm in ARMS]) for name in tables}
    return rows | {"tallies": tallies(first, n, design_id)}


def write_some(
    place: store.Place,
    size: int,
    total: int = 96,
    numbers: range | None = None,
    tables: tuple[str, ...] = ("adsl", "adcm"),
) -> list[store.Receipt]:
    """Blocks of `size` subjects, all of them or those of these numbers."""
    receipts = []
    for number, first in enumerate(range(0, total, size)):
        if numbers is None or number in numbers:
            n = min(size, total - first)
            made = block_tables(first, n, tables)
            receipts.append(
                store.write_block(place, number, f"{number + 1:012x}", made, MADE, [[0, 0, first, n]])
            )
    return receipts


def write_run(
    out: Path | store.Place, size: int, total: int = 96, tables: tuple[str, ...] = ("adsl", "adcm")
) -> store.Place:
    """A whole run in blocks of `size` subjects."""
    place = store.Place.of(out)
    with store.hold(place):
        store.write_partial(place, IDENTITY, {"plan": {"size": size}})
        place.write_text("scenario.resolved.yaml", "id: timing\n")
        receipts = write_some(place, size, total, tables=tables)
        with store.ResultWriter(place, "outcomes", MADE) as writer:
            writer.append(outcomes(0))
        store.write_complete(place, MADE, {"plan": {"size": size}}, receipts, [writer.close()])
    return place
