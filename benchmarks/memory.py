"""A million subjects in two arms must fit into the memory of a small machine, and take no longer a subject."""

from typing import Any

from benchmarks.measure import cores, in_child, median, show

ARMS = 2
MEMORY_MIB = 700
GROWTH = 0.15


def run(repeats: int = 3) -> dict[str, Any]:
    """Peak memory and time at 10,000 and 100,000 subjects."""
    return _compare((10_000, 100_000), repeats)


def run_million(repeats: int = 3) -> dict[str, Any]:
    """The same at a million, against 100,000 before and after it."""
    return _compare((100_000, 1_000_000), repeats)


def _compare(sizes: tuple[int, int], repeats: int) -> dict[str, Any]:
    small, large = sizes
    rounds = [small] * (repeats - 1) + [large] + [small]
    found: dict[int, list[dict[str, Any]]] = {small: [], large: []}
    for subjects in rounds:
        found[subjects].append(in_child("benchmarks.child", str(subjects), str(cores())))
    rows, result = [], {}
    for subjects, runs in found.items():
        stream = median([1e6 * r["stream_cpu_s"] / subjects / ARMS for r in runs])
        whole = median([1e6 * r["cpu_s"] / subjects / ARMS for r in runs])
        wall, peak = median([r["wall_s"] for r in runs]), max(r["peak_mib"] for r in runs)
        result[str(subjects)] = {"us": stream, "whole_us": whole, "wall_s": wall, "peak_mib": peak}
        rows.append([f"{subjects:,}", stream, whole, wall, peak, runs[0]["start_mib"], runs[0]["mb"]])
    growth = result[str(large)]["us"] / result[str(small)]["us"] - 1.0
    show(
        f"Two arms, adsl, adae, adcm, outcomes and contrasts to Parquet, {cores()} threads",
        ["subjects", "us/subject and arm", "whole run", "wall s", "peak MiB", "at start", "MB written"],
        rows,
        f"Simulated, tabled, written and summed a subject costs {growth:+.0%} processor time (aim: within "
        f"{GROWTH:.0%}); memory aim {MEMORY_MIB} MiB. The whole run adds fixed costs: summaries, figures, manifest.",
    )
    return {"by_size": result, "growth": growth}
