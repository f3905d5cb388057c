"""In which format a report is answered: by `?format=`, else by `Accept` (RFC 9110, 12.5.1).

Formats that people read are answered in the language of `Accept-Language` (12.5.4).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from audit import Report
from audit.render import (
    FORMATS,
    LANGUAGES,
    SIGNED_TYPE,
    Format,
    Language,
    Renderings,
    render,
)
from service.audits import JobQueue
from service.errors import ServiceError
from service.protocol.accept import read_weights

EVENTS: Final = "text/event-stream"

AskedFormat = Annotated[
    Format | None,
    Field(description="Format of the report; by default as `Accept` asks."),
]


class ReportQuery(BaseModel):
    """How a report that is there is answered."""

    model_config = ConfigDict(extra="forbid")

    format: AskedFormat = None


def choose_format(request: Request, asked: Format | None, formats: Renderings) -> Format:
    """Return the format that is asked for, or accepted most, JSON first; ServiceError (406)."""
    if asked is None:
        by_type = {rendering.media_type: name for name, rendering in formats.items()}
        return by_type[preferred_type(request, list(by_type))]
    if asked not in formats:
        raise ServiceError(
            406, "This service signs no reports; one whose ORBITSERVE_SIGNING_KEY names a key does."
        )
    return asked


def wants_events(request: Request) -> bool:
    """Whether a stream of events is accepted rather than any format of a report."""
    accepted = _read_accept(request)
    events = accepted.get(EVENTS, 0.0)  # by its name, not by a wildcard
    offers = [rendering.media_type for rendering in FORMATS.values()]
    return events > 0 and events >= max(accepted.get(offer, 0.0) for offer in offers)


def choose_language(request: Request) -> Language:
    """Return the language that is accepted most, English where none of them is."""
    accepted = _weights(request, "accept-language")
    weights = {language: _language_weight(accepted, language) for language in LANGUAGES}
    return max(LANGUAGES, key=lambda language: weights[language])


def language_headers(language: Language, *, translated: bool) -> dict[str, str]:
    """Say what an answer depends on, and the language of a format that people read."""
    if not translated:
        return {"Vary": "Accept"}
    return {"Vary": "Accept, Accept-Language", "Content-Language": language}


async def answer_report(
    request: Request,
    report: Report,
    report_format: Format,
    audits: JobQueue,
    headers: Mapping[str, str],
) -> Response:
    """Answer a report in a format; it is written on a thread, since some have pictures."""
    language, rendering = choose_language(request), audits.formats[report_format]
    content = await audits.turns.run(render, report, report_format, audits.formats, language)
    varies = language_headers(language, translated=rendering.translate is not None)
    return Response(
        content,
        media_type=rendering.media_type,
        headers={**varies, **headers},
    )


def report_documented(*, signed: bool, events: bool = False) -> dict[str, Any]:
    """Describe the answer to OpenAPI, in every format; signed, where the service has a key."""
    text = {"schema": {"type": "string"}}
    document = {"schema": {"type": "object"}}
    types = [rendering.media_type for rendering in FORMATS.values()]
    if signed:
        types.append(SIGNED_TYPE)
    content = {
        type_: document if type_.endswith(("+json", "+dsse")) else text
        for type_ in types
        if type_ != "application/json"
    }
    if events:
        content[EVENTS] = text
    return {"description": "The report.", "content": content}


def preferred_type(request: Request, offers: Sequence[str]) -> str:
    """Return the media type that is accepted most, the first of equals; ServiceError (406)."""
    accepted = _read_accept(request)
    best = max(offers, key=lambda offer: _quality(accepted, offer))
    if _quality(accepted, best) <= 0:
        raise ServiceError(
            406,
            f"None of the types in Accept is one that a report has; {', '.join(offers)} are "
            "accepted.",
        )
    return best


def _read_accept(request: Request) -> dict[str, float]:
    """Read the media ranges of `Accept`, each with its quality; all of them without the header."""
    return _weights(request, "accept") or {"*/*": 1.0}


def _weights(request: Request, header: str) -> dict[str, float]:
    return read_weights(",".join(request.headers.getlist(header)))


def _language_weight(accepted: Mapping[str, float], language: str) -> float:
    """The quality of a language, also under the name of a region, `de-at`; else that of `*`."""
    named = [weight for tag, weight in accepted.items() if tag.partition("-")[0] == language]
    return max(named, default=accepted.get("*", 0.0))


def _quality(accepted: Mapping[str, float], offer: str) -> float:
    """The quality of the most specific range that an offer is in; 0 if it is in none."""
    main = offer.partition("/")[0]
    return next((accepted[r] for r in (offer, f"{main}/*", "*/*") if r in accepted), 0.0)
