"""Why: the plainest picture of what matters: each input at its low and its high value, all others as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from cartsim.sensitivity.findings import Finding, TargetValues
from cartsim.sensitivity.products import Floats
from cartsim.sensitivity.resample import LEVEL

Setting = float | int | str | bool | None
METHOD = "others held"


@dataclass(frozen=True)
class Slice:
    """The points that differ from the base in one input only, ascending where that input is a number.

    `points` are positions in the design, the base itself among them where its own value of the input is known.
    """

    input: str
    settings: tuple[Setting, ...]
    points: tuple[int, ...]

    @property
    def is_numeric(self) -> bool:
        """Whether the input can be drawn as an axis (a switch cannot)."""
        return all(isinstance(s, int | float) and not isinstance(s, bool) for s in self.settings)

    @property
    def axis(self) -> Floats:
        """The settings as numbers, [point]."""
        return np.array([float(s) for s in self.settings if s is not None])


def base_settings(
    columns: Mapping[str, Sequence[Setting]], given: Mapping[str, Setting]
) -> dict[str, Setting]:
    """What "all others as they are" means: the scenario's own setting where the design has it.

    Otherwise the commonest one, and among equally common ones the middle one. `columns` are the design's, one setting
    a point; `given` the scenario's.
    """
    base: dict[str, Setting] = {}
    for path, settings in columns.items():
        if path in given and any(same(s, given[path]) for s in settings):
            base[path] = given[path]
            continue
        counts: dict[Setting, int] = {}
        for s in settings:
            counts[s] = counts.get(s, 0) + 1
        most = max(counts.values())
        common = ascending([s for s, n in counts.items() if n == most])
        base[path] = common[len(common) // 2]
    return base


def slices(columns: Mapping[str, Sequence[Setting]], base: Mapping[str, Setting]) -> list[Slice]:
    """One slice an input, in the order of the columns; an input with fewer than two settings at base has none."""
    points = range(len(next(iter(columns.values()), ())))
    moved = [{p for p, settings in columns.items() if not same(settings[i], base[p])} for i in points]
    found = []
    for path, settings in columns.items():
        chosen: dict[Setting, int] = {}
        for i in points:
            if moved[i] <= {path}:
                chosen.setdefault(settings[i], i)
        if len(chosen) > 1:
            ordered = ascending(list(chosen))
            found.append(Slice(path, tuple(ordered), tuple(chosen[s] for s in ordered)))
    return found


def base_point(columns: Mapping[str, Sequence[Setting]], base: Mapping[str, Setting]) -> int | None:
    """Position of the first point at which every input is at its base, None where there is none."""
    for i in range(len(next(iter(columns.values()), ()))):
        if all(same(settings[i], base[path]) for path, settings in columns.items()):
            return i
    return None


def same(one: Setting, other: Setting) -> bool:
    """Equal settings; a number that went through a file may have lost its last digit."""
    if isinstance(one, str | bool | None) or isinstance(other, str | bool | None):
        return type(one) is type(other) and one == other
    return bool(np.isclose(one, other, rtol=1e-9, atol=1e-12))


def ascending(settings: Sequence[Setting]) -> list[Setting]:
    """Numbers by size; anything else in the order given."""
    if all(isinstance(s, int | float) and not isinstance(s, bool) for s in settings):
        return sorted(settings, key=lambda s: float(s or 0))
    return list(settings)


def with_values(piece: Slice, target: TargetValues) -> Slice:
    """The points of a slice that have a value."""
    kept = [k for k, p in enumerate(piece.points) if np.isfinite(target.pooled[p])]
    return Slice(piece.input, tuple(piece.settings[k] for k in kept), tuple(piece.points[k] for k in kept))


def tornado_findings(
    piece: Slice, target: TargetValues, base: Setting, level: float = LEVEL
) -> list[Finding]:
    """Value at the lowest and the highest setting and their difference; at every setting where those are no numbers."""

    def at(k: int, index: str) -> Finding:
        note = "as in the scenario" if same(piece.settings[k], base) else None
        return setting_finding(target, piece.input, index, piece.points[k], show(piece.settings[k]), note)

    if not piece.is_numeric:
        return [at(k, "at") for k in range(len(piece.points))]
    ends = [piece.points[0], piece.points[-1]]
    swing = float(target.pooled[ends[1]] - target.pooled[ends[0]])
    lower = upper = None
    if target.noise is not None and np.isfinite(target.noise[ends]).all():
        half = NormalDist().inv_cdf(0.5 + level / 2) * float(np.sqrt(target.noise[ends].sum()))
        lower, upper = swing - half, swing + half
    note = "high minus low; interval as if the two points had different subjects"
    return [
        at(0, "low"),
        at(len(piece.points) - 1, "high"),
        Finding(target.name, piece.input, "swing", METHOD, swing, lower, upper, 2, None, note),
    ]


def setting_finding(
    target: TargetValues,
    input_: str,
    index: str,
    point: int,
    setting: str | None = None,
    note: str | None = None,
) -> Finding:
    """The target at one point, with its Monte Carlo interval."""
    ends = [float(v) if np.isfinite(v) else None for v in (target.lower[point], target.upper[point])]
    value = float(target.pooled[point])
    return Finding(target.name, input_, index, METHOD, value, ends[0], ends[1], 1, setting, note)


def show(setting: object) -> str:
    """A setting as tables print it."""
    return f"{setting:g}" if isinstance(setting, float) else str(setting)
