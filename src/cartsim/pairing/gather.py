"""Why: a check of a million subjects is told in a page and kept in a table. This gathers first differences block by
block, with words numbered once, and makes both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from cartsim.arms import ReadyArm
from cartsim.pairing.compare import Kind, Parting, Side
from cartsim.pairing.contrast import PolicyContrast
from cartsim.pairing.report import ArmPairing, Leak, RuleCount
from cartsim.pairing.words import describe, rule_word
from cartsim.record import check, schema
from cartsim.record.pairing_table import KINDS
from cartsim.tables.columns import floats, ints, same, words

#: Leaks told in full for each arm.
SHOWN = 10


@dataclass(frozen=True)
class Pair:
    """An arm and the reference, and what is known of the two before any subject is run."""

    arm: ReadyArm
    reference: ReadyArm
    contrast: PolicyContrast
    numbers: Mapping[str, tuple[Any, Any]]
    stray: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """First differences of a block in words: kind and t as in `Parting`; here, there: places in `texts`; rule: places
    in `rules`, (rule id, arm whose policy holds it); -1 for none.
    """

    kind: np.ndarray
    t: np.ndarray
    here: np.ndarray
    there: np.ndarray
    rule: np.ndarray
    texts: list[str]
    rules: list[tuple[str, str]]


def tell(parting: Parting, pair: Pair, sides: tuple[Side, Side]) -> Told:
    """Put one block's first differences into words."""
    holders = (pair.arm, pair.reference)
    texts, here, there = describe(parting, holders, sides)
    rules: list[tuple[str, str]] = []
    places = np.full(len(parting.kind), -1, "i8")
    ruled = np.flatnonzero(parting.kind == Kind.POLICY)
    blamed = np.stack([parting.of[ruled], parting.rule[ruled]], axis=1)
    for of, rule in np.unique(blamed, axis=0).tolist():
        places[ruled[(blamed == (of, rule)).all(axis=1)]] = len(rules)
        rules.append((rule_word(holders[of], rule), holders[of].id))
    return Told(parting.kind, parting.t, here, there, places, texts, rules)


@dataclass
class Gathered:
    """First differences of one arm over all blocks, in the order in which they were added."""

    pair: Pair
    texts: dict[str, int] = field(default_factory=dict)
    rules: dict[tuple[str, str], int] = field(default_factory=dict)
    blocks: list[dict[str, np.ndarray]] = field(default_factory=list)

    def add(self, told: Told, replicate: int, first: int) -> None:
        """One more block, subjects from `first` on; its words are numbered as in the blocks before."""
        texts, rules = _renumber(told.texts, self.texts), _renumber(told.rules, self.rules)
        n = len(told.kind)
        self.blocks.append(
            {
                "kind": told.kind,
                "t": told.t,
                "here": texts[told.here],
                "there": texts[told.there],
                "rule": rules[told.rule],
                "replicate": np.full(n, replicate, "i4"),
                "subject": np.arange(first, first + n),
            }
        )

    def column(self, name: str) -> np.ndarray:
        """One column over all blocks."""
        return np.concatenate([block[name] for block in self.blocks] or [np.zeros(0, "i4")])

    def summary(self) -> ArmPairing:
        """Counts, rules by how many subjects they part, and the first leaks."""
        kind, t, rule = (self.column(name) for name in ("kind", "t", "rule"))
        counts = [
            RuleCount(rule_id, holder, int((rule == number).sum()), float(np.median(t[rule == number])))
            for number, (rule_id, holder) in enumerate(self.rules)
        ]
        return ArmPairing(
            arm_id=self.pair.arm.id,
            label=self.pair.arm.identity.arm_label,
            subjects=len(kind),
            identical=int((kind == Kind.NONE).sum()),
            by_policy=int((kind == Kind.POLICY).sum()),
            by_model=int((kind == Kind.MODEL).sum()),
            leaking=int((kind == Kind.LEAK).sum()),
            rules=tuple(sorted(counts, key=lambda one: (-one.subjects, one.median_d, one.rule_id))),
            model_numbers=dict(self.pair.numbers),
            stray_numbers=self.pair.stray,
            leaks=tuple(self._leaks(kind, t)),
        )

    def _leaks(self, kind: np.ndarray, t: np.ndarray) -> list[Leak]:
        texts = list(self.texts)
        here, there, replicate, subject = (
            self.column(name) for name in ("here", "there", "replicate", "subject")
        )
        return [
            Leak(
                replicate=int(replicate[i]),
                subject=int(subject[i]),
                t_d=None if np.isnan(t[i]) else float(t[i]),
                arm=texts[here[i]],
                reference=texts[there[i]],
            )
            for i in np.flatnonzero(kind == Kind.LEAK)[:SHOWN].tolist()
        ]

    def table(self) -> pa.Table:
        """Rows of the table `pairing`, by replicate and subject."""
        arm, kind, rule = self.pair.arm, self.column("kind"), self.column("rule")
        n, texts = len(kind), tuple(self.texts)
        ids, holders = (tuple(dict.fromkeys(pair[part] for pair in self.rules)) for part in (0, 1))
        id_of = np.array([ids.index(rule_id) for rule_id, _ in self.rules] + [-1], "i4")
        holder_of = np.array([holders.index(holder) for _, holder in self.rules] + [-1], "i4")
        columns = {
            "scenario_id": same(arm.identity.scenario_id, n),
            "design_id": ints(np.full(n, arm.identity.design_id), "i4"),
            "replicate": ints(self.column("replicate"), "i4"),
            "arm_id": same(arm.id, n),
            "subject": ints(self.column("subject"), "i8"),
            "reference_arm": same(self.pair.reference.id, n),
            "kind": words(kind, KINDS),
            "t_d": floats(self.column("t")),
            "rule_id": words(id_of[rule], ids),
            "rule_arm": words(holder_of[rule], holders),
            "arm_event": words(self.column("here"), texts),
            "reference_event": words(self.column("there"), texts),
        }
        declared = schema("pairing")
        return pa.Table.from_arrays([columns[name] for name in declared.names], schema=declared)


def _renumber(new: list[Any], known: dict[Any, int]) -> np.ndarray:
    """Places of the block's words among all; the last entry keeps -1 where -1 is."""
    return np.array([known.setdefault(word, len(known)) for word in new] + [-1], "i4")


def join_tables(gathered: list[Gathered]) -> pa.Table:
    """The table `pairing`, arm by arm. Raises `OutputBroken` should it break its declaration."""
    table = pa.concat_tables([one.table() for one in gathered]).unify_dictionaries()
    check("pairing", table)
    return table
