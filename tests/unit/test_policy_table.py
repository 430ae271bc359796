"""The table a clinician signs: every rule stands in it, at its grade and time, in words."""

import pytest

from cartsim.evidence.registry import load_registry
from cartsim.policy.library import list_policies, load_policy
from cartsim.policy.table import decision_table, render_table
from cartsim.terms import DISCLAIMER

REGISTRY = load_registry()


def cells(policy_id: str) -> dict[str, dict[str, str]]:
    header, *rows = decision_table(load_policy(policy_id, REGISTRY))
    assert header[1:] == ["at onset", "after time", "not improved", "limits"]
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


def test_rows_are_grades_one_to_four_of_both_syndromes() -> None:
    assert list(cells("asco_2021")) == [
        *(f"CRS (astct2019) {grade}" for grade in range(1, 5)),
        *(f"ICANS {grade}" for grade in range(1, 5)),
    ]
    assert list(cells("severe_only"))[4:] == [
        "CRS, by signs",
        *(f"NE (CTCAE) {grade}" for grade in range(1, 5)),
    ]


def test_a_rung_stands_where_it_applies_and_in_words() -> None:
    table = cells("asco_2021")
    assert (
        table["CRS (astct2019) 1"]["after time"] == "tocilizumab labelled dose if lasting 72 h [g1_persist]"
    )
    assert "g2_toci" not in table["CRS (astct2019) 1"]["at onset"]
    assert all("[g2_toci]" in table[f"CRS (astct2019) {grade}"]["at onset"] for grade in (2, 3, 4))
    assert table["CRS (astct2019) 2"]["not improved"].split("\n")[0] == (
        "dexamethasone 10 mg every 12 h if blood pressure support: repeated boluses or more, "
        "tocilizumab doses >= 1, not improved [g2_steroid*]"
    )
    assert (
        "repeat after 8 h while not improved; at most 4 doses [g2_toci]"
        in table["CRS (astct2019) 2"]["limits"]
    )
    assert "until CRS <= 1; rapid taper [g3_steroid]" in table["CRS (astct2019) 3"]["limits"]
    assert "intensive care" in table["CRS (astct2019) 3"]["at onset"]
    assert set(table["ICANS 1"].values()) == {""}


def test_signs_and_covariates_are_in_words() -> None:
    signs = cells("severe_only")["CRS, by signs"]["at onset"]
    assert "blood pressure support: high dose pressor or more [toci_pressor]" in signs
    assert "blood pressure support: low dose pressor or more, older or comorbid [toci_comorbid*]" in signs


def test_courses_called_by_name_are_spelled_out_below_the_table() -> None:
    text = " ".join(render_table(load_policy("asco_2021", REGISTRY)).split())
    assert (
        "pulse_500: methylprednisolone 500 mg every 12 h x 6, then 250 mg every 12 h x 4, then 125 mg every 12 h "
        "x 4, then 60 mg every 12 h x 4" in text
    )
    assert text.count("rapid taper: dexamethasone 10 mg every 24 h x 2") == 1
    assert "at the reference weight" in render_table(load_policy("severe_only", REGISTRY))
    assert "taper:" not in render_table(load_policy("no_treatment", REGISTRY))


def test_the_neurological_level_is_an_ice_score() -> None:
    assert "if ICE 7-9 [ne1_steroid*]" in cells("zuma1_c4")["NE (CTCAE) 1"]["at onset"]
    rules = {"x": {"when": {"neuro": ">=3"}, "give": {"drug": "dexamethasone", "mg": 10}}}
    table = decision_table(load_policy({"id": "mine", "scale": "astct2019", "rules": rules}, REGISTRY))
    assert any("if ICE 0-2 or worse [x]" in cell for row in table for cell in row)


def test_prophylaxis_has_its_row() -> None:
    policy = load_policy({"extends": "no_treatment", "add": ["dex_d0_2", "toci_risk_adapted"]}, REGISTRY)
    label, _, when, *_ = decision_table(policy)[-1]
    assert label == "Prophylaxis"
    assert "dexamethasone 10 mg oral: 1 h before infusion, 24 h after infusion, 48 h after infusion" in when
    assert "CD28 product or ferritin >=650 ng/mL or CRP >=30 mg/L [toci_risk_adapted*]" in when


@pytest.mark.parametrize("policy_id", [header.id for header in list_policies()])
def test_the_text_names_every_rule_its_source_and_what_it_is(policy_id: str) -> None:
    policy = load_policy(policy_id, REGISTRY)
    text = render_table(policy)
    flat = " ".join(text.split())
    table = "\n".join(cell for row in decision_table(policy) for cell in row)
    assert all(f"[{name}]" in table or f"[{name}*]" in table for name in policy.rules)
    assert text.endswith(DISCLAIMER) and "not bedside advice" in text
    assert policy.source is not None and policy.source.citation in flat
    assert ("* not verified" in text) == bool(policy.unverified)
    assert max(len(line) for line in text.split("\n") if not line.startswith("Source")) <= 132


def test_a_narrow_terminal_keeps_the_columns_apart() -> None:
    lines = render_table(load_policy("asco_2021", REGISTRY), width=100).split("\n")
    assert all(line.count("|") == 4 for line in lines if " | " in line)
