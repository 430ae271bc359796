"""Where the time of a written run goes: cohort, kernel, measures, tables, counts, checks, hash, Parquet."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

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
    from cartsim.analysis.tally import tally
    from cartsim.cells import Ran, build_tables, draw_for, measure, spans
    from cartsim.drivers.batch import run_block
    from cartsim.model.peaks import latent_peaks
    from cartsim.record import check
    from cartsim.store.content import content_sums
    from cartsim.store.files import encode
    from cartsim.store.provenance import Provenance
    from cartsim.sweep.question import make_summary

    given = scenario(SUBJECTS, tables=TABLES)
    arm = ready(given)[0]
    plan = make_summary(given).plan
    provenance = Provenance("bench", "", "", 1, "0", None, {}, "", {})
    spent: dict[str, float] = defaultdict(float)
    measured: list[dict[str, np.ndarray]] = []
    parts: dict[str, list[pa.Table]] = defaultdict(list)

    def timed(part: str, action: Callable[[], Any]) -> Any:
        begin = time.process_time()
        result = action()
        spent[part] += 1e6 * (time.process_time() - begin) / SUBJECTS
        return result

    for span in spans(SUBJECTS, 1):
        cohort, drawn = timed("cohort", lambda span=span: draw_for(given, arm, span))
        masks = timed("who is eligible", lambda cohort=cohort: arm.masks(cohort))
        block = timed("kernel", lambda drawn=drawn, masks=masks: run_block(arm.clinic, drawn, *masks))
        latent = timed("latent peaks", lambda d=drawn, b=block: latent_peaks(arm.clinic, d, b.courses))
        ran = Ran(arm.who(0), cohort, drawn, block, latent)
        found = timed("measures", lambda ran=ran: measure(ran, None))
        for name, rows in timed("tables", lambda r=ran, f=found: build_tables(given, r, f)).items():
            parts[name].append(rows)
        measured.append({name: found[name] for name in plan.columns})
    columns = {name: np.concatenate([one[name] for one in measured]) for name in plan.columns}
    zero = np.zeros(SUBJECTS, "i4")
    timed("counts", lambda: tally(plan, zero, zero, {arm.id: columns}, arm.id, [arm.id]))
    for name, rows in parts.items():
        whole = timed("tables", lambda rows=rows: pa.concat_tables(rows).unify_dictionaries())
        timed("checks", lambda name=name, whole=whole: check(name, whole))
        timed("content hash", lambda name=name, whole=whole: content_sums(name, whole))
        timed("Parquet", lambda name=name, whole=whole: encode(name, whole, provenance))
    return dict(spent)
