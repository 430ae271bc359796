"""Why: the numbers that sensitivity needs, one value a replicate and point, stand in no result table; they are made
from the tallies of the run, by the same analysis that made its results, so that both agree to the last bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cartsim.analysis.endpoints import Endpoint
from cartsim.analysis.frame import ReplicationUnit
from cartsim.analysis.summary import Summary
from cartsim.analysis.tally import fold
from cartsim.analysis.targets import Target
from cartsim.errors import InvalidInput
from cartsim.sensitivity.findings import TargetValues
from cartsim.sensitivity.layout import Layout
from cartsim.sensitivity.products import Floats
from cartsim.sensitivity.resample import LEVEL
from cartsim.sensitivity.tornado import Setting
from cartsim.store.place import Place
from cartsim.store.reader import read_table

DESIGN = "design.parquet"
#: Columns of design.parquet that are not inputs.
NOT_INPUTS = ("design_id", "point_id", "role")
#: Design points whose tallies are in memory at a time.
AT_ONCE = 250
#: What is asked for when nobody says what, as far as the run reports it.
USUAL = ("crs_ge2", "crs_ge3")


@dataclass(frozen=True)
class Question:
    """What the scenario of a run says that is needed to read its tallies, and what its sweep is."""

    scenario_id: str
    method: str
    arms: tuple[str, ...]
    reference: str
    endpoints: tuple[Endpoint, ...]
    horizon_d: float
    replication_unit: ReplicationUnit
    groups: Mapping[str, tuple[str, ...]]
    base: Mapping[str, Setting]


def read_layout(place: Place, question: Question) -> Layout:
    """The design of a stored run. Raises `InvalidInput` where the run is no sweep or its only point is the scenario."""
    import pyarrow.parquet as pq

    if not place.exists(DESIGN):
        raise InvalidInput(
            "this run is not a sweep: there is nothing to compare",
            where=place.text,
            why=f"it has no {DESIGN}",
            mend="a scenario with a `sweep:` block, such as scenarios/assumptions_sensitivity.yaml",
        )
    with place.open(DESIGN) as file:
        table = pq.read_table(file)
    table = table.sort_by("design_id")
    columns = {name: tuple(table[name].to_pylist()) for name in table.column_names if name not in NOT_INPUTS}
    if table.num_rows < 2 or not columns:
        raise InvalidInput(
            "this sweep has a single point", where=place.where(DESIGN), mend="sweep over more values"
        )
    return Layout(
        question.method,
        tuple(table["design_id"].to_pylist()),
        tuple(table["role"].to_pylist()),
        columns,
        {path: value for path, value in question.base.items() if value is not None},
        question.groups,
    )


def usual_targets(question: Question) -> list[Target]:
    """What is asked when no target is named: CRS of grade 2 or more and 3 or more, else what the run has."""
    reported = {e.id: e for e in question.endpoints}
    others = [arm for arm in question.arms if arm != question.reference]
    if not others:
        ids = [id_ for id_ in USUAL if id_ in reported] or [next(iter(reported))]
        return parse_targets([f"outcome.{id_}.{question.arms[0]}" for id_ in ids], question)
    contrasted = [id_ for id_, e in reported.items() if e.contrastable]
    ids = [id_ for id_ in USUAL if id_ in contrasted] or contrasted[:1]
    names = [f"contrast.{id_}.{arm}-{question.reference}" for arm in others for id_ in ids]
    return parse_targets(names or [f"outcome.{next(iter(reported))}.{question.arms[0]}"], question)


def parse_targets(names: Sequence[str], question: Question) -> list[Target]:
    """Targets by name; raises `InvalidInput` with the nearest name, or where a column other than the value is asked."""
    found = []
    for name in names:
        target = Target.parse(name, question.arms, question.endpoints, reference=question.reference)
        if target.column != "value":
            raise InvalidInput(
                "sensitivity is about the value of a target", where=name, mend=f"--target {target.row_name}"
            )
        found.append(target)
    return found


def read_target(
    place: Place,
    target: Target,
    question: Question,
    layout: Layout,
    *,
    partial: bool = False,
    level: float = LEVEL,
) -> tuple[TargetValues, list[str]]:
    """One target at every point and in every replicate of a stored run, and what must be known of it."""
    summary = Summary(
        [target.endpoint],
        list(question.arms),
        question.reference,
        question.horizon_d,
        replication_unit=question.replication_unit,
        scenario_id=question.scenario_id,
        confidence=level,
        curves=False,
        bootstrap=False,
    )
    place_of = {design_id: k for k, design_id in enumerate(layout.ids)}
    pooled = np.full((4, len(layout)), np.nan)
    units = np.zeros(len(layout))
    by_replicate: dict[int, Floats] = {}
    top = max(layout.ids) + 1
    for low in range(0, top, AT_ONCE):
        span = (low, min(low + AT_ONCE, top))
        tallies = read_table(place, "tallies", design_id=span, partial=partial)
        if not tallies.num_rows:
            continue
        tallies = fold([_of_endpoint(tallies, target.endpoint)])
        at, rows, n = _values(summary, target, tallies, place_of)
        pooled[:, at], units[at] = rows, n
        for replicate in pc.unique(tallies["replicate"]).to_pylist():
            part = tallies.filter(pc.equal(tallies["replicate"], replicate))
            at, rows, _ = _values(summary, target, part, place_of)
            by_replicate.setdefault(replicate, np.full(len(layout), np.nan))[at] = rows[0]
    values = np.array([by_replicate[r] for r in sorted(by_replicate)]) if by_replicate else pooled[:1]
    noise = _noise(pooled[1], values)
    half = NormalDist().inv_cdf(0.5 + level / 2) * np.sqrt(noise)
    lower = np.where(np.isfinite(pooled[2]), pooled[2], pooled[0] - half)
    upper = np.where(np.isfinite(pooled[3]), pooled[3], pooled[0] + half)
    is_share = target.endpoint.kind in ("risk", "incidence")
    return (
        TargetValues(
            str(target), target.table == "contrasts", pooled[0], lower, upper, values, noise, is_share
        ),
        _uneven(target, units),
    )


def _of_endpoint(tallies: pa.Table, endpoint: Endpoint) -> pa.Table:
    """Counts of subjects and of the endpoint's own column; the others would only be carried along."""
    features = pc.unique(tallies["feature"].cast(pa.string())).to_pylist()
    kept = [feature for feature in features if feature == "" or endpoint.column in feature.split()]
    return tallies.filter(pc.is_in(tallies["feature"].cast(pa.string()), pa.array(kept, pa.string())))


def _values(
    summary: Summary, target: Target, tallies: pa.Table, place_of: Mapping[int, int]
) -> tuple[list[int], Floats, Floats]:
    """(positions, [value, mcse, lower, upper] at them, units at them) of the points that `tallies` count."""
    table = summary.outcomes(tallies) if target.table == "outcomes" else summary.contrasts(tallies)
    found = target.values(table)
    at = [place_of[int(i)] for i in found.design_id]
    return at, np.array([found.value, found.mcse, found.lower, found.upper]), found.n.astype(float)


def _noise(mcse: Floats, values: Floats) -> Floats:
    """Monte Carlo variance of the pooled value: the known one, else from the spread of the replicates."""
    noise = np.asarray(mcse**2)
    if len(values) > 1:
        noise = np.where(np.isfinite(noise), noise, values.var(axis=0, ddof=1) / len(values))
    return noise


def _uneven(target: Target, units: Floats) -> list[str]:
    held = units[units > 0]
    if target.endpoint.conditioning is not None or not len(held) or held.min() == held.max():
        return []
    fewer = int((held < held.max()).sum())
    return [
        f"{fewer} of {len(held)} points rest on fewer subjects or replicates than the others: from "
        f"{held.min():,.0f} to {held.max():,.0f}."
    ]
