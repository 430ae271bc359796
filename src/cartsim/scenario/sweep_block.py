"""Why: a sweep is a question about many scenarios at once, and it must be readable in the file that asks it: which
keys move, over what, and by which plan. Here is what the block may say; `sweep_checks.py` holds it against the rest
of the file, and `cartsim.sweep` makes the points.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from cartsim.scenario.strict import Strict

Method = Literal["grid", "list", "zip", "one_at_a_time", "lhs", "sobol", "saltelli", "morris"]
#: Designs on the unit cube: an axis there is a range, `evidence`, or values that are equally likely.
SAMPLED: frozenset[str] = frozenset({"lhs", "sobol", "saltelli", "morris"})
#: Designs of a sensitivity analysis, which may judge several axes together.
SENSITIVITY: frozenset[str] = frozenset({"saltelli", "morris"})
EVIDENCE = "evidence"
Bare = str | int | float | bool | None


class Axis(Strict):
    """One key that moves: over `values`, over a range `low` to `high`, or over what the evidence leaves open."""

    values: list[Any] | None = Field(None, min_length=1, description="The values, in order.")
    low: float | None = Field(None, description="Lower end of a range.")
    high: float | None = Field(None, description="Upper end of a range.")
    scale: Literal["linear", "log", "whole"] = Field(
        "linear", description="How a range is walked: evenly, evenly on the log scale, or by whole numbers."
    )
    steps: int | None = Field(
        None, ge=2, le=100_000, description="How many values of a range a grid takes, both ends included."
    )
    evidence: Literal[True] | None = Field(
        None, description="The distribution that the evidence registry has for this number."
    )
    label: str | None = Field(None, description="What figures and tables call this axis.")

    def at(self, u: float) -> Any:
        """The value at `u` (0 to 1): along the range, or one of the values, which are equally likely."""
        if self.values is not None:
            return self.values[min(int(u * len(self.values)), len(self.values) - 1)]
        assert self.low is not None and self.high is not None
        if self.scale == "whole":
            low, high = int(self.low), int(self.high)
            return min(low + int(u * (high - low + 1)), high)
        if self.scale == "log":
            value = self.low * (self.high / self.low) ** u
        else:
            value = self.low + u * (self.high - self.low)
        return min(max(value, self.low), self.high)

    def in_order(self) -> list[Any]:
        """The values one by one: as written, or `steps` along the range (2 where it is not said).

        A range of whole numbers gives every one of them, or the nearest to `steps` even ones.
        """
        if self.values is not None:
            return self.values
        assert self.low is not None and self.high is not None
        if self.scale == "whole" and self.steps is None:
            return list(range(int(self.low), int(self.high) + 1))
        shares = [step / ((self.steps or 2) - 1) for step in range(self.steps or 2)]
        if self.scale == "whole":
            return list(dict.fromkeys(round(self.low + u * (self.high - self.low)) for u in shares))
        return [self.at(u) for u in shares]


def _spelled_out(given: Any) -> Any:
    """A bare list is `values`, the bare word `evidence` is `evidence: true`, any other bare value the only one."""
    if isinstance(given, list):
        return {"values": given}
    if isinstance(given, str) and given == EVIDENCE:
        return {"evidence": True}
    if given is None or isinstance(given, str | int | float | bool):
        return {"values": [given]}
    return given


AxisGiven = Annotated[Axis, BeforeValidator(_spelled_out, json_schema_input_type=Axis | list[Any] | Bare)]


class SweepBlock(Strict):
    """Scenarios along named axes; every one of them is a design point."""

    method: Method = Field(description="How points are made from the axes.")
    axes: dict[str, AxisGiven] = Field(
        default_factory=dict, description="Dotted path of a key, as --set takes it -> its values."
    )
    groups: dict[str, list[str]] = Field(
        default_factory=dict, description="saltelli, morris: paths that are judged together, by a name."
    )
    rows: list[dict[str, Any]] | None = Field(
        None, min_length=1, description="list: one map of path to value per point."
    )
    file: str | None = Field(
        None,
        description="list: a .csv or .parquet file beside the scenario, one column a path, one row a point.",
    )
    points: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="lhs, sobol: points. saltelli: rows of A (times inputs + 2 in all). "
        "morris: trajectories (times inputs + 1 in all).",
    )
    seed: int | None = Field(
        None, ge=0, le=2**63 - 1, description="Of the design; default: made from run.seed."
    )
    limit: int = Field(10_000, ge=1, description="More points than this are run only when asked for twice.")

    def paths(self) -> list[str]:
        """Every path that moves."""
        return list(dict.fromkeys([*self.axes, *(path for row in self.rows or [] for path in row)]))
