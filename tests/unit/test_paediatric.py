"""Children: doses in mg/kg with a cap, and the instrument behind their ICANS levels."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from clinic_builder import REGISTRY
from policy_walk import Signs, every, walk

from cartsim.arms import prepare_arm
from cartsim.cells import Span, build_tables, run_arms
from cartsim.errors import InvalidInput
from cartsim.policy.compile import compile_policy
from cartsim.policy.courses import daily_mg
from cartsim.policy.library import load_policy
from cartsim.policy.lint import lint
from cartsim.policy.table import render_table
from cartsim.record import check
from cartsim.scenario.dump import dump_yaml
from cartsim.scenario.load import load_scenario
from cartsim.terms import BpSupport

BOLUS = Signs(fever=True, bp=BpSupport.ONE_BOLUS)
#: 2 mg/kg every 12 h, at most 60 mg.
GIVE: dict[str, Any] = {
    "drug": "methylprednisolone", "mg_per_kg": 2, "cap_mg": 60, "every_h": 12, "until": {"crs": "<=1"},
}  # fmt: skip


def policy(**give: Any) -> dict[str, Any]:
    order = {key: value for key, value in (GIVE | give).items() if value is not None}
    return {"id": "mine", "scale": "astct2019", "rules": {"steroid": {"when": {"crs": ">=2"}, "give": order}}}


@pytest.mark.parametrize(("kg", "mg"), [(10.0, 20.0), (30.0, 60.0), (30.5, 60.0), (70.0, 60.0)])
def test_a_dose_by_weight_stops_at_its_cap(kg: float, mg: float) -> None:
    given = walk(policy(), [(24, BOLUS), (37, Signs())], weight_kg=kg)
    assert given == every(24, 12, 2, "methylprednisolone", mg, "steroid")


def test_the_cap_holds_in_the_taper_too() -> None:
    """53 mg at 70 kg is 87 mg at 115 kg."""
    given = walk(policy(taper="rapid"), [(24, BOLUS), (37, Signs())], weight_kg=115.0)
    assert [mg for _, _, mg, _ in given] == [60.0] * 4
    free = walk(policy(taper="rapid", cap_mg=None), [(24, BOLUS), (37, Signs())], weight_kg=115.0)
    assert [mg for _, _, mg, _ in free] == pytest.approx([230.0, 230.0] + [53 * 115 / 70] * 2, abs=1e-3)


def test_without_a_cap_there_is_none() -> None:
    action = compile_policy(load_policy(policy(cap_mg=None), REGISTRY), REGISTRY).actions[0]
    assert action["cap_mg"] == math.inf
    assert walk(policy(cap_mg=None), [(24, BOLUS), (25, Signs())], weight_kg=90.0)[0][2] == 180.0


def test_the_rank_of_a_rung_and_its_limit_are_judged_with_the_cap() -> None:
    """60 mg of methylprednisolone twice a day is 22.5 mg dexamethasone; 60 mg/kg would be above any limit."""
    capped = load_policy(policy(mg_per_kg=60), REGISTRY).rules["steroid"].give
    assert capped is not None and daily_mg(capped, REGISTRY) == pytest.approx(120 * 0.75 / 4)
    with pytest.raises(InvalidInput, match="4200 mg at 70 kg"):
        load_policy(policy(mg_per_kg=60, cap_mg=None), REGISTRY)


@pytest.mark.parametrize(
    ("give", "said", "mend"),
    [
        ({"mg_per_kg": None, "mg": 60}, "mg_per_kg is not given", "mg_per_kg: 1"),
        ({"drug": "tocilizumab", "mg_per_kg": 8, "every_h": None, "until": None}, "not apply", "labelled cap"),
        ({"cap_mg": 0}, "above 0", ""),
        ({"cap_mg": "60 mg"}, "number", ""),
    ],
)  # fmt: skip
def test_a_cap_that_means_nothing_is_refused(give: dict[str, Any], said: str, mend: str) -> None:
    (finding,) = lint(policy(**give), REGISTRY)
    assert finding.level == "error" and said in finding.message and mend in (finding.mend or "")


def test_a_dose_in_mg_takes_the_place_of_dose_and_cap(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(dump_yaml(policy()))
    for change, expected in (
        ({"mg": 40}, (40, None, None)),
        ({"mg_per_kg": 1}, (None, 1, 60)),
        ({"cap_mg": 50}, (None, 2, 50)),
        ({"cap_mg": None}, (None, 2, None)),
    ):
        (tmp_path / "ours.yaml").write_text(
            dump_yaml({"id": "ours", "extends": "mine.yaml", "rules": {"steroid": {"give": change}}})
        )
        give = load_policy(tmp_path / "ours.yaml", REGISTRY).rules["steroid"].give
        assert give is not None and (give.mg, give.mg_per_kg, give.cap_mg) == expected


def test_the_table_prints_the_cap() -> None:
    shown = " ".join(render_table(load_policy(policy(), REGISTRY), 400).split())
    assert "methylprednisolone 2 mg/kg (at most 60 mg) every 12 h" in shown


def test_the_instrument_of_each_child_is_in_adsl(probe: Callable[..., dict[str, Any]]) -> None:
    scenario = load_scenario(probe(300, product="tisa-cel-all"))
    arm = prepare_arm(scenario, scenario.arms[0], 1)
    ran = run_arms(scenario, [arm], Span(0, 0, 300))[0]
    adsl = build_tables(scenario, ran)["adsl"]
    check("adsl", adsl)
    age = adsl["AGE"].to_numpy()
    capd = pc.fill_null(pc.equal(adsl["neuro_tool"], "CAPD"), False).to_numpy()
    assert np.array_equal(capd, age < 12.0) and 0 < capd.sum() < 300
