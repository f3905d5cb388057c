"""Two reports, stored or sent, compared: is the second model worse than the first?"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final

from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from artifact.values import Sha256
from audit import Report
from audit.comparison import Comparison, ComparisonOptions, compare
from audit.reading import parse_report
from audit.render import Language
from audit.render.comparison import COMPARISON_FORMATS, ComparisonFormat
from imaging import RefusedError
from service.api.addresses import Audits
from service.api.audits.formats import choose_language, language_headers, preferred_type
from service.api.audits.stored import ledger_of, read_stored
from service.api.bodies import errors_documented, read_body
from service.errors import ServiceError, TooLargeError
from service.http.service_route import ServiceRoute
from service.ledger import Ledger
from service.protocol import Body
from service.protocol.media import JSON, MULTIPART
from service.protocol.reports import FIELDS, read_reports
from service.turns import Turns

_MOST_WAITING: Final = 8

_BODIES: Final[dict[str, Any]] = {
    type_: {
        "schema": {
            "type": "object",
            "properties": dict.fromkeys(FIELDS, schema),
            "required": [*FIELDS],
            "additionalProperties": False,
        }
    }
    for type_, schema in (
        (JSON, {"type": "object", "description": "A report, as the format `json` has it."}),
        (MULTIPART, {"type": "string", "format": "binary"}),
    )
}

Pair = tuple[Report, Report]

_BY_TYPE: Final[dict[str, ComparisonFormat]] = {
    rendering.media_type: name for name, rendering in COMPARISON_FORMATS.items()
}


class ComparisonQuery(ComparisonOptions):
    """By how much the second model may be worse, and the format of the comparison."""

    format: Annotated[
        ComparisonFormat | None,
        Field(description="Format of the comparison; by default as `Accept` asks."),
    ] = None


class StoredReports(ComparisonQuery):
    """Which reports of the ledger are compared, and how."""

    a: Annotated[Sha256, Field(description="Digest of the report of what was there before.")]
    b: Annotated[Sha256, Field(description="Digest of the report of what is to take its place.")]


def comparison_routes(max_images: int) -> list[ServiceRoute]:
    """Build the routes of `/audits/compare`, for reports of at most so many images each."""
    turns = Turns("comparisons", 1, _MOST_WAITING)

    async def answer(
        request: Request, options: ComparisonQuery, read: Callable[[], Pair]
    ) -> Response:
        chosen = _format(request, options)
        turns.check_room()
        language = choose_language(request)
        content = await turns.run(_compared, read, options, max_images, chosen, language)
        rendering = COMPARISON_FORMATS[chosen]
        varies = language_headers(language, translated=rendering.translate is not None)
        headers = {**varies, "Cache-Control": "private, no-cache"}
        return Response(content, media_type=rendering.media_type, headers=headers)

    async def compare_stored(
        request: Request, audits: Audits, query: Annotated[StoredReports, Query()]
    ) -> Response:
        """Compare two reports of the ledger that are on the same images.

        The verdict is `PASS` where the second model is shown not to be worse by more than the
        margins, `FAIL` where it is shown to be worse, else `INCONCLUSIVE`.
        """
        return await answer(request, query, partial(_stored, ledger_of(audits), query.a, query.b))

    async def compare_sent(
        request: Request, query: Annotated[ComparisonQuery, Query()]
    ) -> Response:
        """Compare two reports that are sent, whoever made them; nothing of them is kept.

        `a` is the report of what was there before, `b` that of what is to take its place: fields of
        a JSON object, or files of a form. The verdict is as of two reports of the ledger.
        """
        # What cannot be answered is refused before its body is received.
        _format(request, query)
        turns.check_room()
        return await answer(request, query, partial(_sent, await read_body(request), max_images))

    return [
        ServiceRoute(
            "/audits/compare",
            compare_stored,
            needs="admin",
            tags=["audits"],
            summary="Compare two reports of the ledger",
            response_model=Comparison,
            responses=_documented(404, 406, 413, 422, 500, 503),
        ),
        ServiceRoute(
            "/audits/compare",
            compare_sent,
            needs="admin",
            methods=["POST"],
            tags=["audits"],
            summary="Compare two reports that are sent",
            response_model=Comparison,
            responses=_documented(400, 406, 408, 413, 415, 422, 503),
            openapi_extra={"requestBody": {"content": _BODIES, "required": True}},
        ),
    ]


def _documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    text = {"schema": {"type": "string"}}
    others = {type_: text for type_ in _BY_TYPE if type_ != JSON}
    return {
        200: {"description": "The comparison.", "content": others},
        **errors_documented(*statuses),
    }


def _format(request: Request, options: ComparisonQuery) -> ComparisonFormat:
    return options.format or _BY_TYPE[preferred_type(request, [*_BY_TYPE])]


def _stored(ledger: Ledger, *digests: Sha256) -> Pair:
    first, second = (read_stored(ledger, digest, whole=True) for digest in digests)
    return first, second


def _sent(body: Body, max_images: int) -> Pair:
    first, second = read_reports(body, max_images)
    return parse_report(first, "The report 'a'"), parse_report(second, "The report 'b'")


def _compared(
    read: Callable[[], Pair],
    options: ComparisonQuery,
    max_images: int,
    chosen: ComparisonFormat,
    language: Language,
) -> bytes:
    try:
        reports = read()
        for name, report in zip("AB", reports, strict=True):
            _check_size(name, len(report.data.image_sha256), max_images)
        comparison = compare(*reports, options.margins, pictures=options.pictures)
    except RefusedError as error:
        raise ServiceError(422, str(error)) from error
    return COMPARISON_FORMATS[chosen].write(comparison, language)


def _check_size(name: str, images: int, max_images: int) -> None:
    if images > max_images:
        raise TooLargeError(
            f"The report {name} is of {images} images; at most {max_images} are accepted "
            "(`orbitserve compare` takes more)."
        )
