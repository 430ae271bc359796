"""Why: the answer to `--check-pairing` is first of all yes or no; then which rules part the arms, when and for how
many, which is worth reading even where nothing leaks.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cartsim.commands.terminal import make_console, make_table, wrap

if TYPE_CHECKING:
    from rich.table import Table

    from cartsim.pairing import ArmPairing, PairingReport

#: Model numbers told for one arm.
MOST_NUMBERS = 6


def print_pairing(report: "PairingReport") -> None:
    """The report on stdout; raising for leaks is left to `PairingReport.raise_leaks`."""
    console = make_console()
    with console.capture() as captured:
        for part in _parts(report, console.width):
            if isinstance(part, str):
                console.print(part, soft_wrap=True, markup=False)
            else:
                console.print(part)
    # a table pads its lines to the right, which is of no use in a file
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)


def _parts(report: "PairingReport", width: int) -> Iterator[Any]:
    replicates = f", {report.replicates} replicates" if report.replicates > 1 else ""
    yield wrap(f"Pairing: {report.title}", width)
    yield f"{report.subjects:,} subjects{replicates}, seed {report.seed}; every arm against “{report.reference_label}”"
    for arm in report.arms:
        yield ""
        yield from _arm(arm, report, width)
    yield ""
    if report.ok:
        yield wrap("no leak: until a policy acts, the arms agree in every draw, sign and event", width)
    else:
        yield "LEAK: the arms do not share their draws; no paired difference of this run can be trusted"


def _arm(arm: "ArmPairing", report: "PairingReport", width: int) -> Iterator[Any]:
    yield f"{arm.label}: {_share(arm.identical, arm)} the same course, {_share(arm.by_policy, arm)} part by a policy"
    if arm.model_numbers:
        yield wrap(f"  differs in model numbers: {_numbers(arm)}", width, "    ")
        yield wrap(
            f"  not a contrast of policies alone: {_share(arm.by_model, arm)} part by those numbers",
            width,
            "    ",
        )
    if arm.rules:
        yield _rule_table(arm)
    if arm.stray_numbers:
        yield wrap(
            f"  LEAK: numbers differ that nothing asks for: {', '.join(arm.stray_numbers)}", width, "    "
        )
    if arm.leaking:
        more = f", the first {len(arm.leaks)}" if arm.leaking > len(arm.leaks) else ""
        yield f"  LEAK: {_share(arm.leaking, arm)} differ before any policy acts{more}:"
        for leak in arm.leaks:
            when = "before infusion" if leak.t_d is None else f"day {leak.t_d:.4g}"
            place = f"replicate {leak.replicate}, " if report.replicates > 1 else ""
            line = f"    {place}subject {leak.subject}, {when}: {leak.arm}; reference: {leak.reference}"
            yield wrap(line, width, "      ")


def _rule_table(arm: "ArmPairing") -> "Table":
    table = make_table(
        ("  Rule that parts them", "in the policy of", "Subjects", "%", "Median day"), right=(2, 3, 4)
    )
    for rule in arm.rules:
        table.add_row(
            f"  {rule.rule_id}",
            rule.arm_id,
            f"{rule.subjects:,}",
            f"{100 * rule.subjects / arm.subjects:.1f}",
            f"{rule.median_d:.2f}",
        )
    return table


def _numbers(arm: "ArmPairing") -> str:
    shown = [f"{key} {own} (reference {other})" for key, (own, other) in arm.model_numbers.items()]
    rest = len(shown) - MOST_NUMBERS
    return ", ".join(shown[:MOST_NUMBERS]) + (f" and {rest} more" if rest > 0 else "")


def _share(count: int, arm: "ArmPairing") -> str:
    return f"{count:,} ({100 * count / max(arm.subjects, 1):.1f} %)"
