"""What a sweep costs beyond its simulation, whether its memory grows with the number of points, and a long one."""

from typing import Any

from benchmarks.measure import cores, in_child, median, show

SMALL = 100
POINTS, FEWER = 10_000, 1_000
LONG_POINTS, LONG_SUBJECTS = 1_000, 10_000
ARMS = 2
OVERHEAD_MS = 3.0
SHARE = 0.8


def run(repeats: int = 1) -> dict[str, Any]:
    """Ten thousand points of a hundred subjects: overhead, memory, files."""
    # a first child, so that none of those that count finds files that are not in memory yet
    _sweep(20, SMALL, "registry", 1)
    plans = {
        f"{FEWER:,} points, two registry numbers": (FEWER, "registry", 1),
        f"{POINTS:,} points, two registry numbers": (POINTS, "registry", 1),
        f"{POINTS:,} points, hours of a policy's rule": (POINTS, "policy", 1),
        f"{POINTS:,} points, registry, {cores()} processes": (POINTS, "registry", cores()),
    }
    result, rows = {}, []
    for name, (points, axes, workers) in plans.items():
        runs = [_sweep(points, SMALL, axes, workers) for _ in range(repeats)]
        figures = {key: median([r[key] for r in runs]) for key in runs[0]}
        figures["overhead_ms"] = 1e3 * (figures["cpu_s"] - figures["simulation_s"]) / points
        result[name] = figures
        simulation_ms = 1e3 * figures["simulation_s"] / points
        peak = figures["all_peaks_mib"]
        rows.append([name, simulation_ms, figures["overhead_ms"], figures["wall_s"], peak, figures["start_mib"],
                     round(points / figures["blocks"]), figures["files"], figures["mb"]])  # fmt: skip
    show(
        f"Sweeps: {SMALL} subjects a point in {ARMS} arms, no subject tables, milliseconds of processor time a point",
        ["", "simulation", "overhead", "wall s", "peak MiB", "at start", "points/block", "files", "MB"],
        rows,
        f"Overhead is everything but drawing and kernel: points, counts, files, summaries, start (aim: below "
        f"{OVERHEAD_MS:g} ms). Memory follows the "
        "size of a block (at most 65,536 rows), not the number of points. Peaks of several processes are added.",
    )
    return result


def run_long(repeats: int = 1) -> dict[str, Any]:
    """A thousand points of ten thousand subjects, outcomes only; several minutes."""
    runs = [_sweep(LONG_POINTS, LONG_SUBJECTS, "registry", cores()) for _ in range(repeats)]
    found = {key: median([r[key] for r in runs]) for key in runs[0]}
    subjects = LONG_POINTS * LONG_SUBJECTS * ARMS
    found["share"] = found["simulation_s"] / found["cpu_s"]
    show(
        f"A long sweep: {LONG_POINTS:,} points x {ARMS} arms x {LONG_SUBJECTS:,} subjects, outcomes only, "
        f"{cores()} processes",
        ["", ""],
        [
            ["wall s", found["wall_s"]],
            ["processor s, all processes", found["cpu_s"]],
            ["subjects and arms a second", subjects / found["wall_s"]],
            ["simulation, us/subject and arm", 1e6 * found["simulation_s"] / subjects],
            ["share of simulation", f"{found['share']:.0%}"],
            ["peak MiB, all processes added", found["all_peaks_mib"]],
            ["files", found["files"]],
            ["MB written", found["mb"]],
        ],
        f"Share: processor time in drawing and kernel over processor time of everything (aim: at least {SHARE:.0%}).",
    )
    return found


def _sweep(points: int, subjects: int, axes: str, workers: int) -> dict[str, Any]:
    return in_child("benchmarks.child", "sweep", str(points), str(subjects), axes, str(workers))
