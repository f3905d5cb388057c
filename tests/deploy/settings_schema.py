"""What the chart's schema says of the service's settings, as these are declared."""

from collections.abc import Collection
from typing import Any

from service.settings import Settings

_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")


def settings_schema(left_out: Collection[str]) -> dict[str, Any]:
    """Return the schema of the value `settings`, without these."""
    declared = Settings.model_json_schema()["properties"]
    named = {name.removeprefix("ORBITSERVE_").upper(): each for name, each in declared.items()}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _one(named[name]) for name in sorted(named) if name not in left_out},
    }


def _one(declared: dict[str, Any]) -> dict[str, Any]:
    """Of one setting; a number and a boolean may as well be written as a string."""
    said = [each for each in declared.get("anyOf", [declared]) if each.get("type") != "null"]
    if len(said) > 1:  # a folder, or a word
        return {"type": "string"}
    (only,) = said
    if "enum" in only:
        return {"enum": only["enum"]}
    if only["type"] == "boolean":
        return {"enum": [True, False, "true", "false"]}
    if only["type"] == "string":
        return {"type": "string"}
    bounds = {name: only[name] for name in _BOUNDS if name in only}
    whole = only["type"] == "integer"
    pattern = "^[0-9]+$" if whole else "^[0-9]+([.][0-9]+)?$"
    return {"type": [only["type"], "string"], **bounds, "pattern": pattern}
