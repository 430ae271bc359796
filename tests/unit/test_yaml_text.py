"""The strict reader: YAML 1.2 values, lines of keys, traps reported together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartsim.errors import InvalidInput
from cartsim.scenario.dump import dump_yaml
from cartsim.yaml_text import read_scalar, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.0e-3", 0.001),
        ("-2", -2),
        ("+3", 3),
        (".5", 0.5),
        ("5.", 5.0),
        ("0", 0),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ('"no"', "no"),
        ("'12:30'", "12:30"),
        ("2026-11-22", "2026-11-22"),
        ("grade 2", "grade 2"),
        ("[1, 2.5, a]", [1, 2.5, "a"]),
        ("{a: 1, b: [x]}", {"a": 1, "b": ["x"]}),
    ],
)
def test_values_of_yaml_1_2(text: str, value: object) -> None:
    read = read_scalar(text)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize("text", ["no", "Yes", "ON", "off", "y", "N"])
def test_old_truth_values_are_traps_unless_the_place_allows_the_word(text: str) -> None:
    document, traps = read_yaml(f"a: {text}\nb: {text}\n", None, frozenset({("b",)}))
    assert [(trap.line, trap.path) for trap in traps] == [(1, "a")]
    assert document.data["b"] == text


@pytest.mark.parametrize(
    "text", ["12:30", "1:2:3", "1_000", "1_0.5", "1,5", "010", "0x1F", "0b11", ".inf", "-.nan"]
)
def test_numbers_that_readers_disagree_about_are_traps(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_scalar(text)
    assert text in caught.value.problems[0].what


def test_folded_text_is_the_words_and_nothing_else() -> None:
    document, _ = read_yaml("note: >-\n  one line\n  and the next\n\n  a new one\n")
    assert document.data == {"note": "one line and the next\na new one"}


def test_every_key_path_has_its_line() -> None:
    text = "a: 1\n\nb:\n  - c: 2\n    d: {e: 3,\n        f: 4}\n  - [5,\n     6]\n"
    document, traps = read_yaml(text, "x.yaml")
    assert not traps
    expected = {("a",): 1, ("b", 0, "d", "e"): 5, ("b", 0, "d", "f"): 6, ("b", 1, 1): 8}
    assert {path: document.lines[path] for path in expected} == expected
    assert document.line(("b", 0, "missing", "deeper")) == 4
    assert document.problem(("b", 0, "d"), "bad").where == "x.yaml:5 b.0.d"


def test_repeated_keys_name_both_lines_and_keep_the_first() -> None:
    document, traps = read_yaml("a: 1\nb: 2\na: 3\n")
    assert document.data == {"a": 1, "b": 2}
    assert traps[0].line == 3 and "line 1" in traps[0].what


def test_anchors_are_fine_and_merge_keys_are_not() -> None:
    document, traps = read_yaml("a: &x {b: 1}\nc: *x\n")
    assert document.data["c"] == {"b": 1} and not traps
    _, traps = read_yaml("a: &x {b: 1}\nc: {<<: *x}\n")
    assert len(traps) == 1 and "<<" in traps[0].what


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(InvalidInput, match="too many values"):
        read_yaml("\n".join(lines))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
TREES = st.recursive(
    SCALARS | WORDS | st.sampled_from(["no", "12:30", "1_000", "null", "0x1", "- a", "a: b", "#", "off"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(WORDS.filter(lambda key: key != "<<"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(WORDS.filter(lambda key: key != "<<"), TREES, min_size=1, max_size=4))
def test_what_is_dumped_is_read_back_unchanged(data: dict[str, object]) -> None:
    document, traps = read_yaml(dump_yaml(data))
    assert not traps
    assert document.data == data
