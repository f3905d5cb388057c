"""Reports of audits, read from what somebody hands over."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from artifact.json_document import read_json
from audit.names import readable
from audit.report import Report
from imaging.refusal import RefusedError

_MOST_LISTED: Final = 1000
"""Faults of which the first is named: to list more takes long, and no other thread goes on."""


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
        read = read_json(document) if isinstance(document, bytes) else document
        json.dumps(read, ensure_ascii=False).encode()
        return Report.model_validate(read)
    except ValidationError as error:
        raise _refused(called, first_fault(error)) from error
    except UnicodeEncodeError as error:
        half = ": it holds half of a pair of surrogates, which no text does"
        raise _refused(called, half) from error
    except (ValueError, RecursionError) as error:
        raise _refused(called, f" ({readable(str(error))[:200]})") from error


def first_fault(error: ValidationError) -> str:
    """Say what is wrong with a report first, and where, in parentheses."""
    if error.error_count() > _MOST_LISTED:
        return f" (it is wrong in {error.error_count()} places)"
    first = error.errors(include_url=False, include_input=False)[0]
    where = readable(".".join(map(str, first["loc"])))[:200] or "its beginning"
    return f" (at {where}: {first['msg']})"


def _refused(called: str, found: str) -> RefusedError:
    return RefusedError(
        f"{called} is no report of an audit{found}; what `orbitserve audit --format json` writes "
        "is accepted."
    )
