"""Why: what the engine knows must be open to look at without reading its files: every number with its source, every
product, every policy with what is unverified in it.
"""

import json
from typing import Any

from cartsim.commands.terminal import NARROWEST_TABLE, make_console, make_table
from cartsim.errors import InvalidInput
from cartsim.scenario.shape import nearest


def _dump(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(f"{item:g}" for item in value) + "]"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(part)}" for name, part in value.items())
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def list_evidence(pattern: str, status: str | None, as_json: bool) -> None:
    """Entries whose key contains `pattern`, and the counts by status. Raises `InvalidInput` for no such status."""
    from rich.markup import escape

    from cartsim.evidence.registry import load_registry

    registry = load_registry()
    counts = {name: number for name, number in registry.counts().items() if name != "override"}
    if status is not None and status not in counts:
        raise InvalidInput(
            f"unknown status {status!r}", where="--status", mend=nearest(status, counts) or ", ".join(counts)
        )
    chosen = {
        key: entry.model_dump(mode="json", exclude_none=True)
        for key, entry in registry.items()
        if pattern.lower() in key.lower() and (status is None or entry.status == status)
    }
    if as_json:
        _dump({"hash": registry.hash(), "counts": counts, "entries": chosen})
        return
    console = make_console()
    table = make_table(["Key", "Value", "Unit", "Status", "Meaning; source or reason"])
    # long lists and units are rare, and would leave no room for the reason
    table.columns[1].max_width = table.columns[2].max_width = 16
    for key, entry in chosen.items():
        table.add_row(
            escape(key),
            escape(_value(entry.get("value", ""))),
            entry.get("unit", ""),
            entry["status"],
            escape("; ".join(part for part in (entry.get("meaning", ""), _ground(entry)) if part)),
        )
    if chosen:
        console.print(table)
    else:
        console.print(f"no key contains {escape(repr(pattern))}")
    total = sum(counts.values())
    spread = ", ".join(f"{number} {name}" for name, number in counts.items())
    console.print(
        f"{len(chosen)} of {total} entries shown; in all: {spread}; registry {registry.hash()[:12]}"
    )


def _ground(entry: dict[str, Any]) -> str:
    """Where an entry comes from, in a few words."""
    source = entry.get("source")
    if isinstance(source, dict):
        return ", ".join(str(source[part]) for part in ("citation", "doi", "locator") if source.get(part))
    for part in ("reason", "formula", "targets"):
        if entry.get(part):
            return str(entry[part])
    return ""


def list_products(as_json: bool) -> None:
    """Products with their construct and indication."""
    from rich.markup import escape

    from cartsim.evidence.registry import load_registry

    registry = load_registry()
    products = {name: registry.product(name).model_dump(mode="json") for name in registry.products()}
    if as_json:
        _dump(products)
        return
    table = make_table(["Product", "Name", "Indication", "Target", "Costimulation", "Neurologic definition"])
    for name, facts in products.items():
        table.add_row(
            name,
            *(
                escape(str(facts.get(key, "")))
                for key in ("name", "indication", "target", "costimulation", "neuro_definition")
            ),
        )
    make_console().print(table)


def list_all_policies(as_json: bool) -> None:
    """Ready policies and prophylaxis modules, with what is unverified."""
    from rich.markup import escape

    from cartsim.policy.library import list_modules, list_policies

    headers, modules = list_policies(), list_modules()
    if as_json:
        _dump(
            {
                "policies": [vars(header) for header in headers],
                "modules": [vars(header) for header in modules],
            }
        )
        return
    console = make_console()
    for title, listed in (("Policies", headers), ("Prophylaxis modules", modules)):
        table = make_table(["Id", "Title", "Scale", "Year", "Rungs", "Unverified"], title, right=(3, 4, 5))
        for header in listed:
            table.add_row(
                header.id,
                escape(header.title),
                header.scale or "",
                header.date or "",
                str(header.rungs),
                str(len(header.unverified)) if header.unverified else "",
            )
        console.print(table)
    console.print(
        "cartsim policies ID shows one as a decision table; unverified rungs were not read in the source."
    )


def show_policy(policy_id: str, as_json: bool) -> None:
    """One policy, or a prophylaxis module on top of no treatment. Raises `InvalidInput` for an unknown id."""
    from cartsim.evidence.registry import load_registry
    from cartsim.policy.library import list_modules, load_module, load_policy
    from cartsim.policy.table import render_table

    module = load_module(policy_id) if policy_id in {one.id for one in list_modules()} else None
    given = policy_id if module is None else {"extends": "no_treatment", "add": [policy_id]}
    policy = load_policy(given, load_registry())
    if module is not None:
        # what the table says of itself is the module's, not that of the policy it stands on
        own = ("id", "title", "source", "date", "status", "approximates")
        policy = policy.model_copy(update={name: getattr(module, name) for name in own})
    if as_json:
        _dump(policy.model_dump(mode="json", by_alias=True))
        return
    if module is not None:
        print(f"prophylaxis module {policy_id}, shown on top of no_treatment\n")
    print(render_table(policy, max(NARROWEST_TABLE, make_console().width)))
