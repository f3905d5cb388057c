"""The ledger over HTTP: which audits were made, and each report by its digest."""

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from artifact.values import Sha256, Verdict
from audit import Report
from audit.render import SIGNED, Language, Rendering
from service.api.addresses import Audits, RootPath
from service.api.audits.formats import (
    ReportQuery,
    choose_format,
    choose_language,
    language_headers,
    report_documented,
)
from service.api.audits.stored import ledger_of, parsed, read_bytes
from service.api.bodies import errors_documented
from service.api.pages import tagged
from service.errors import UnavailableError
from service.http.service_route import ServiceRoute
from service.ledger import Entry, LedgerError

_FOREVER: Final = "private, max-age=31536000, immutable"


class LedgerQuery(BaseModel):
    """Which audits are listed."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str | None, Field(description="Of this model alone.")] = None
    version: Annotated[int | None, Field(ge=1, description="Of this version alone.")] = None
    verdict: Annotated[Verdict | None, Field(description="With this verdict alone.")] = None
    limit: Annotated[int, Field(ge=1, le=500, description="Most audits of one answer.")] = 50
    before: Annotated[
        int | None, Field(ge=1, description="Those that were stored before the one of this number.")
    ] = None

    def wants(self, entry: Entry) -> bool:
        """Whether an entry is one of those that are asked for."""
        asked = self.model_dump(include={"model", "version", "verdict"}, exclude_none=True)
        return all(getattr(entry, name) == value for name, value in asked.items())

    def following(self, before: int | None, root: str) -> str | None:
        """Return the path of the page with what is older than an entry, if anything is."""
        if before is None:
            return None
        asked = self.model_dump(exclude_none=True) | {"before": before}
        return f"{root}/audits?{urlencode(asked)}"


class AuditList(BaseModel):
    """Audits of the ledger, newest first.

    Attributes
    ----------
    head
        SHA-256 of the newest entry: who remembers it notices if entries are cut off later.
    next
        Where older audits are listed.
    faults
        What is missing among the entries that were looked at, or no longer what it was.
    """

    audits: list[Entry]
    head: Sha256 | None
    next: str | None
    faults: list[str]


def ledger_routes(*, signed: bool) -> list[ServiceRoute]:
    """Build the routes of `/audits`."""
    return [
        ServiceRoute(
            "/audits",
            _list,
            needs="admin",
            tags=["audits"],
            summary="List the audits of the ledger",
            response_model=AuditList,
            responses=errors_documented(404, 422, 503),
        ),
        ServiceRoute(
            "/audits/{digest}",
            _show,
            needs="admin",
            tags=["audits"],
            summary="Answer a report of the ledger",
            response_model=Report,
            responses={
                200: report_documented(signed=signed),
                304: {"description": "It is the one that the client has."},
                **errors_documented(404, 406, 422, 500, 503),
            },
        ),
    ]


def report_path(digest: Sha256, root: str) -> str:
    """Return where the ledger's report of a digest is answered."""
    return f"{root}/audits/{digest}"


async def _list(
    audits: Audits, root: RootPath, query: Annotated[LedgerQuery, Query()]
) -> AuditList:
    """List audits, newest first; a page can be shorter than `limit` and have a `next` one."""
    ledger = ledger_of(audits)
    audits.turns.check_room()
    try:
        page = await audits.turns.run(ledger.page, query.limit, query.before, query.wants)
    except LedgerError as error:
        raise UnavailableError(str(error)) from error
    return AuditList(
        audits=list(page.entries),
        head=page.head,
        next=query.following(page.before, root),
        faults=list(page.faults),
    )


async def _show(
    request: Request,
    audits: Audits,
    digest: Annotated[str, Path(description="SHA-256 of the report's canonical JSON.")],
    query: Annotated[ReportQuery, Query()],
) -> Response:
    """Answer a report in a format; its JSON is the evidence whose SHA-256 it is found by.

    The other formats have how it was last asked for as well, and where its images lay. Signed, it
    is answered only if an entry names it whose signature counts: else whoever can write to the
    ledger could have anything signed.
    """
    report_format = choose_format(request, query.format, audits.formats)
    whole, ledger = report_format != "json", ledger_of(audits)
    read = ledger.read_whole if whole else ledger.read
    if report_format == SIGNED:
        read = ledger.read_trusted
    rendering, language = audits.formats[report_format], choose_language(request)

    def content() -> bytes:
        stored = read_bytes(read, digest)
        return _rendered(stored, rendering, language) if whole else stored

    audits.turns.check_room()
    headers = {
        # Another version of the service may write another page of the same report, but no other
        # JSON; and who asks for it again asks otherwise.
        "Cache-Control": "private, no-cache" if whole else _FOREVER,
        **language_headers(language, translated=rendering.translate is not None),
    }
    return tagged(request, await audits.turns.run(content), rendering.media_type, headers)


def _rendered(stored: bytes, rendering: Rendering[Report], language: Language) -> bytes:
    report = parsed(stored, "The report", 406, "format=json is accepted")
    return rendering.write(report, language)
