"""What a client accepts, and how gladly: one reading for types, languages and codings."""

import pytest
from starlette.requests import Request

from audit.render import FORMATS
from service.api.audits.formats import choose_format, choose_language
from service.errors import ServiceError
from service.protocol.accept import read_weights


@pytest.mark.parametrize(
    ("header", "weights"),
    [
        ("", {}),
        (" , ", {}),
        ("gzip", {"gzip": 1.0}),
        ("TEXT/HTML;level=1; Q=0.5, */*;q=0.1", {"text/html": 0.5, "*/*": 0.1}),
        ("de;q=2, en;q=-1, fr;q=much, it;q=", {"de": 1.0, "en": 0.0, "fr": 0.0, "it": 0.0}),
        ("a;q=nan", {"a": 0.0}),
    ],
)
def test_what_is_named_has_its_quality(header: str, weights: dict[str, float]) -> None:
    assert read_weights(header) == weights


def asked(name: str, value: str) -> Request:
    return Request({"type": "http", "headers": [(name.encode(), value.encode())]})


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "json"),
        ("", "json"),
        ("application/json;q=0.5, text/plain", "text"),
        ("application/json;q=0.5, text/plain;q=0.4", "json"),
        ("text/plain;q=1, application/json;q=1", "json"),
        ("TEXT/PLAIN ; Q=0.9, */*;q=0.8", "text"),
        ("text/*, text/plain;q=0, */*;q=0.1", "html"),
        ("*/*, text/plain;q=0", "json"),
    ],
)
def test_the_form_of_a_report_is_the_one_that_is_accepted_most(accept: str, expected: str) -> None:
    assert choose_format(asked("accept", accept), None, FORMATS) == expected


@pytest.mark.parametrize("accept", ["application/x-nothing, application/json;q=0", "image/png"])
def test_what_no_form_is_accepted_of_is_406(accept: str) -> None:
    with pytest.raises(ServiceError, match="application/json") as refused:
        choose_format(asked("accept", accept), None, FORMATS)
    assert refused.value.status == 406


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT, en;q=0.5", "de"),
        ("en, de;q=0.9", "en"),
        ("fr, de;q=0.2", "de"),
        ("fr", "en"),
        ("de;q=0, en;q=0.1", "en"),
        ("DE ; Q=0.8 , en;q=x", "de"),
        ("*", "en"),
    ],
)
def test_people_read_the_language_that_they_accept_most(accepted: str, expected: str) -> None:
    assert choose_language(asked("accept-language", accepted)) == expected
