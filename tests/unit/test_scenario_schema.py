"""The JSON Schema that editors use agrees with the loader on what is right and what is wrong."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from cartsim.scenario.load import load_scenario
from cartsim.scenario.schema import scenario_schema
from cartsim.yaml_text import read_yaml

SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    schema = scenario_schema()
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def read(path: Path) -> Any:
    return read_yaml(path.read_text(encoding="utf-8"))[0].data


def test_schema_speaks_draft_7_only() -> None:
    text = json.dumps(scenario_schema())
    for newer in ("prefixItems", "$defs", "unevaluated", "dependentRequired", '"discriminator"'):
        assert newer not in text
    assert scenario_schema()["$schema"] == "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_shipped_scenarios_pass(validator: Draft7Validator, path: Path) -> None:
    assert not [error.message for error in validator.iter_errors(read(path))]
    assert not [error.message for error in validator.iter_errors(load_scenario(path).resolved())]


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("schema",), "cartsim/scenario/0"),
        (("gradings",), {}),
        (("population", "subjects"), -1),
        (("population", "weight_kg"), {"dist": "weibull"}),
        (("population", "weight_kg"), {"dist": "lognormal", "median": 78}),
        (("grading", "crs"), "astct"),
        (("arms",), []),
        (("arms", 0, "polcy"), "asco_2021"),
        (("run", "seed"), "today"),
        (("sweep",), {}),
        (("site", "beds"), -1),
    ],
)
def test_what_the_loader_refuses_the_schema_refuses(
    validator: Draft7Validator, keys: tuple[str | int, ...], value: Any
) -> None:
    data = copy.deepcopy(load_scenario(SHIPPED[-1]).resolved())
    here = data
    for key in keys[:-1]:
        here = here[key]
    here[keys[-1]] = value
    assert list(validator.iter_errors(data))
