"""The formats that a report has: what each is called, where, and who writes it."""

import json
from collections.abc import Mapping
from typing import Final, Literal

from audit.canonical import SCHEMA_VERSION, report_document
from audit.envelope import Signer
from audit.render.cyclonedx import render_cyclonedx
from audit.render.dsse import render_dsse
from audit.render.html import render_html
from audit.render.in_toto import render_in_toto
from audit.render.junit import render_junit
from audit.render.language import Language
from audit.render.rendering import Rendering, as_json
from audit.render.sarif import render_sarif
from audit.render.text import render_text
from audit.report import Report

Format = Literal["json", "text", "html", "junit", "sarif", "in-toto", "cyclonedx", "dsse"]
Renderings = Mapping[Format, Rendering[Report]]


def _json(report: Report) -> bytes:
    if report.schema_version < SCHEMA_VERSION:
        return (json.dumps(report_document(report), indent=2, ensure_ascii=False) + "\n").encode()
    return as_json(report)


def _text(report: Report, language: Language = "en") -> bytes:
    return (render_text(report, language) + "\n").encode()


FORMATS: Final[Renderings] = {
    "json": Rendering("application/json", ".json", _json),
    "text": Rendering("text/plain", ".txt", _text, _text),
    "html": Rendering("text/html", ".html", render_html, render_html),
    "junit": Rendering("application/xml", ".xml", render_junit),
    "sarif": Rendering("application/sarif+json", ".sarif", render_sarif),
    "in-toto": Rendering("application/vnd.in-toto+json", ".intoto.json", render_in_toto),
    "cyclonedx": Rendering("application/vnd.cyclonedx+json", ".cdx.json", render_cyclonedx),
}


SIGNED: Final[Format] = "dsse"
SIGNED_SUFFIX: Final = ".intoto.jsonl"
SIGNED_TYPE: Final = "application/vnd.in-toto.test-result+dsse"


def formats(signer: Signer | None = None) -> Renderings:
    """Return the formats that can be had: the signed statement only from who has a key."""
    if signer is None:
        return FORMATS
    signed: Rendering[Report] = Rendering(
        SIGNED_TYPE,
        SIGNED_SUFFIX,
        lambda report: render_dsse(report, signer),
    )
    return {**FORMATS, SIGNED: signed}


def render(
    report: Report,
    format: Format,  # noqa: A002 - what the option is called
    renderings: Renderings = FORMATS,
    language: Language = "en",
) -> bytes:
    """Write a report in a format, in a language where the format is one that people read."""
    return renderings[format].write(report, language)
