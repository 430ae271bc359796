"""Why: a dose is given in mg and paid in vials. Quantities are counted here, apart from prices, and only then
multiplied: whoever has other prices can use the quantities.
"""

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from cartsim.analysis.more_endpoints import SYRINGES, VIALS
from cartsim.terms import Drug

if TYPE_CHECKING:
    from cartsim.scenario.value import Costs

#: Item of a price -> (column that counts it, unit), for what is not sold in packs.
_BY_AMOUNT = {
    "dexamethasone_mg": ("steroid_mg_dex_eq", "mg"),
    "ward_day": ("ward_days", "day"),
    "icu_day": ("icu_days", "day"),
    "ventilation_day": ("vent_days", "day"),
    "monitoring_day": ("monitoring_days", "day"),
    "visit": ("visits", "visit"),
}
#: A dose may exceed its packs by this share of itself: rounding of products in floating point, no drug.
_SLACK = 1e-9


def items_of(costs: "Costs") -> list[tuple[str, str, str, float | None]]:
    """(item, column, unit, price) of every resource that is counted, packs first; price null where none is given."""
    found: list[tuple[str, str, str, float | None]] = []
    for drug, prefix, unit, packs in (
        ("tocilizumab_vial", VIALS, "vial", costs.tocilizumab_vial_mg),
        ("anakinra_syringe", SYRINGES, "syringe", costs.anakinra_syringe_mg),
    ):
        found += [
            (f"{drug}_{size}mg", f"{prefix}{size}", unit, price) for size, price in (packs or {}).items()
        ]
    for item, (column, unit) in _BY_AMOUNT.items():
        found.append((item, column, unit, getattr(costs, item)))
    return found


def cheapest_packs(prices: Mapping[str, float], mg: np.ndarray) -> dict[str, np.ndarray]:
    """{size: packs (n,)} of the cheapest packs that hold each dose of `mg` (n,); of equally cheap ones the least waste.

    `prices`: size in mg (as text) -> price of one pack.
    """
    sizes = np.array([float(size) for size in prices])
    most = float(mg.max(initial=0.0))
    counts = np.array(list(product(*(range(int(np.ceil(most / size)) + 1) for size in sizes))), np.int64)
    holds = counts @ sizes
    cost = counts @ np.array(list(prices.values()), np.float64)
    order = np.lexsort((counts.sum(axis=1), cost, holds))
    counts, holds, cost = counts[order], holds[order], cost[order]
    # from the largest content down: the cheapest of all that hold at least as much, the smaller one where equal
    best = np.empty(len(holds), np.int64)
    chosen = len(holds) - 1
    for k in range(len(holds) - 1, -1, -1):
        chosen = k if cost[k] <= cost[chosen] else chosen
        best[k] = chosen
    first = np.searchsorted(holds, mg * (1 - _SLACK), side="left")
    return {size: counts[best[first], k] for k, size in enumerate(prices)}


def pack_columns(costs: "Costs", n: int, doses: np.ndarray) -> dict[str, np.ndarray]:
    """Packs of tocilizumab and anakinra of each of `n` subjects, from a DOSE log: {column: int64 (n,)}."""
    found: dict[str, np.ndarray] = {}
    for drug, prefix, prices in (
        (Drug.TOCILIZUMAB, VIALS, costs.tocilizumab_vial_mg),
        (Drug.ANAKINRA, SYRINGES, costs.anakinra_syringe_mg),
    ):
        if prices is None:
            continue
        given = doses[doses["drug"] == drug]
        for size, packs in cheapest_packs(prices, given["mg"]).items():
            found[f"{prefix}{size}"] = np.bincount(given["row"], packs, n).astype(np.int64)
    return found


def cost_of(costs: "Costs", quantities: Mapping[str, np.ndarray]) -> np.ndarray:
    """Price times quantity, summed over what has a price: float64 (n,), in the currency of `costs`."""
    parts = [price * quantities[column] for _, column, _, price in items_of(costs) if price is not None]
    return np.asarray(sum(parts), np.float64)
