"""Why: a rule that looks at a biomarker needs a laboratory. Here is said, before anything runs, that none was asked
for, or that its results come later than a course remembers samples.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cartsim.errors import InvalidInput, Problem
from cartsim.policy.compile import reads_samples
from cartsim.policy.conditions import SAMPLED
from cartsim.terms import MARKER_ROOM
from cartsim.yaml_text import Document, KeyPath

if TYPE_CHECKING:
    from cartsim.policy.schema import Policy
    from cartsim.scenario.resolve import Arm, Scenario

NOT_TAKEN = "a rule looks at a sampled biomarker, but the scenario takes no samples"
TAKE_THEM = "outputs: {biomarkers: {every_h: 12}}"


def _path(arm: int | str, rule: str, key: str) -> KeyPath:
    return "arms", arm, "policy", "rules", rule, "when", key


def find_unsampled(document: Document, policies: Sequence["Policy"]) -> list[Problem]:
    """Conditions on samples, in a scenario that takes none; one policy an arm, in order."""
    return [
        document.problem(_path(number, rule, key), NOT_TAKEN, TAKE_THEM)
        for number, policy in enumerate(policies)
        for rule, key in reads_samples(policy)
    ]


def looks_at_samples(scenario: "Scenario", arm: "Arm", numbers: Mapping[str, Any]) -> bool:
    """Whether rules of the arm look at samples. `numbers`: the arm's registry numbers.

    Raises `InvalidInput` where no samples are taken, or a result takes longer than a course remembers samples.
    """
    asked, problems = scenario.outputs.biomarkers, []
    read = reads_samples(arm.policy)
    for rule, key in read:
        path = ".".join(map(str, _path(arm.id, rule, key)))
        if asked is None:
            problems.append(Problem(scenario.file, None, path, NOT_TAKEN, TAKE_THEM))
            continue
        delay, room = numbers["biomarkers.assay_delay_h"][SAMPLED[key][0]], MARKER_ROOM - 1
        if delay > room * asked.every_h:
            what = f"the result takes {delay:g} h, during which more than {room} samples are taken"
            mend = "a larger outputs.biomarkers.every_h, or a shorter biomarkers.assay_delay_h"
            problems.append(Problem(scenario.file, None, path, what, mend))
    if problems:
        many = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        raise InvalidInput(f"scenario is not valid ({many})", problems=problems)
    return bool(read)
