"""Requests made from the OpenAPI document, good and bad: each is answered as the document says."""

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from service.app import create_app
from service.settings import Settings

pytestmark = pytest.mark.slow

LEFT_OUT = ("/audit", "/proof", "/unload")
"""Calls that take long, or end what the others ask for."""


KNOWN = {"name": "turning", "version": 10}
"""What a parameter of a path is every other time, since no name that is made up exists."""


def calls() -> list[tuple[str, str]]:
    document = create_app(Settings()).openapi()
    return [
        (path, verb)
        for path, verbs in document["paths"].items()
        for verb in verbs
        if not path.endswith(LEFT_OUT)
    ]


@pytest.fixture(scope="module")
def server(listen: Any, repository: Path) -> Iterator[Any]:
    with listen(repository, poll_seconds=0, model_control=True) as server:
        yield server


@pytest.fixture(scope="module")
def schema(server: Any) -> Any:
    schemathesis = pytest.importorskip("schemathesis")
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


@pytest.mark.parametrize(("path", "verb"), calls())
def test_every_call_answers_as_documented(server: Any, schema: Any, path: str, verb: str) -> None:
    from schemathesis import GenerationMode, checks

    said = [
        checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    operation = schema[path][verb]
    for mode in GenerationMode:
        made = operation.as_strategy(generation_mode=mode)

        @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
        @given(made, st.booleans())
        def answered(case: Any, known: bool) -> None:
            for name in case.path_parameters.keys() & KNOWN.keys() if known else ():
                case.path_parameters[name] = KNOWN[name]
            response = case.call()
            case.validate_response(response, checks=said)
            if response.status_code >= 400:
                assert response.json().keys() == {"error"}

        # A call without parameters or a body cannot be asked for wrongly.
        with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
            answered()
    assert httpx.get(f"{server.url}/readyz").status_code == 200
