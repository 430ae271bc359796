"""Why: what a validation found must outlast the screen: every number with the target file, the split, the scenarios and
the seed it came from. The same command gives the same bytes.

    validation.parquet          one published number a row
    score.json                  the score, and what was asked
    validation.png  validation.svg
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cartsim.record import schema
from cartsim.record.validation_table import PARTS
from cartsim.store.files import encode
from cartsim.store.place import Place
from cartsim.store.provenance import Provenance, dependency_versions, engine_commit
from cartsim.validate.score import Row

if TYPE_CHECKING:
    from cartsim.calibrate.cohorts import Cohort
    from cartsim.evidence.targets import TargetSet

TABLE = "validation"
SCORE = "score.json"
SCHEMA = "cartsim/validation/1"


@dataclass(frozen=True)
class Asked:
    """What a validation was asked: tiers (None: all), parameter sets, subjects of each, seed."""

    seed: int
    draws: int
    subjects: int
    only: tuple[str, ...] | None = None


def validation_table(rows: Sequence[Row]) -> pa.Table:
    """The declared table `validation`."""
    lines = [line for row in rows for line in _lines(row)]
    return pa.Table.from_pylist(lines, schema=schema(TABLE))


def provenance_of(asked: Asked, targets: "TargetSet", cohorts: Mapping[str, "Cohort"]) -> Provenance:
    """What made a validation; in place of a scenario stand the question and the scenarios of the cohorts."""
    from importlib.metadata import version

    from cartsim.evidence.registry import load_registry

    registry = load_registry()
    text = json.dumps(question(asked, targets, cohorts), indent=1, sort_keys=True)
    return Provenance(
        scenario_id=TABLE,
        scenario_text=text,
        scenario_sha256=hashlib.sha256(text.encode()).hexdigest(),
        seed=asked.seed,
        version=version("cartsim"),
        commit=engine_commit(),
        dependencies=dependency_versions(),
        evidence_sha256=registry.hash(),
        evidence_counts=registry.counts(),
    )


def question(asked: Asked, targets: "TargetSet", cohorts: Mapping[str, "Cohort"]) -> dict[str, Any]:
    """Targets and their split, cohorts by the hash of their scenario, what the numbers rest on, parameter sets,
    subjects, seed."""
    from cartsim.evidence.registry import load_registry

    return {
        "targets": targets.source,
        "targets_sha256": targets.sha256,
        "split_sha256": targets.split_sha256,
        "cohorts": {name: cohort.scenario.hash() for name, cohort in sorted(cohorts.items())},
        "numbers": load_registry().counts(),
        "only": list(asked.only) if asked.only is not None else None,
        "draws": asked.draws,
        "subjects": asked.subjects,
        "seed": asked.seed,
    }


def publish(place: Place, table: pa.Table, said: Mapping[str, Any], provenance: Provenance) -> list[str]:
    """Write the files of a validation, replacing those of an earlier one; returns their names.

    `said` goes into score.json with what it rests on. Raises `Unreachable` where the place cannot be written.
    """
    from cartsim.report.validation_figure import figure_files

    files = {f"{TABLE}.parquet": encode(TABLE, table, provenance), **figure_files(table)}
    told = {
        "schema": SCHEMA,
        "version": provenance.version,
        "commit": provenance.commit,
        "evidence_sha256": provenance.evidence_sha256,
        "evidence_counts": dict(provenance.evidence_counts),
        **said,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    for name, data in files.items():
        place.write_bytes(name, data)
    place.write_text(SCORE, json.dumps(plain(told), indent=1, ensure_ascii=False) + "\n")
    return [*files, SCORE]


def plain(value: Any) -> Any:
    """Plain data for JSON: what is no number becomes null."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(row: Row) -> Iterator[dict[str, Any]]:
    target = row.target
    parts = PARTS[:1] if len(row.numbers) == 1 else PARTS[1:]
    for part, number in zip(parts, row.numbers, strict=True):
        line = {
            "target_id": target.id,
            "part": part,
            "cohort_id": target.cohort_id,
            "patient_set": target.patient_set,
            "tier": row.tier,
            "policy_contrast": int(row.contrast),
            "verified": int(target.verified),
            "endpoint": target.endpoint,
            "statistic": target.statistic,
            "grading_crs": target.grading_crs,
            "grading_icans": target.grading_icans,
            "unit": target.unit,
            "n": target.n,
            "denominator": target.denominator,
            "published": number.published,
            "exact_lower": number.exact[0] if number.exact else None,
            "exact_upper": number.exact[1] if number.exact else None,
            "simulated": number.value,
            "lower": number.lower,
            "upper": number.upper,
            "inside": int(number.inside),
            "row_inside": int(row.inside),
            "scored": int(row.scored),
            "score_width": number.scale,
            "known_width": number.known_width,
            "width_ratio": number.width_ratio,
            "interval_score": number.score,
            "naive_lower": number.naive[0] if number.naive else None,
            "naive_upper": number.naive[1] if number.naive else None,
            "naive_interval_score": number.naive_score,
            "naive_spread_lower": number.spread[0] if number.spread else None,
            "naive_spread_upper": number.spread[1] if number.spread else None,
            "naive_spread_interval_score": number.spread_score,
            "draws": row.draws,
            "citation": target.citation,
            "doi": target.doi,
            "line": target.line,
        }
        yield {name: plain(value) for name, value in line.items()}
