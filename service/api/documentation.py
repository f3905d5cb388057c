"""The OpenAPI document, with how API keys are sent where calls need one."""

from typing import Any, Final

from fastapi import FastAPI

from service.access import HEADER, ApiKeys, need

_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": HEADER},
}


class Application(FastAPI):
    """FastAPI, whose document says which calls need a key of which scope."""

    def __init__(self, *, keys: ApiKeys, **options: Any) -> None:
        self._keys = keys
        super().__init__(**options)

    def openapi(self) -> dict[str, Any]:
        """Return the document; it is made once."""
        made = self.openapi_schema is not None
        document = super().openapi()
        if self._keys.asked_for and not made:
            _describe(document)
        return document


def _describe(document: dict[str, Any]) -> None:
    document["components"]["securitySchemes"] = dict(_SCHEMES)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            needed = need(method.upper(), path)
            if needed == "nothing":
                operation["security"] = []
                continue
            scopes = [] if needed == "key" else [needed]
            operation["security"] = [{name: scopes} for name in _SCHEMES]
            operation["responses"].update(_refusals(forbidden=bool(scopes)))


def _refusals(*, forbidden: bool) -> dict[str, Any]:
    answer = {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}
    statuses = {"401": "Unauthorized", "403": "Forbidden"} if forbidden else {"401": "Unauthorized"}
    return {
        status: {"description": text, "content": {"application/json": answer}}
        for status, text in statuses.items()
    }
