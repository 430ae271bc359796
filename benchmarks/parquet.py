"""Where the time of a written run goes: cohort, kernel, tables, check, hash, Parquet, summary."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.engine import TABLES, ready, scenario
from benchmarks.measure import median, show

SUBJECTS = 65_536


def run(repeats: int = 5) -> dict[str, Any]:
    """Measure and print, one thread, one arm, microseconds of processor time a subject."""
    rounds = [_one_round() for _ in range(repeats + 1)][1:]
    cost = {part: median([r[part] for r in rounds]) for part in rounds[0]}
    total = sum(cost.values())
    rows = [[part, us, f"{us / total:.0%}"] for part, us in cost.items()]
    show(
        f"Where the time goes: {SUBJECTS:,} subjects, one arm, one thread, adsl, adae, adcm to Parquet",
        ["", "us/subject", "share"],
        [*rows, ["all", total, "100%"]],
        "Parquet's own share is compression and encoding; the content hash reads every value once more.",
    )
    return {"us_per_subject": cost, "total": total}


def _one_round() -> dict[str, float]:
    from cartsim.analysis.endpoints import standard_endpoints
    from cartsim.analysis.summary import Summary
    from cartsim.blocks import build_tables, draw_for, spans
    from cartsim.drivers.batch import run_block
    from cartsim.record import check
    from cartsim.store.content import ContentHash
    from cartsim.store.files import PartWriter

    given = scenario(SUBJECTS, tables=TABLES)
    arm = ready(given)[0]
    summary = Summary(standard_endpoints("astct2019"), [arm.id], arm.id, 30.0)
    spent: dict[str, float] = defaultdict(float)

    def timed(part: str, action: Callable[[], Any]) -> Any:
        begin = time.process_time()
        result = action()
        spent[part] += 1e6 * (time.process_time() - begin) / SUBJECTS
        return result

    with tempfile.TemporaryDirectory() as folder:
        hashes = {name: ContentHash(name) for name in TABLES}
        files = {name: PartWriter(Path(folder), name, b"{}") for name in TABLES}
        for span in spans(SUBJECTS, 1):
            cohort, drawn = timed("cohort", lambda span=span: draw_for(given, arm, span))
            masks = timed("who is eligible", lambda cohort=cohort: arm.masks(cohort))
            block = timed("kernel", lambda drawn=drawn, masks=masks: run_block(arm.clinic, drawn, *masks))
            tables = timed("tables", lambda c=cohort, d=drawn, b=block: build_tables(given, arm, 0, c, d, b))
            for name, rows in tables.items():
                timed("checks", lambda name=name, rows=rows: check(name, rows))
                timed("content hash", lambda name=name, rows=rows: hashes[name].add(rows))
                timed("Parquet", lambda name=name, rows=rows: files[name].add(rows))
            timed("summary", lambda tables=tables: summary.add({arm.id: tables["adsl"]}))
        for file in files.values():
            timed("Parquet", file.close)
    return dict(spent)
