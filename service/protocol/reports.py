"""Two reports in the body of a request: as the fields of one JSON object, or as two files."""

import json
from typing import Any, Final

from service.errors import ServiceError, TooLargeError
from service.protocol.media import JSON, MULTIPART, Body
from service.protocol.multipart import read_files
from service.protocol.names import unique

FIELDS: Final = ("a", "b")

_VALUES_OF_AN_IMAGE: Final = 16
"""In one report for each of its images, with a wide margin."""

_MOST_OTHERS: Final = 2**17
"""In one report beside those, of a thousand classes too."""

_ACCEPTED: Final = "two reports are accepted, 'a' and 'b', as fields of JSON or multipart files"


def read_reports(body: Body, max_images: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take two reports, of so many images at most, out of a body, as the objects of their JSON.

    Raises
    ------
    ServiceError
        400 for a body that is empty or not what its type announces, or has a field twice, 413 for
        too many files or values, 415 for another content type, 422 for anything but two objects.
    """
    if not body.content:
        raise ServiceError(400, f"The body is empty; {_ACCEPTED}.")
    # Whoever reads JSON lets no other thread go on meanwhile, not even the event loop's.
    most = len(FIELDS) * (_VALUES_OF_AN_IMAGE * max_images + _MOST_OTHERS)
    if sum(map(body.content.count, (b",", b"[", b"{"))) > most:
        raise TooLargeError(
            f"The reports hold too many values; at most {most} are accepted (`orbitserve compare` "
            "takes more)."
        )
    if body.media_type == MULTIPART:
        sent = _sent_as_files(body)
    elif body.media_type == JSON:
        sent = _object(body.content, "The body")
    else:
        raise ServiceError(415, f"The content type is '{body.media_type}'; {_ACCEPTED}.")
    if unknown := sorted(set(sent) - {*FIELDS}):
        raise ServiceError(422, f"The field '{unknown[0][:64]}' is not known; {_ACCEPTED}.")
    for field in FIELDS:
        if field not in sent:
            raise ServiceError(422, f"The body lacks the report '{field}'; {_ACCEPTED}.")
        if not isinstance(sent[field], dict):
            raise ServiceError(422, f"The report '{field}' is no JSON object; {_ACCEPTED}.")
    return sent["a"], sent["b"]


def _sent_as_files(body: Body) -> dict[str, Any]:
    parts = read_files(body.content_type, body.content, len(FIELDS), "files", _ACCEPTED)
    sent: dict[str, Any] = {}
    for part in parts:
        if part.field in sent:
            raise ServiceError(422, f"The file '{part.field[:64]}' is there twice; {_ACCEPTED}.")
        sent[part.field] = _object(bytes(part.content), f"The file '{part.field[:64]}'")
    return sent


def _object(text: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ServiceError(400, f"{what} is not JSON ({error}); {_ACCEPTED}.") from None
    if not isinstance(found, dict):
        raise ServiceError(422, f"{what} is no JSON object; {_ACCEPTED}.")
    return found
