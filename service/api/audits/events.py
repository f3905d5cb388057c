"""An audit as server-sent events: its progress, and its report as the last one."""

import json
from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from audit.render import Format, Language, render
from service.api.audits.formats import EVENTS
from service.audits import Job, JobQueue
from service.errors import refusal_of

_LOOK_AFTER: Final = 0.2
"""Seconds between two looks at an audit."""

_QUIET: Final = 15.0
"""Seconds after which a comment keeps proxies from taking silence for an end."""


class EventResponse(StreamingResponse):
    """`progress` with `done` and `total`, then `report` in a format, or `error`.

    An audit whose listener hangs up is cancelled: nobody would get its report.
    """

    media_type = EVENTS

    def __init__(
        self, job: Job, report_format: Format, audits: JobQueue, language: Language
    ) -> None:
        super().__init__(
            _events(job, report_format, audits, language),
            headers={
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
                "Vary": "Accept, Accept-Language",
            },
        )
        self._job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._job.cancel()


async def _events(
    job: Job, report_format: Format, audits: JobQueue, language: Language
) -> AsyncIterator[bytes]:
    told, quiet = None, 0.0
    while True:
        progress = {"state": job.state, "done": job.done, "total": job.total}
        if progress != told:
            told, quiet = progress, 0.0
            yield _event("progress", json.dumps(progress))
        if job.ended:
            break
        quiet += _LOOK_AFTER
        if quiet >= _QUIET:
            quiet = 0.0
            yield b": the audit goes on\n\n"
        await job.wait(_LOOK_AFTER)
    try:
        finished = await job.result()
    except Exception as error:
        refusal = refusal_of(error)
        sentence = {"error": refusal.sentence, "status": refusal.status}
        yield _event("error", json.dumps(sentence, ensure_ascii=False))
    else:
        content = await audits.turns.run(
            render, finished.report, report_format, audits.formats, language
        )
        yield _event("report", content.decode())


def _event(name: str, data: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
    return f"event: {name}\n{lines}\n".encode()
