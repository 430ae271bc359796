"""Why: the manifest says what a folder is: whose run, whether it is whole, which files belong to it. It stands from the
beginning, as that of a partial run, and is written once more when everything else is there.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from cartsim.errors import OutputBroken, Unreachable
from cartsim.record import SCHEMA_VERSION
from cartsim.record import table as declared
from cartsim.record.catalogue import TABLES
from cartsim.store.blocks import BLOCKS, FAILURES, FOLDED, Receipt
from cartsim.store.content import content_digest
from cartsim.store.files import TableReceipt
from cartsim.store.place import Place
from cartsim.store.provenance import Provenance, source_digests

MANIFEST = "manifest.json"
PARTIAL, COMPLETE = "partial", "complete"
#: Figures that commands leave in a run's folder (.png and .svg).
FIGURES = ("cumulative_incidence", "maximum_grades", "sensitivity", "occupancy")


@dataclass(frozen=True)
class Identity:
    """What decides the rows of a run: two runs of one identity may share blocks."""

    scenario_sha256: str
    seed: int
    version: str
    evidence_sha256: str
    dependencies: Mapping[str, str]
    #: {file of the package: first 12 digits of its sha256}
    sources: Mapping[str, str]

    @classmethod
    def of(cls, provenance: Provenance, sources: Mapping[str, str] | None = None) -> "Identity":
        """Identity of a run to be made; `sources` are those of the running engine unless given."""
        shared = {f.name: getattr(provenance, f.name) for f in fields(cls) if f.name != "sources"}
        return cls(**shared, sources=source_digests() if sources is None else sources)

    @classmethod
    def stored(cls, manifest: Mapping[str, Any]) -> "Identity":
        """Identity of the run that a manifest describes; what an older manifest does not say is empty."""
        said = {f.name: manifest.get(f.name) for f in fields(cls)}
        return cls(
            str(said["scenario_sha256"] or ""), int(said["seed"] or 0), str(said["version"] or ""),
            str(said["evidence_sha256"] or ""), dict(said["dependencies"] or {}), dict(said["sources"] or {}),
        )  # fmt: skip


def identity_difference(old: Identity, new: Identity, scenario: bool = True) -> list[str]:
    """What differs, in words; empty when blocks of both belong to one run.

    The commit does not count: the files of the package do. Without `scenario` the scenario is left out, because the
    caller compares it key by key (an extension changes it on purpose).
    """
    found = []
    if scenario and old.scenario_sha256 != new.scenario_sha256:
        found.append(f"scenario {old.scenario_sha256[:8]} -> {new.scenario_sha256[:8]}")
    if old.seed != new.seed:
        found.append(f"seed {old.seed} -> {new.seed}")
    if old.version != new.version:
        found.append(f"cartsim {old.version} -> {new.version}")
    if old.evidence_sha256 != new.evidence_sha256:
        found.append(f"evidence registry {old.evidence_sha256[:8]} -> {new.evidence_sha256[:8]}")
    found += [
        f"{name} {old.dependencies.get(name, 'none')} -> {new.dependencies.get(name, 'none')}"
        for name in sorted(old.dependencies.keys() | new.dependencies.keys())
        if old.dependencies.get(name) != new.dependencies.get(name)
    ]
    changed = sorted(
        name
        for name in old.sources.keys() | new.sources.keys()
        if old.sources.get(name) != new.sources.get(name)
    )
    if changed and not old.sources:
        found.append("source files of cartsim (the older run did not record its own)")
    elif changed:
        more = f" and {len(changed) - 4} more" if len(changed) > 4 else ""
        found.append(f"source files of cartsim: {', '.join(changed[:4])}{more}")
    return found


def write_partial(place: Place, identity: Identity, notes: Mapping[str, object]) -> None:
    """The manifest of a run that begins, or that goes on after it was complete. `notes` are further keys.

    The time of its first beginning is kept. Raises `Unreachable` for a compacted run, which is final.
    """
    before = find_manifest(place)
    refuse_compacted(place, before)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "status": PARTIAL,
        "created": (before or {}).get("created") or _now(),
        **asdict(identity),
        **notes,
    }
    # a compaction that was killed before its manifest stood may have left this
    place.delete(FOLDED)
    place.write_text(MANIFEST, _text(manifest))


def start_over(place: Place) -> None:
    """Remove a run and nothing else: files that a user put beside it stay.

    A kill in between leaves a run that is partial and can be gone on with, or removed again.
    """
    manifest = None
    with suppress(OutputBroken):
        manifest = find_manifest(place)
    if manifest is not None:
        gone = ("compacted", "finished", "tables", "internal_tables", "files")
        rewrite(place, {k: v for k, v in manifest.items() if k not in gone} | {"status": PARTIAL})
        place.delete(FOLDED)
        place.delete_all(BLOCKS)
    for name in place.names():
        if name != MANIFEST and _is_ours(name):
            place.delete(name)
    place.delete(MANIFEST)
    place.delete_folders()


def _is_ours(name: str) -> bool:
    """Whether a file has a name that a run gives: a part of a table, a marker, a result, a figure."""
    folder, _, file = name.rpartition("/")
    if folder:
        return folder in (BLOCKS, FAILURES) or (
            folder in TABLES and file.startswith("part-") and file.endswith(".parquet")
        )
    stem, _, ending = name.partition(".")
    return (
        name in (FOLDED, "scenario.resolved.yaml", "design.parquet")
        or (ending == "parquet" and stem in TABLES)
        or (ending in ("png", "svg") and stem in FIGURES)
    )


def write_complete(
    place: Place,
    provenance: Provenance,
    notes: Mapping[str, object],
    receipts: Iterable[Receipt],
    extra: Iterable[TableReceipt] = (),
) -> dict[str, Any]:
    """The manifest of a whole run; returns it.

    Tables are made of the files of `receipts` in the order of the plan and of `extra` (outcomes, contrasts). Every
    other file of the folder is listed with its sha256. Part files without a marker (of a block that was killed and
    never done again) are removed first, so that who reads a folder of parts without the manifest reads the run.
    """
    ordered = sorted(receipts, key=lambda r: (r.number, r.id))
    before = find_manifest(place) or {}
    parts: dict[str, list[TableReceipt]] = {}
    for table in [table for receipt in ordered for table in receipt.tables] + list(extra):
        parts.setdefault(table.name, []).append(table)
    made = provenance.as_dict()
    manifest: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "status": COMPLETE,
        "created": before.get("created") or _now(),
        "finished": _now(),
        **{k: v for k, v in made.items() if k not in ("schema_version", "scenario_text")},
        "sources": before.get("sources") or source_digests(),
        **notes,
        **table_entries(parts),
    }
    listed = listed_files(manifest) | {receipt.path for receipt in ordered}
    names = remove_strays(place, listed)
    manifest["files"] = other_files(place, names, listed)
    place.write_text(MANIFEST, _text(manifest))
    return manifest


def table_entries(parts: Mapping[str, Iterable[TableReceipt]]) -> dict[str, Any]:
    """The keys `tables` and `internal_tables` of a manifest."""
    entries: dict[str, Any] = {"tables": [], "internal_tables": []}
    for name, files in parts.items():
        files = list(files)
        entries["internal_tables" if declared(name).internal else "tables"].append(
            {
                "name": name,
                "rows": sum(file.rows for file in files),
                "content_hash": content_digest(name, *(file.sums for file in files)),
                "files": [file.file() for file in files],
            }
        )
    return entries


def find_manifest(place: Place) -> dict[str, Any] | None:
    """The manifest whatever its status, None when there is none. `OutputBroken` when it is not one of cartsim."""
    data = place.find(MANIFEST)
    if data is None:
        return None
    try:
        manifest = json.loads(data)
        if not isinstance(manifest, dict) or "scenario_sha256" not in manifest:
            raise ValueError
    except ValueError:
        raise OutputBroken(
            "the manifest is not one of cartsim, or is damaged", place.where(MANIFEST), None,
            "another folder with --out, or --fresh to start over; nothing there was touched",
        ) from None  # fmt: skip
    return manifest


def read_manifest(where: Any, partial: bool = False) -> dict[str, Any]:
    """The manifest of a finished run, or with `partial` of one that is not. `Unreachable` when there is none."""
    place = Place.of(where)
    manifest = find_manifest(place)
    if manifest is None:
        raise Unreachable(
            "not a finished run", place.where(MANIFEST), "there is no manifest", "run the scenario again"
        )
    if not partial and manifest.get("status") != COMPLETE:
        raise Unreachable(
            "not a finished run", place.text, "its manifest says that it is partial",
            "run the scenario again with the same --out: what is done is kept",
        )  # fmt: skip
    return manifest


def refuse_compacted(place: Place, manifest: Mapping[str, Any] | None) -> None:
    """Raise `Unreachable` when the run was compacted: its blocks are gone, so nothing can be added."""
    if manifest is not None and manifest.get("compacted"):
        raise Unreachable(
            "a compacted run is final", place.text, "its blocks were folded into large files",
            "run the larger scenario into another folder with --out, or --fresh to start over",
        )  # fmt: skip


def table_entry(manifest: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """What a manifest says about a table."""
    every = [*manifest.get("tables", ()), *manifest.get("internal_tables", ())]
    return next((entry for entry in every if entry["name"] == name), None)


def listed_files(manifest: Mapping[str, Any]) -> set[str]:
    """Files that a manifest counts to its tables."""
    every = [*manifest.get("tables", ()), *manifest.get("internal_tables", ())]
    return {file["path"] for entry in every for file in entry["files"]}


def remove_strays(place: Place, listed: set[str]) -> list[str]:
    """Remove part files that are not listed and belong to no marker; returns the names that remain."""
    names = place.names()
    done = {
        name.removeprefix(f"{BLOCKS}/").removesuffix(".json") for name in names if name.startswith(BLOCKS)
    }
    kept = []
    for name in names:
        folder, _, file = name.partition("/part-")
        stray = file.endswith(".parquet") and "/" not in folder and name not in listed
        if stray and file.removesuffix(".parquet") not in done:
            place.delete(name)
        else:
            kept.append(name)
    return kept


def other_files(
    place: Place, names: Iterable[str], listed: frozenset[str] | set[str] = frozenset()
) -> list[dict[str, object]]:
    """Size and sha256 of text, figures and what else there is; markers and failures vouch for themselves."""
    aside = (f"{BLOCKS}/", f"{FAILURES}/")
    wanted = [n for n in names if n not in listed and n != MANIFEST and not n.startswith(aside)]
    found = place.find_all(wanted)
    return [
        {"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in found.items()
        if data is not None
    ]


def rewrite(place: Place, manifest: Mapping[str, Any]) -> None:
    """Put a changed manifest in the place of the old one."""
    place.write_text(MANIFEST, _text(manifest))


def _text(manifest: Mapping[str, Any]) -> str:
    return json.dumps(manifest, indent=1) + "\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
