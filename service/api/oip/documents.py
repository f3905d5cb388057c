"""How OpenAPI describes bodies that are read by hand: clients send them without a content type."""

from typing import Any, Final

TAGS: Final = ["Open Inference Protocol"]

_PARAMETERS: Final = {"type": ["object", "null"], "additionalProperties": True}
_SHAPE: Final = {"type": "array", "items": {"type": "integer"}}

_TENSOR: Final = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": _SHAPE,
        "datatype": {"type": "string"},
        "parameters": _PARAMETERS,
        "data": {"type": ["array", "null"], "items": {}},
    },
}
_REQUEST: Final = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": ["string", "null"]},
        "parameters": _PARAMETERS,
        "inputs": {"type": "array", "items": _TENSOR},
        "outputs": {
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "parameters": _PARAMETERS},
            },
        },
    },
}
_ANSWER: Final = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": _TENSOR},
    },
}
_BYTES: Final = {"type": "string", "format": "binary"}

_HEADER: Final = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "required": False,
    "description": "Bytes of the JSON where tensors follow it; 0 where the body is pixels alone.",
    "schema": {"type": "integer", "minimum": 0},
}


def _either(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "application/json": {"schema": document},
        "application/octet-stream": {"schema": _BYTES},
    }


INFER: Final[dict[str, Any]] = {
    "parameters": [_HEADER],
    "requestBody": {"required": True, "content": _either(_REQUEST)},
    "responses": {"200": {"description": "The outputs", "content": _either(_ANSWER)}},
}


def json_body(**properties: dict[str, Any]) -> dict[str, Any]:
    """Describe an optional JSON body with optional fields, of which null is as good as none."""
    schema = optional_fields(**properties)
    return {"requestBody": {"required": False, "content": {"application/json": {"schema": schema}}}}


def optional_fields(**properties: dict[str, Any]) -> dict[str, Any]:
    """Describe an object of these fields alone, each of which may be left out, or be null."""
    fields = {name: {**each, "type": [each["type"], "null"]} for name, each in properties.items()}
    return {"type": "object", "properties": fields, "additionalProperties": False}
