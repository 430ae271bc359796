"""Why: editors complete and check scenario files from a JSON Schema. Theirs is draft 7, pydantic writes a newer
dialect, so the difference is taken out here and a test holds every shipped scenario against it.
"""

from typing import Any

from cartsim.scenario.models import ScenarioFile


def scenario_schema() -> dict[str, Any]:
    """JSON Schema (draft 7) of the scenario file."""
    schema = _draft7(ScenarioFile.model_json_schema(by_alias=True, mode="validation"))
    title = "cartsim scenario"
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema, "title": title}


def _draft7(node: Any) -> Any:
    if isinstance(node, list):
        return [_draft7(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {("definitions" if key == "$defs" else key): _draft7(value) for key, value in node.items()}
    plain.pop("discriminator", None)
    reference = plain.get("$ref")
    if isinstance(reference, str):
        plain["$ref"] = reference.replace("#/$defs/", "#/definitions/")
        # Draft 7 ignores what stands beside a $ref.
        if len(plain) > 1:
            target = plain.pop("$ref")
            return {**plain, "allOf": [{"$ref": target}]}
    return plain
