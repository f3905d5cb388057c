"""Two reports of the ledger, compared: is the second model worse than the first?"""

from typing import Annotated, Any, Final

from anyio import CapacityLimiter, to_thread
from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from artifact.values import Sha256
from audit import Proportion, Tolerance
from audit.comparison import Comparison, Margins, compare
from audit.render.comparison import COMPARISON_FORMATS, ComparisonFormat, render_comparison
from imaging import RefusedError
from service.api.addresses import Audits
from service.api.audits.forms import preferred_type
from service.api.audits.stored import ledger_of, read_stored
from service.api.bodies import errors_documented
from service.errors import BusyError, UnprocessableError
from service.http.routes import ServiceRoute
from service.ledger import Ledger

_MOST_WAITING: Final = 8
_PAUSE: Final = 5

_BY_TYPE: Final[dict[str, ComparisonFormat]] = {
    rendering.media_type: name for name, rendering in COMPARISON_FORMATS.items()
}


class ComparisonQuery(BaseModel):
    """Which reports are compared, and by how much the second may be worse."""

    model_config = ConfigDict(extra="forbid")

    a: Annotated[Sha256, Field(description="Digest of the report of what was there before.")]
    b: Annotated[Sha256, Field(description="Digest of the report of what is to take its place.")]
    margin: Annotated[
        Proportion, Field(description="Part of all images that it may be worse on.")
    ] = 0.01
    class_margin: Annotated[
        Proportion, Field(description="Part of each class that it may be worse on.")
    ] = 0.2
    no_classes: Annotated[bool, Field(description="Ask nothing of classes apart.")] = False
    deviation_margin: Annotated[
        float,
        Field(
            gt=0, description="How much farther a logit may move on the average, of the largest."
        ),
    ] = 0.01
    logit_tolerance: Annotated[
        Tolerance | None,
        Field(description="How far a logit may move to count as kept; else as both audits had it."),
    ] = None
    confidence: Annotated[Proportion, Field(description="Of PASS, and of FAIL.")] = 0.95
    pictures: Annotated[
        bool, Field(description="Whether it holds those pictures that the reports have.")
    ] = True
    format: Annotated[
        ComparisonFormat | None,
        Field(description="Form of the comparison; by default as `Accept` asks."),
    ] = None

    @property
    def margins(self) -> Margins:
        """By how much the second may be worse."""
        return Margins(
            margin=self.margin,
            class_margin=None if self.no_classes else self.class_margin,
            deviation_margin=self.deviation_margin,
            logit_tolerance=self.logit_tolerance,
            confidence=self.confidence,
        )


def comparison_routes() -> list[ServiceRoute]:
    """Build the route of `/audits/compare`."""
    text: dict[str, Any] = {"schema": {"type": "string"}}
    others = {type_: text for type_ in _BY_TYPE if type_ != "application/json"}
    turns = CapacityLimiter(1)

    async def compare_stored(
        request: Request, audits: Audits, query: Annotated[ComparisonQuery, Query()]
    ) -> Response:
        """Compare two reports of the ledger that are on the same images.

        The verdict is `PASS` where the second model is shown not to be worse by more than the
        margins, `FAIL` where it is shown to be worse, else `INCONCLUSIVE`.
        """
        form = query.format or _BY_TYPE[preferred_type(request, [*_BY_TYPE])]
        ledger = ledger_of(audits)
        if turns.statistics().tasks_waiting >= _MOST_WAITING:
            raise BusyError(
                f"{_MOST_WAITING} comparisons wait, and no more may; try again later.", _PAUSE
            )
        content = await to_thread.run_sync(_compared, ledger, query, form, limiter=turns)
        headers = {"Vary": "Accept", "Cache-Control": "private, no-cache"}
        return Response(content, media_type=COMPARISON_FORMATS[form].media_type, headers=headers)

    return [
        ServiceRoute(
            "/audits/compare",
            compare_stored,
            needs="admin",
            tags=["audits"],
            summary="Compare two reports of the ledger",
            response_model=Comparison,
            responses={
                200: {"description": "The comparison.", "content": others},
                **errors_documented(404, 406, 422, 500, 503),
            },
        )
    ]


def _compared(ledger: Ledger, query: ComparisonQuery, form: ComparisonFormat) -> bytes:
    first, second = (read_stored(ledger, digest, whole=True) for digest in (query.a, query.b))
    try:
        comparison = compare(first, second, query.margins, pictures=query.pictures)
    except RefusedError as error:
        raise UnprocessableError(str(error)) from error
    return render_comparison(comparison, form)
