"""What a client accepts, and how gladly: one reading for types, languages and codings."""

import pytest

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
