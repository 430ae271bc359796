"""The same tables again, from the stored adsl alone: what a reader does who trusts the data and not our run.

Rows are read in the order in which they were written and fed to the same accumulators in the same sub-blocks, so the
answer is the same to the last bit.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cartsim.analysis.endpoints import standard_endpoints, status_before_calibration
from cartsim.analysis.frame import ReplicationUnit
from cartsim.analysis.moments import SUB_BLOCK
from cartsim.analysis.summary import Summary

RESOLVED, MANIFEST = "scenario.resolved.yaml", "manifest.json"


def summarise_run(folder: str | Path, *, design_id: int = 0, **options: Any) -> Summary:
    """Return the filled Summary of one design point of a stored run.

    Reads `manifest.json`, `scenario.resolved.yaml` and `adsl/*.parquet` in `folder`. `options` go to `Summary`
    (population, confidence, evidence_status). Raises FileNotFoundError when one is missing, ValueError when the arms do
    not hold the same subjects in the same order.
    """
    folder = Path(folder)
    facts = read_facts(folder)
    endpoints = standard_endpoints(facts["grading"]["crs"])
    evidence = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["evidence_counts"]
    options.setdefault("evidence_status", status_before_calibration(endpoints, evidence))
    summary = Summary(
        endpoints,
        [arm["id"] for arm in facts["arms"]],
        facts.get("reference") or facts["arms"][0]["id"],
        float(facts["study"]["horizon_days"]),
        replication_unit=replication_unit(facts),
        scenario_id=facts["id"],
        design_id=design_id,
        **options,
    )
    for replicate, block in _blocks(folder, summary, design_id):
        summary.add(block, replicate)
    return summary


def read_facts(folder: Path) -> dict[str, Any]:
    """Return the resolved scenario of a run as plain data."""
    from ruamel.yaml import YAML

    facts: dict[str, Any] = YAML(typ="safe", pure=True).load((folder / RESOLVED).read_text(encoding="utf-8"))
    return facts


def replication_unit(facts: dict[str, Any]) -> ReplicationUnit:
    """Return what is independent in a run: subjects, or whole replicates of a ward, or scrambles of Sobol' points."""
    if facts.get("site"):
        return "replicate"
    return "scramble" if facts["run"].get("source") == "sobol" else "subject"


def _blocks(folder: Path, summary: Summary, design_id: int) -> Iterator[tuple[int, dict[str, pa.Table]]]:
    """Yield (replicate, {arm: rows}) in whole sub-blocks as soon as every arm has them, remainders at the end."""
    waiting: dict[int, dict[str, list[pa.Table]]] = defaultdict(lambda: {arm: [] for arm in summary.arms})
    for part in _parts(folder, summary, design_id):
        replicate, arm_id = int(part["replicate"][0].as_py()), str(part["arm_id"][0].as_py())
        for other in [r for r in waiting if r < replicate and _held(waiting[r]) > 0]:
            if all(_rows(tables) == _held(waiting[other]) for tables in waiting[other].values()):
                yield other, _take(waiting[other], _held(waiting[other]))
        waiting[replicate][arm_id].append(part.select(["subject", *summary.columns]))
        ready = _held(waiting[replicate]) // SUB_BLOCK * SUB_BLOCK
        if ready:
            yield replicate, _take(waiting[replicate], ready)
    for replicate in sorted(waiting):
        if any(_rows(tables) for tables in waiting[replicate].values()):
            yield replicate, _take(waiting[replicate], max(map(_rows, waiting[replicate].values())))


def _parts(folder: Path, summary: Summary, design_id: int) -> Iterator[pa.Table]:
    """Yield rows of one replicate and one arm at a time, in stored order."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    files = sorted((folder / "adsl").glob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"no adsl/*.parquet in {folder}")
    keys = ["design_id", "replicate", "arm_id", "subject"]
    for file in files:
        reader = pq.ParquetFile(file)
        for batch in reader.iter_batches(columns=[*keys, *summary.columns]):
            rows = pa.Table.from_batches([batch])
            rows = rows.filter(pc.equal(rows["design_id"], design_id))
            arm = np.asarray(rows["arm_id"].cast(pa.string()).to_pylist(), dtype=object)
            replicate = rows["replicate"].to_numpy()
            changes = (arm[1:] != arm[:-1]) | (replicate[1:] != replicate[:-1])
            edges = [0, *(np.flatnonzero(changes) + 1).tolist(), len(arm)]
            for start, stop in pairwise(edges):
                if stop > start:
                    yield rows.slice(start, stop - start)


def _rows(tables: list[pa.Table]) -> int:
    return sum(t.num_rows for t in tables)


def _held(arms: dict[str, list[pa.Table]]) -> int:
    """Rows that every arm has."""
    return min(_rows(tables) for tables in arms.values())


def _take(arms: dict[str, list[pa.Table]], n: int) -> dict[str, pa.Table]:
    block, subjects = {}, None
    for arm_id, tables in arms.items():
        joined = pa.concat_tables(tables) if tables else None
        if joined is None or joined.num_rows < n:
            raise ValueError(f"arm {arm_id!r} holds fewer subjects than another arm of the run")
        block[arm_id] = joined.slice(0, n)
        arms[arm_id] = [joined.slice(n)] if joined.num_rows > n else []
        own = block[arm_id]["subject"].to_numpy()
        if subjects is not None and not np.array_equal(own, subjects):
            raise ValueError(
                f"arm {arm_id!r} does not hold the same subjects in the same order as the others"
            )
        subjects = own
    return block
