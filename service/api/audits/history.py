"""A model's audits in the ledger, with the figures of each: as JSON, or as a page with curves."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from artifact.values import Sha256
from audit.history import History, HistoryPoint
from audit.render.history import Addresses, render_history
from service.api.addresses import Audits, RootPath
from service.api.audits.formats import preferred_type
from service.api.audits.ledger import report_path
from service.api.audits.stored import ledger_of, read_stored
from service.api.bodies import errors_documented
from service.errors import ServiceError, UnavailableError
from service.http.service_route import ServiceRoute
from service.ledger import Entry, Ledger, LedgerError

HistoryFormat = Literal["json", "html"]

_BY_TYPE: Final[dict[str, HistoryFormat]] = {"application/json": "json", "text/html": "html"}


class HistoryQuery(BaseModel):
    """Whose audits, and which of them."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(description="Name of a model.")]
    version: Annotated[int | None, Field(ge=1, description="Of this version alone.")] = None
    group: Annotated[str | None, Field(description="Over this group alone.")] = None
    limit: Annotated[int, Field(ge=1, le=200, description="Most audits, the newest ones.")] = 50
    format: Annotated[
        HistoryFormat | None,
        Field(description="Format of the answer; by default as `Accept` asks."),
    ] = None

    def wants(self, entry: Entry) -> bool:
        """Whether an entry is one of those that are asked for."""
        asked = self.model_dump(include={"model", "version", "group"}, exclude_none=True)
        return all(getattr(entry, name) == value for name, value in asked.items())


def history_routes() -> list[ServiceRoute]:
    """Build the route of `/audits/history`."""
    page: dict[str, Any] = {"text/html": {"schema": {"type": "string"}}}
    return [
        ServiceRoute(
            "/audits/history",
            _history,
            needs="admin",
            tags=["audits"],
            summary="Show how a model's audits went",
            response_model=History,
            responses={
                200: {"description": "The figures of each audit.", "content": page},
                **errors_documented(404, 406, 422, 503),
            },
        )
    ]


async def _history(
    request: Request, audits: Audits, root: RootPath, query: Annotated[HistoryQuery, Query()]
) -> Response:
    """Answer the figures of a model's audits, the oldest first; as a page, drawn as curves."""
    chosen = query.format or _BY_TYPE[preferred_type(request, [*_BY_TYPE])]
    ledger = ledger_of(audits)
    audits.turns.check_room()
    content = await audits.turns.run(_content, ledger, query, chosen, root)
    headers = {"Vary": "Accept", "Cache-Control": "private, no-cache"}
    media_type = next(type_ for type_, name in _BY_TYPE.items() if name == chosen)
    return Response(content, media_type=media_type, headers=headers)


def _content(ledger: Ledger, query: HistoryQuery, chosen: HistoryFormat, root: str) -> bytes:
    history = _read(ledger, query)
    if chosen == "html":
        return render_history(history, _addresses(root))
    return history.model_dump_json().encode()


def _addresses(root: str) -> Addresses:
    def comparison(a: Sha256, b: Sha256) -> str:
        return f"{root}/audits/compare?{urlencode({'a': a, 'b': b, 'format': 'html'})}"

    return Addresses(
        report=lambda digest: f"{report_path(digest, root)}?format=html", comparison=comparison
    )


def _read(ledger: Ledger, query: HistoryQuery) -> History:
    entries, faults = list[Entry](), dict[str, None]()  # each once
    before: int | None = None
    try:
        while len(entries) < query.limit:
            page = ledger.page(query.limit - len(entries), before, query.wants)
            entries += page.entries
            faults |= dict.fromkeys(page.faults)
            before = page.before
            if before is None:
                break
    except LedgerError as error:
        raise UnavailableError(str(error)) from error
    points = [*_points(ledger, entries[::-1], faults)]
    return History(model=query.model, points=tuple(points), faults=tuple(faults))


def _points(
    ledger: Ledger, entries: list[Entry], faults: dict[str, None]
) -> Iterator[HistoryPoint]:
    known: dict[Sha256, HistoryPoint] = {}
    for entry in entries:
        if entry.report not in known:
            try:
                report = read_stored(ledger, entry.report)
            except UnavailableError:
                raise
            except ServiceError as error:  # of this report alone; the others are shown
                faults[error.sentence] = None
                continue
            known[entry.report] = HistoryPoint.of(entry.number, entry.stored, entry.report, report)
        yield known[entry.report].model_copy(
            update={"number": entry.number, "stored": entry.stored}
        )
