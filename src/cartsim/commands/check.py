"""Why: `cartsim check` is what a clinician runs before signing: is the file right, what will each policy do at each
grade, and how long would the run take. It writes nothing.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartsim.errors import CartsimError, InvalidInput

if TYPE_CHECKING:
    from cartsim.policy.schema import Policy
    from cartsim.scenario.resolve import Arm


@dataclass
class Report:
    """What was found about one target: `kind` is scenario or policy."""

    target: str
    kind: str = "scenario"
    error: CartsimError | None = None
    title: str = ""
    hash: str | None = None
    findings: list[dict[str, Any]] = field(default_factory=list)
    tables: list[tuple[str, str]] = field(default_factory=list)
    plan: dict[str, Any] = field(default_factory=dict)
    behaviour: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """3 (or the error's own code) where the target must not be run."""
        if self.error is not None:
            return self.error.exit_code
        broken = any(finding["level"] == "error" for finding in self.findings)
        return InvalidInput.exit_code if broken else 0

    def as_dict(self) -> dict[str, Any]:
        """Plain data for --json."""
        problems = self.error.problems if isinstance(self.error, InvalidInput) else []
        return {
            "target": self.target,
            "kind": self.kind,
            "ok": self.exit_code == 0,
            "title": self.title,
            "hash": self.hash,
            "error": None if self.error is None else self.error.what,
            "problems": [vars(problem) for problem in problems],
            "findings": self.findings,
            "plan": self.plan,
            "behaviour": self.behaviour,
        }


def check_target(target: str, overrides: dict[str, Any]) -> Report:
    """Check one scenario file, policy file or policy id."""
    report = Report(target)
    try:
        if not _is_file(target):
            _check_policy(report, target)
        elif _looks_like_policy(Path(target)):
            _check_policy(report, Path(target))
        else:
            _check_scenario(report, Path(target), overrides)
    except CartsimError as error:
        report.error = error
    return report


def _is_file(target: str) -> bool:
    return target.endswith((".yaml", ".yml", ".json")) or "/" in target or Path(target).exists()


def _looks_like_policy(path: Path) -> bool:
    from cartsim.scenario.load import PLAIN_WORDS, read_file
    from cartsim.yaml_text import read_yaml

    document, _ = read_yaml(read_file(path), str(path), PLAIN_WORDS)
    data = document.data if isinstance(document.data, dict) else {}
    return "arms" not in data and "schema" not in data and bool({"rules", "extends", "scale"} & data.keys())


def _check_policy(report: Report, given: str | Path) -> None:
    from cartsim.evidence.registry import load_registry
    from cartsim.policy.library import load_policy

    report.kind = "policy"
    policy = load_policy(given, load_registry())
    report.title = policy.title
    _add_policy(report, policy, policy.id)


def _check_scenario(report: Report, path: Path, overrides: dict[str, Any]) -> None:
    from cartsim.scenario.behaviour import behaviour_lines
    from cartsim.scenario.load import load_scenario
    from cartsim.sweep.estimate import plan

    scenario = load_scenario(path, overrides)
    report.title, report.hash = scenario.title, scenario.hash()
    if scenario.run.seed is None:
        mend = "run: {seed: 20261122}"
        report.findings.append(
            {
                "level": "warning",
                "where": "run.seed",
                "message": "no seed; `run` will refuse it",
                "mend": mend,
            }
        )
    for note in scenario.patients.notes() if scenario.patients is not None else ():
        report.findings.append({"level": "note", "where": "population.file", "message": note, "mend": None})
    same: dict[str, list[Arm]] = {}
    for arm in scenario.arms:
        same.setdefault(arm.policy.model_dump_json(), []).append(arm)
    for arms in same.values():
        names = ", ".join(arm.id for arm in arms)
        _add_policy(report, arms[0].policy, f"arm{'s' if len(arms) > 1 else ''} {names}")
    report.plan = plan(scenario)
    report.behaviour = behaviour_lines(scenario)


def _add_policy(report: Report, policy: "Policy", heading: str) -> None:
    from cartsim.commands.terminal import NARROWEST_TABLE, make_console
    from cartsim.evidence.registry import load_registry
    from cartsim.policy.lint import lint
    from cartsim.policy.table import render_table

    for finding in lint(policy, load_registry()):
        report.findings.append(
            {
                "level": str(finding.level),
                "where": f"{heading.split(':', maxsplit=1)[0]}, rule {finding.rule}"
                if finding.rule
                else heading.split(":", maxsplit=1)[0],
                "message": finding.message,
                "mend": finding.mend,
            }
        )
    width = max(NARROWEST_TABLE, make_console().width)
    report.tables.append((heading, render_table(policy, width)))


def print_report(report: Report) -> None:
    """One report on stdout; problems of an invalid file on stderr."""
    import sys

    from cartsim.commands.plan import plan_lines

    if report.error is not None:
        print(report.error, file=sys.stderr)
        return
    state = "valid" if report.exit_code == 0 else "not usable"
    print(f"{report.target}: {state} {report.kind}: {report.title}")
    for heading, table in report.tables:
        print(f"\n{heading}\n{table.rstrip()}")
    if report.behaviour:
        print("\nbehaviour of the site")
        for line in report.behaviour:
            print(f"  {line}")
    if report.findings:
        print()
    for finding in report.findings:
        print(f"{finding['level']}: {finding['message']}\n  {finding['where']}")
        if finding["mend"]:
            print(f"    try: {finding['mend']}")
    if report.plan:
        print("\nplan")
        for line in plan_lines(report.plan):
            print(f"  {line}")
