"""Reports of audits, read from what somebody hands over."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from audit.names import readable
from audit.report import Report
from imaging.refusal import RefusedError


def parse_report(document: bytes | Mapping[str, Any], called: str) -> Report:
    """Read a report's JSON, as text or already as an object.

    Parameters
    ----------
    called
        What a refusal calls it.

    Raises
    ------
    RefusedError
        If it is no report, or one of a version that is not known.
    """
    try:
        if isinstance(document, bytes):
            return Report.model_validate_json(document)
        json.dumps(document, ensure_ascii=False).encode()
        return Report.model_validate(document)
    except UnicodeEncodeError as error:
        raise RefusedError(
            f"{called} is no report of an audit: it holds half of a pair of surrogates, which no "
            "text does; what `orbitserve audit --format json` writes is accepted."
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = readable(".".join(map(str, first["loc"])))[:200] or "its beginning"
        raise RefusedError(
            f"{called} is no report of an audit (at {where}: {first['msg']}); what `orbitserve "
            "audit --format json` writes is accepted."
        ) from error
