"""Why: what is done before infusion can be chosen (conditioning, bridging, cell dose), and how much it matters for
toxicity is hardly known. So a lever is named in the scenario, and its size stands in the evidence registry with its
weak status; what becomes of both is registry numbers of an arm, which everything else knows how to compare.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cartsim.scenario.models import Levers

Value = float | list[float]
BRIDGING_SHARE, BRIDGING_RESPONSE, BRIDGING_REDUCTION = (
    f"levers.bridging.{name}" for name in ("share", "response_share", "burden_reduction")
)
#: What published cohorts had: no shift.
USUAL = "flu_cy"


def lever_numbers(levers: "Levers | None", product: str, numbers: Mapping[str, Value]) -> dict[str, Value]:
    """Registry numbers that the levers of an arm change, from what they are without (`numbers`)."""
    changed: dict[str, Value] = {}
    if levers is None:
        return changed
    if levers.lymphodepletion not in (None, USUAL):
        for syndrome in ("crs", "icans"):
            key = f"product.{product}.{syndrome}_mu"
            shift = numbers[f"levers.lymphodepletion.{levers.lymphodepletion}.{syndrome}_shift"]
            before = numbers[key]
            assert isinstance(before, float | int) and isinstance(shift, float | int)
            changed[key] = before + shift
    if levers.bridging_share is not None:
        changed[BRIDGING_SHARE] = levers.bridging_share
    return changed


def bridging_of(numbers: Mapping[str, Value]) -> tuple[float, float]:
    """(share of subjects in whom bridging reduces the burden, by how much, standard deviations of its score)."""
    share, response, reduction = (
        numbers[key] for key in (BRIDGING_SHARE, BRIDGING_RESPONSE, BRIDGING_REDUCTION)
    )
    assert not isinstance(share, list) and not isinstance(response, list) and not isinstance(reduction, list)
    return share * response, reduction
