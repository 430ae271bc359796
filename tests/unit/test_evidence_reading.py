"""Changing the registry and reading its files: every mistake is told with its key, its file and its line."""

from pathlib import Path

import numpy as np
import pytest

from cartsim.errors import InvalidInput
from cartsim.evidence.entries import NumberEntry
from cartsim.evidence.reader import read_files
from cartsim.evidence.registry import load_registry

REGISTRY = load_registry()


def test_overrides_change_the_number_and_the_status_only_in_the_copy() -> None:
    before = dict(REGISTRY.numbers())
    status = REGISTRY["tocilizumab.effect"].status
    assert before["tocilizumab.effect"] != 2.0 and status != "override"
    changed = load_registry(
        {
            "tocilizumab.effect": 2,
            "signs.offset_sd": [0.1, 0.1, 0.1, 0.1],
            "population.lbcl.ldh_u_per_l.median": 300.0,
            "product.axi-cel.crs_mu": 5.0,
        }
    )
    assert changed.numbers()["tocilizumab.effect"] == 2.0
    assert changed.numbers()["population.lbcl.ldh_u_per_l.median"] == 300.0
    assert changed["tocilizumab.effect"].status == "override" == changed["population.lbcl.ldh_u_per_l"].status
    assert changed.counts()["override"] == 4
    assert changed.population("axi-cel").margins[4].p1 == pytest.approx(np.log(300))
    assert load_registry() is load_registry() and REGISTRY.numbers() == before
    assert REGISTRY["tocilizumab.effect"].status == status


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("tocilizumab.efect", 1.0, "tocilizumab.effect"),
        ("zzz", 1.0, "cartsim evidence"),
        ("tocilizumab", 1.0, "no such number"),
        ("population.lbcl.ldh_u_per_l", 300, "no such number"),
        ("tocilizumab.effect", [1.0], "a number is needed"),
        ("tocilizumab.effect", "1.0", "a number is needed"),
        ("tocilizumab.effect", True, "a number is needed"),
        ("tocilizumab.effect", float("nan"), "a number is needed"),
        ("signs.offset_sd", 0.3, "a list of 4 numbers is needed"),
        ("signs.offset_sd", [0.3, 0.3], "a list of 4 numbers is needed"),
        ("signs.neuro_thresholds", [0, 2, 1, 3], "rise strictly"),
        ("behaviour.adherence_grade1", 1.2, "not within 0 and 1"),
        ("tocilizumab.volume_l", 0, "above 0"),
        ("population.lbcl.ldh_u_per_l.sdlog", -1, "above 0"),
        ("product.axi-cel.crs_peak_d", -2, "above 0"),
    ],
)
def test_bad_overrides_are_refused(key: str, value: object, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        load_registry({key: value})
    assert [problem.path for problem in caught.value.problems] == [key]


def test_all_bad_overrides_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        load_registry({"a.b": 1, "tocilizumab.effect": None})
    assert len(caught.value.problems) == 2


def test_unknown_product_names_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="axi-cel"):
        REGISTRY.product("axicel")


GOOD = "a: {value: 1, unit: d, status: assumed, meaning: some time, reason: guess, range: [0, 2]}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + GOOD, "a is repeated"),
        (GOOD.replace("unit: d,", "unit: d, unit: h,"), "a.unit is repeated"),
        (GOOD.replace("unit: d, ", ""), "unit Field required"),
        (GOOD.replace("unit: d,", "unit: fortnight,"), "fortnight"),
        (GOOD.replace(", reason: guess", ""), "needs reason"),
        (GOOD.replace(", range: [0, 2]", ""), "needs range"),
        (GOOD.replace("range: [0, 2]", "range: [2, 3]"), "outside its own range"),
        (GOOD.replace("status: assumed", "status: reported"), "needs source"),
        (GOOD.replace("status: assumed", "status: guessed"), "status"),
        (GOOD.replace("value: 1", "value: '1'"), "valid"),
        (GOOD.replace("value: 1", "value: yes"), "valid"),
        (GOOD.replace("value: 1", "value: 1_000"), "valid"),
        (GOOD.replace("value: 1", "valeu: 1"), "entry"),
        (GOOD.replace("reason", "raeson"), "raeson"),
        ("a: 1\n", "not an entry"),
        ("product: {x: {info: {name: x}}}\n", "indication Field required"),
        ("- 1\n", "not a mapping"),
        ("a: [1\n", "expected"),
    ],
)
def test_bad_files_are_refused_with_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=said) as caught:
        read_files(tmp_path)
    assert all(problem.file == "bad.yaml" and problem.line for problem in caught.value.problems)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(
        "common:\n  a: {unit: d}\n" + GOOD.replace("unit: d, ", ""), encoding="utf-8"
    )
    entries, _ = read_files(tmp_path)
    entry = entries["a"]
    assert isinstance(entry, NumberEntry) and entry.value == 1.0 and entry.unit == "d"
