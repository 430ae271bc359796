"""Why: whoever doubts a number wants it on paper: value, range, what kind of number it is, where it was read and how
surely. docs/evidence.md is this page, made by `cartsim evidence --markdown docs/evidence.md`; a test keeps it in step.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartsim.errors import Unreachable

if TYPE_CHECKING:
    from cartsim.claims.claim_list import Claim
    from cartsim.evidence.entries import Entry

COMMAND = "cartsim evidence --markdown docs/evidence.md"
_INTRO = f"""# Evidence

Every clinical number of the model, made by `{COMMAND}`; do not edit. One number with all that
is known of it: `cartsim evidence KEY --json`. What the numbers do together: [validation.md](validation.md).

| Status | Means |
|---|---|
| reported | read in the source that is named |
| derived | computed from reported numbers by the formula that is named |
| calibrated | fitted to the package's target set by the command that is named; `{{}}` are 95 % of its draws |
| assumed | nobody measured it, or the source could not be read: the reason and a plausible range stand in its place |

`?` after a status: read in a transcription or recalled, not in the primary source. Ranges are what a parameter set and
a sensitivity analysis draw from ([model.md](model.md), "Parameter sets"). CLINICAL and MODEL are sections of the
clinical reference and of the note on the model that the project was built from.
"""
_TITLES = {
    "anakinra": "Anakinra",
    "behaviour": "Observation and behaviour of clinicians",
    "biomarkers": "Biomarkers",
    "death": "Death",
    "disease": "Untreated course, all products",
    "grading": "Grading scales",
    "harms": "Harms of drugs",
    "levers": "Levers before infusion",
    "numerics": "Numbers of the method",
    "pharmacokinetics": "Pharmacokinetics of tocilizumab",
    "population": "Populations",
    "product": "Products",
    "seizure": "Seizures",
    "signs": "From drives to signs",
    "steroid": "Steroids",
    "tocilizumab": "Tocilizumab",
}


def evidence_page() -> str:
    """The text of docs/evidence.md: the registry as it is loaded, then the claims of the literature."""
    return "\n".join(_lines()) + "\n"


def write_evidence_page(path: Path) -> None:
    """Write the page. Raises `Unreachable` where the file cannot be written."""
    try:
        path.write_text(evidence_page(), encoding="utf-8", newline="\n")
    except OSError as error:
        raise Unreachable(f"{path} cannot be written", why=error.strerror) from None


def _lines() -> Iterator[str]:
    from cartsim.evidence.registry import load_registry

    registry = load_registry()
    counts = {status: count for status, count in registry.counts().items() if status != "override"}
    yield _INTRO
    listed = ", ".join(f"{count} {status}" for status, count in counts.items())
    yield f"{sum(counts.values())} numbers: {listed}. Registry {registry.hash()[:12]}."
    for head, keys in groupby(registry, key=lambda key: key.partition(".")[0]):
        yield ""
        yield f"## {_TITLES.get(head, head)}"
        yield ""
        yield "| Key | Value | Unit | Range | Status | Means | Where it comes from |"
        yield "|---|---|---|---|---|---|---|"
        for key in keys:
            yield _row(*cells(key, registry[key]))
    yield from _claims()


def cells(key: str, entry: "Entry") -> tuple[str, ...]:
    """An entry as the page shows it."""
    plain = entry.model_dump(mode="json", exclude_none=True)
    doubt = "?" if entry.verified is False else ""
    unit = "" if entry.unit == "1" else entry.unit
    return f"`{key}`", _value(plain), unit, _range(plain), entry.status + doubt, entry.meaning, _ground(plain)


def _claims() -> Iterator[str]:
    from cartsim.claims.claim_list import load_claims
    from cartsim.claims.claims import primary_count

    yield ""
    yield "## Claims of the literature"
    yield ""
    yield "Effect claims that circulate, and what stands behind each. What emerges from the model beside them:"
    yield "`cartsim validate --claims`."
    yield ""
    yield "| Claim | Claimed size | Status | Counted | Why | Source |"
    yield "|---|---|---|---|---|---|"
    for claim in load_claims()[0]:
        doubt = "" if claim.mark == "verified" else f" ({claim.mark})"
        size, counted = _size(claim), primary_count(claim.events, claim.n) or ""
        yield _row(claim.statement, size, claim.status + doubt, counted, claim.why, claim.source)


def _size(claim: "Claim") -> str:
    """The claimed size: shares in percent, medians in days, ratios and numbers needed as they are."""
    if claim.claimed is None:
        return "no size"
    statistic = None if claim.estimand is None else claim.estimand.statistic
    factor, unit = {"share": (100, " %"), "median": (1, " d")}.get(statistic or "", (1, ""))
    low, high = (None if end is None else f"{factor * end:.6g}" for end in claim.claimed)
    if low is None or high is None:
        return (f"at least {low}" if high is None else f"at most {high}") + unit
    return (low if low == high else f"{low} to {high}") + unit


def _row(*texts: str) -> str:
    return "| " + " | ".join(" ".join(text.replace("|", r"\|").split()) for text in texts) + " |"


def _value(plain: Mapping[str, Any]) -> str:
    if "dist" in plain:
        parts = ("mean", "sd", "median", "sdlog", "p", "low", "high")
        listed = ", ".join(f"{name} {_text(plain[name])}" for name in parts if name in plain)
        return f"{plain['dist']}: {listed}"
    if "pairs" in plain:
        return "; ".join(f"{first} with {second} {_text(rho)}" for first, second, rho in plain["pairs"])
    return _text(plain.get("value"))


def _range(plain: Mapping[str, Any]) -> str:
    found = plain.get("range")
    told = plain.get("uncertainty")
    if isinstance(found, Mapping):
        return "; ".join(f"{name} {_text(low)} to {_text(high)}" for name, (low, high) in found.items())
    if found:
        text = " to ".join(_text(end) for end in found)
        return "{" + text + "}" if plain["status"] == "calibrated" else text
    if isinstance(told, Mapping):
        if told["kind"] == "beta":
            return f"{_text(told['events'])} of {_text(told['n'])}"
        return f"{told['kind']}, sd {_text(told['sd'])}"
    return ""


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)


def _ground(plain: Mapping[str, Any]) -> str:
    source = plain.get("source") or {}
    read = ", ".join(str(source[part]) for part in ("citation", "doi", "locator") if source.get(part))
    ground = [read]
    if plain["status"] == "derived":
        ground.append(f"formula: {plain['formula']}")
        ground.append(f"from: {', '.join(plain['inputs'])}")
    elif plain["status"] == "calibrated":
        ground = [f"fitted by `{plain['command']}`", plain["targets"]]
    elif plain.get("reason"):
        ground.append(plain["reason"])
    if plain.get("choice"):
        ground.append(f"choice: {plain['choice']}")
    return "; ".join(part for part in ground if part)
