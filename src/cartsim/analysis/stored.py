"""The same tables again, from the stored adsl alone: what a reader does who trusts the data and not our run.

The run counted subjects as it simulated them; here they are counted again from the rows it wrote. Counts have one
form whatever the blocks, so the answer is the same to the last bit.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cartsim.analysis.endpoints import select_endpoints, standard_endpoints, words_of_evidence
from cartsim.analysis.fold import word_codes
from cartsim.analysis.frame import ReplicationUnit
from cartsim.analysis.harm_endpoints import harm_endpoints
from cartsim.analysis.intervals import UniformBlock
from cartsim.analysis.summary import Summary
from cartsim.analysis.tally import fold, tally
from cartsim.evidence.registry import load_registry

RESOLVED, MANIFEST = "scenario.resolved.yaml", "manifest.json"


@dataclass(frozen=True)
class StoredResults:
    """A question and the counts that answer it, taken from stored rows."""

    summary: Summary
    tallies: pa.Table
    design_id: int

    def outcomes(self) -> pa.Table:
        """See `Summary.outcomes`."""
        return self.summary.outcomes(self.tallies, [self.design_id])

    def contrasts(self, uniform_block: UniformBlock | None = None) -> pa.Table:
        """See `Summary.contrasts`."""
        return self.summary.contrasts(self.tallies, uniform_block, [self.design_id])

    def incidence_curves(self) -> pa.Table:
        """See `Summary.incidence_curves`."""
        return self.summary.incidence_curves(self.tallies, self.design_id)


def summarise_run(folder: str | Path, design_id: int = 0, **options: Any) -> StoredResults:
    """Count the stored subjects of one design point of a run again: standard endpoints, all infused subjects.

    Reads `manifest.json`, `scenario.resolved.yaml` and `adsl/*.parquet` in `folder`. `options` go to `Summary`
    (population, confidence, evidence_status, curves, bootstrap). Raises FileNotFoundError when one is missing,
    ValueError when the arms do not hold the same subjects in the same order.
    """
    folder = Path(folder)
    facts = read_facts(folder)
    chosen, crs_scale = (facts.get("outputs") or {}).get("endpoints"), facts["grading"]["crs"]
    # further endpoints are read from logs as blocks are simulated: adsl does not hold them
    harms = harm_endpoints((facts.get("harms") or {}).get("drugs", ()))
    standard = {endpoint.id for endpoint in (*standard_endpoints(crs_scale), *harms)}
    chosen = [id_ for id_ in chosen if id_ in standard] if chosen else chosen
    if chosen is None:
        endpoints = (*standard_endpoints(crs_scale), *harms)
    else:
        endpoints = select_endpoints(chosen, crs_scale, harms)
    evidence = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["evidence_counts"]
    product = facts.get("product") or {}
    thin = load_registry().is_thin(product.get("base", ""))
    options.setdefault(
        "evidence_status", words_of_evidence(endpoints, evidence, bool(product.get("overrides")), thin)
    )
    for name in ("curves", "bootstrap"):
        options.setdefault(name, not facts.get("sweep"))
    summary = Summary(
        endpoints,
        [arm["id"] for arm in facts["arms"]],
        facts.get("reference") or facts["arms"][0]["id"],
        float(facts["study"]["horizon_days"]),
        replication_unit=replication_unit(facts),
        scenario_id=facts["id"],
        **options,
    )
    return StoredResults(summary, fold(_tallies(folder, summary, design_id)), design_id)


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


def _tallies(folder: Path, summary: Summary, design_id: int) -> Iterator[pa.Table]:
    """Count rows as soon as every arm has them; parts of different arms may be the same file or not."""
    waiting: dict[int, dict[str, list[pa.Table]]] = defaultdict(lambda: {arm: [] for arm in summary.arms})
    for replicate, arm_id, rows in _pieces(folder, summary, design_id):
        arms = waiting[replicate]
        arms[arm_id].append(rows)
        ready = min(map(_length, arms.values()))
        if ready:
            block = _take(arms, ready)
            labels = np.full(ready, design_id, np.int32), np.full(ready, replicate, np.int32)
            yield tally(summary.plan, *labels, block, summary.reference, summary.arms)
    for arms in waiting.values():
        for arm_id, held in arms.items():
            if not _length(held) and any(map(_length, arms.values())):
                raise ValueError(f"arm {arm_id!r} holds fewer subjects than another arm of the run")


def _pieces(folder: Path, summary: Summary, design_id: int) -> Iterator[tuple[int, str, pa.Table]]:
    """Yield (replicate, arm, rows) in stored order, parts in the order of the plan, which is that of their names."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    files = sorted((folder / "adsl").glob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"no adsl/*.parquet in {folder}")
    keys = ["design_id", "replicate", "arm_id", "subject"]
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(columns=[*keys, *summary.columns]):
            rows = pa.Table.from_batches([batch])
            rows = rows.filter(pc.equal(rows["design_id"], design_id))
            if not rows.num_rows:
                continue
            arm, names = word_codes(rows["arm_id"])
            replicate = rows["replicate"].to_numpy()
            changes = np.flatnonzero((arm[1:] != arm[:-1]) | (replicate[1:] != replicate[:-1])) + 1
            for start, stop in pairwise([0, *changes.tolist(), len(arm)]):
                if names[arm[start]] in summary.arms:
                    wanted = rows.select(["subject", *summary.columns]).slice(start, stop - start)
                    yield int(replicate[start]), names[arm[start]], wanted


def _length(tables: list[pa.Table]) -> int:
    return sum(table.num_rows for table in tables)


def _take(arms: dict[str, list[pa.Table]], n: int) -> dict[str, pa.Table]:
    """Take the first `n` rows of every arm and see that they are the same subjects."""
    block: dict[str, pa.Table] = {}
    subjects = None
    for arm_id, tables in arms.items():
        joined = pa.concat_tables(tables)
        block[arm_id] = joined.slice(0, n)
        arms[arm_id] = [joined.slice(n)] if joined.num_rows > n else []
        own = block[arm_id]["subject"].to_numpy()
        if subjects is not None and not np.array_equal(own, subjects):
            raise ValueError(
                f"arm {arm_id!r} does not hold the same subjects in the same order as the others"
            )
        subjects = own
    return block
