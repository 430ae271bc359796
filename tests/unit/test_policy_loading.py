"""What a policy may say, what is refused and with which words, and how one policy is made from another."""

from pathlib import Path
from typing import Any

import pytest

from cartsim.errors import InvalidInput, Problem
from cartsim.evidence.registry import load_registry
from cartsim.policy.library import load_policy, policy_text
from cartsim.policy.schema import Policy

REGISTRY = load_registry()
TOCI = {"drug": "tocilizumab", "repeat_h": 8, "while": "not_improved", "max_doses": 3}
DEX = {"drug": "dexamethasone", "mg": 10, "every_h": 6, "until": {"crs": "<=1"}}


def policy(**rules: Any) -> dict[str, Any]:
    return {"id": "mine", "scale": "astct2019", "rules": rules}


def rule(when: Any = None, **order: Any) -> dict[str, Any]:
    return {"when": when if when is not None else {"crs": 2}, **(order or {"give": TOCI})}


def problems(given: Any) -> list[Problem]:
    with pytest.raises(InvalidInput) as caught:
        load_policy(given, REGISTRY)
    assert caught.value.exit_code == 3
    return caught.value.problems


FAULTS: list[tuple[str, dict[str, Any], str, str, str | None]] = [
    # name, policy, key path, words of the message, the advice
    ("grade 9", policy(r=rule({"crs": 9})), "rules.r.when.crs", "CRS grades of astct2019 run 1-5", None),
    ("grade bound 9", policy(r=rule({"crs": ">=9"})), "rules.r.when.crs", "run 1-5", None),
    (
        "grade as text",
        policy(r=rule({"crs": "two"})),
        "rules.r.when.crs",
        "whole number",
        '2, ">=2" or [1, 2]',
    ),
    ("grade true", policy(r=rule({"crs": True})), "rules.r.when.crs", "whole number", '2, ">=2" or [1, 2]'),
    (
        "empty range",
        policy(r=rule({"crs": [3, 2]})),
        "rules.r.when.crs",
        "holds no CRS grade",
        "a range within 0-5",
    ),
    ("level word", policy(r=rule({"oxygen": ">=hi_flow"})), "rules.r.when.oxygen", "no level", "high_flow"),
    ("level 9", policy(r=rule({"bp_support": 9})), "rules.r.when.bp_support", "levels run 0-5", None),
    ("misspelt key", policy(r={"wen": {"crs": 2}, "give": TOCI}), "rules.r.wen", "unknown key `wen`", "when"),
    ("misspelt condition", policy(r=rule({"cars": 2})), "rules.r.when.cars", "unknown key `cars`", "crs"),
    (
        "unknown drug",
        policy(r=rule(give={"drug": "aspirin"})),
        "rules.r.give.drug",
        "unknown drug 'aspirin'",
        None,
    ),
    (
        "misspelt drug",
        policy(r=rule(give={"drug": "tocilizumb"})),
        "rules.r.give.drug",
        "unknown",
        "tocilizumab",
    ),
    (
        "toci 12 mg/kg",
        policy(r=rule(give=TOCI | {"mg_per_kg": 12})),
        "rules.r.give.mg_per_kg",
        "8 mg/kg",
        None,
    ),
    ("toci 900 mg", policy(r=rule(give=TOCI | {"mg": 900})), "rules.r.give.mg", "cap of 800 mg", None),
    (
        "toci q4h",
        policy(r=rule(give=TOCI | {"repeat_h": 4})),
        "rules.r.give.repeat_h",
        "8 h apart",
        "repeat_h: 8",
    ),
    (
        "toci x9",
        policy(r=rule(give=TOCI | {"max_doses": 9})),
        "rules.r.give.max_doses",
        "at most 4",
        "max_doses: 4",
    ),
    ("dex 10 g", policy(r=rule(give=DEX | {"mg": 10000})), "rules.r.give.mg", "limit is 40 mg a dose", None),
    ("dex q1h", policy(r=rule(give=DEX | {"every_h": 1})), "rules.r.give.mg", "240 mg a day", None),
    (
        "methylprednisolone 60 mg/kg",
        policy(r=rule(give={"drug": "methylprednisolone", "mg_per_kg": 60})),
        "rules.r.give.mg_per_kg",
        "4200 mg at 70 kg",
        None,
    ),
    (
        "anakinra 1 g",
        policy(r=rule(give={"drug": "anakinra", "mg": 1000})),
        "rules.r.give.mg",
        "400 mg",
        None,
    ),
    ("negative dose", policy(r=rule(give=DEX | {"mg": -10})), "rules.r.give.mg", "must be above 0", None),
    (
        "negative hours",
        policy(r=rule({"crs": 1, "for_h": -24})),
        "rules.r.when.for_h",
        "cannot be negative",
        None,
    ),
    (
        "negative weight",
        policy(r=rule({"crs": 2, "weight_kg": "<-3"})),
        "rules.r.when.weight_kg",
        "negative",
        None,
    ),
    (
        "dose without unit",
        policy(r=rule(give={"drug": "anakinra", "dose": 1})),
        "rules.r.give.dose",
        "no unit",
        "mg",
    ),
    (
        "hours without unit",
        policy(r=rule(give={"drug": "dexamethasone", "mg": 10, "every": 6})),
        "rules.r.give.every",
        "key `every` has no unit",
        "every_h",
    ),
    ("no dose", policy(r=rule(give={"drug": "anakinra"})), "rules.r.give", "missing, or has no unit", None),
    ("text dose", policy(r=rule(give=DEX | {"mg": "10"})), "rules.r.give.mg", "a number is needed", None),
    (
        "both doses",
        policy(r=rule(give=DEX | {"mg_per_kg": 1})),
        "rules.r.give",
        "both mg and mg_per_kg",
        None,
    ),
    (
        "endless course",
        policy(r=rule(give={"drug": "dexamethasone", "mg": 10, "every_h": 6})),
        "rules.r.give",
        "never ends",
        None,
    ),
    (
        "steroid repeat_h",
        policy(r=rule(give=DEX | {"repeat_h": 8})),
        "rules.r.give",
        "tocilizumab only",
        None,
    ),
    ("toci every_h", policy(r=rule(give=TOCI | {"every_h": 8})), "rules.r.give", "dose by dose", "repeat_h"),
    (
        "unknown schedule",
        policy(r=rule(give={"drug": "methylprednisolone", "schedule": "pulse_9"})),
        "rules.r.give.schedule",
        "unknown schedule",
        "one of: pulse_1000, pulse_500",
    ),
    (
        "schedule of another drug",
        policy(r=rule(give={"drug": "dexamethasone", "schedule": "pulse_500"})),
        "rules.r.give.schedule",
        "schedule of methylprednisolone",
        None,
    ),
    (
        "taper word",
        policy(r=rule(give=DEX | {"taper": "quick"})),
        "rules.r.give",
        "'quick' is no taper",
        None,
    ),
    (
        "until is a lower bound",
        policy(r=rule(give=DEX | {"until": {"crs": ">=2"}})),
        "rules.r.give.until.crs",
        "",
        None,
    ),
    ("empty when", policy(r=rule({})), "rules.r.when", "no condition", None),
    ("orders nothing", policy(r={"when": {"crs": 2}}), "rules.r", "orders nothing", None),
    ("give and treat_as", policy(r=rule(give=TOCI, treat_as="r")), "rules.r", "both give and treat_as", None),
    (
        "unknown target",
        policy(a=rule(), b=rule(treat_as="aa")),
        "rules.b.treat_as",
        "no rule `aa`",
        "a",
    ),
    ("itself", policy(a=rule(treat_as="a")), "rules.a.treat_as", "circle: a -> a", None),
    (
        "unknown replaces",
        policy(g3=rule(), g4=rule(replaces="g33", give=DEX)),
        "rules.g4.replaces",
        "g33",
        "g3",
    ),
    ("fever: yes", policy(r=rule({"fever": "yes"})), "rules.r.when.fever", "true or false", None),
    (
        "number alone",
        policy(r=rule({"crs": 2, "ferritin_ng_per_ml": 500})),
        "rules.r.when.ferritin_ng_per_ml",
        "",
        None,
    ),
    (
        "upper since",
        policy(r=rule({"since_onset_h": "<=24"})),
        "rules.r.when.since_onset_h",
        "lower bound",
        '">=24"',
    ),
    ("65 rules", policy(**{f"r{n}": rule() for n in range(65)}), "rules", "at most 64", None),
    ("no scale", {"id": "mine", "rules": {"r": rule()}}, "scale", "missing", None),
    ("scale", {"id": "mine", "scale": "astct2109", "rules": {}}, "scale", "unknown CRS scale", "astct2019"),
    (
        "extends itself",
        {"id": "asco_2021", "extends": "asco_2021"},
        "extends",
        "extends itself",
        "give it another id",
    ),
    ("extends nothing", {"extends": "asco_2012"}, "extends", "unknown policy 'asco_2012'", "asco_2021"),
    (
        "unknown module",
        {"extends": "asco_2021", "add": ["toci_day0"]},
        "add.0",
        "unknown prophylaxis",
        "toci_d0",
    ),
    ("module twice", {"extends": "asco_2021", "add": ["toci_d0", "toci_d0"]}, "add.1", "already", None),
    (
        "delete nothing",
        {"extends": "asco_2021", "rules": {"g1_persists": None}},
        "rules.g1_persists",
        "",
        "g1_persist",
    ),
    (
        "misspelt rung",
        {"extends": "asco_2021", "rules": {"g2_tocy": {"give": TOCI}}},
        "rules.g2_tocy.when",
        "",
        "g2_toci:",
    ),
    (
        "unverified rung",
        policy(r=rule()) | {"unverified": ["rules.s"]},
        "unverified.0",
        "no rung `rules.s`",
        "rules.r",
    ),
    (
        "prophylaxis time",
        {"id": "p", "scale": "penn", "prophylaxis": {"d": {"drug": "tocilizumab", "at_h": "d1"}}},
        "prophylaxis.d.at_h",
        "hours from infusion",
        "-1 or [-1, 24, 48]",
    ),
    (
        "prophylaxis by signs",
        {
            "id": "p",
            "scale": "penn",
            "prophylaxis": {"d": {"drug": "tocilizumab", "at_h": 1, "when": {"crs": 1}}},
        },
        "prophylaxis.d.when.crs",
        "unknown key `crs`",
        None,
    ),
    (
        "prophylaxis dose",
        {"id": "p", "scale": "penn", "prophylaxis": {"d": {"drug": "dexamethasone", "mg": 100, "at_h": 1}}},
        "prophylaxis.d.mg",
        "limit is 40 mg",
        None,
    ),
    (
        "33 prophylactic doses",
        {
            "id": "p",
            "scale": "penn",
            "prophylaxis": {"d": {"drug": "dexamethasone", "mg": 1, "at_h": list(range(33))}},
        },
        "prophylaxis",
        "at most 32",
        None,
    ),
]


@pytest.mark.parametrize(
    ("given", "path", "words", "mend"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS]
)
def test_a_fault_is_named_once_with_its_key(
    given: dict[str, Any], path: str, words: str, mend: str | None
) -> None:
    found = problems(given)
    assert [problem.path for problem in found] == [path]
    assert words in found[0].what
    if mend is not None:
        assert found[0].mend == mend


def test_all_problems_are_told_at_once() -> None:
    given = policy(
        a=rule({"crs": 9}), b=rule(give={"drug": "aspirin"}), c={"wen": {}, "when": {"crs": 2}, "care": "icu"}
    )
    assert {problem.path for problem in problems(given)} == {
        "rules.a.when.crs",
        "rules.b.give.drug",
        "rules.c.wen",
    }


def test_two_rules_in_a_circle_are_both_named() -> None:
    given = policy(a=rule(treat_as="b"), b=rule(treat_as="a"))
    assert [problem.what for problem in problems(given)] == [
        "treat_as goes in a circle: a -> b -> a",
        "treat_as goes in a circle: b -> a -> b",
    ]


def test_light_subjects_may_have_twelve_mg_per_kg() -> None:
    light = rule({"crs": 2, "weight_kg": "<30"}, give=TOCI | {"mg_per_kg": 12})
    assert load_policy(policy(r=light), REGISTRY).rules["r"].give.mg_per_kg == 12
    assert problems(policy(r=rule({"crs": 2, "weight_kg": "<=30"}, give=TOCI | {"mg_per_kg": 12})))
    assert problems(policy(r=rule({"crs": 2, "weight_kg": "<30"}, give=TOCI | {"mg_per_kg": 12.5})))


def test_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "id: mine\nscale: penn\nrules:\n  r:\n    when: {crs: 9}\n    give: {drug: tocilizumab}\n"
    )
    found = problems(path)
    assert (found[0].file, found[0].line) == (str(path), 5)
    path.write_text("id: mine\nscale: penn\nrules: {}\nscale: penn\n")
    assert (problems(str(path))[0].line, problems(path)[0].path) == (4, "scale")


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_policy(tmp_path / "none.yaml", REGISTRY)


def test_a_file_may_extend_its_neighbour_and_not_itself(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("id: base\nextends: asco_2021\nadd: [toci_d0]\n")
    (tmp_path / "top.yaml").write_text("id: top\nextends: base.yaml\nrules: {g2_steroid: null}\n")
    top = load_policy(tmp_path / "top.yaml", REGISTRY)
    assert top.id == "top" and "toci_d0" in top.prophylaxis and "g2_steroid" not in top.rules
    assert top.derived_from == ["asco_2021", "toci_d0", "base"]
    (tmp_path / "a.yaml").write_text("id: a\nextends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("id: b\nextends: a.yaml\n")
    assert "extends itself" in problems(tmp_path / "a.yaml")[0].what


def test_unknown_ids_name_the_nearest() -> None:
    with pytest.raises(InvalidInput) as caught:
        load_policy("severe_olny", REGISTRY)
    assert caught.value.mend == "severe_only"
    with pytest.raises(InvalidInput):
        policy_text("severe_olny")
    assert "at_h: 48" in policy_text("toci_d2")


def test_extending_merges_key_by_key_and_keeps_places() -> None:
    base = load_policy("asco_2021", REGISTRY)
    made = load_policy(
        {
            "extends": "asco_2021",
            "rules": {
                "g1_persist": {"when": {"for_h": 24}},
                "g2_steroid": None,
                "new": {"when": {"crs": 2, "comorbid": True}, "treat_as": "g3_steroid"},
            },
        },
        REGISTRY,
    )
    assert made.rules["g1_persist"].when.model_dump() == {"crs": 1, "for_h": 24}
    assert list(made.rules) == [*(name for name in base.rules if name != "g2_steroid"), "new"]
    assert (made.id, made.status, made.derived_from) == ("asco_2021_variant", "own", ["asco_2021"])
    assert "rules.g2_steroid" not in made.unverified and "rules.g2_escalate" in made.unverified
    assert load_policy("asco_2021", REGISTRY) == base


def test_the_designs_own_example_extends_the_label() -> None:
    early = {"rules": {"g1_persist": {"when": {"crs": 1, "for_h": 24}, "treat_as": "g2_toci"}}}
    made = load_policy({"extends": "axi_label_2017", **early}, REGISTRY)
    assert made.rules["g1_persist"].treat_as == "g2_toci"


def test_an_order_of_another_kind_replaces_the_whole_order() -> None:
    change = {
        "g1_persist": {"give": {"drug": "dexamethasone", "mg": 10}},
        "g3_steroid": {"treat_as": "g4_steroid"},
    }
    change["g4_anakinra"] = {"give": {"drug": "dexamethasone", "mg": 20}}
    made = load_policy({"extends": "asco_2021", "rules": change}, REGISTRY)
    assert made.rules["g1_persist"].treat_as is None
    assert made.rules["g3_steroid"].give is None
    assert made.rules["g4_anakinra"].give.model_dump() == {"drug": "dexamethasone", "mg": 20}


def test_a_number_of_the_registry_moves_the_limit() -> None:
    high = load_registry({"tocilizumab.cap_mg": 1000.0})
    given = policy(r=rule(give=TOCI | {"mg": 900}))
    assert load_policy(given, high).rules["r"].give.mg == 900


def test_plain_numbers_serve_as_registry() -> None:
    assert load_policy("zuma1_c4", REGISTRY.numbers()) == load_policy("zuma1_c4", REGISTRY)


def test_the_schema_describes_itself_for_editors() -> None:
    schema = Policy.model_json_schema(by_alias=True)
    assert schema["additionalProperties"] is False
    assert "while" in schema["$defs"]["Give"]["properties"]
