"""What `orbitserve verify` finds, in sentences."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from artifact.files import MOST_GRAPH
from artifact.json_document import read_json
from audit.attestation import Attestation, AttestationError
from audit.envelope import Envelope, EnvelopeError
from audit.render import SIGNED_SUFFIX
from commands.reading import settings_of_a_command
from imaging import RefusedError
from imaging.files import read_named
from service.ledger import LedgerError, check_ledger, open_ledger
from service.signatures import SignatureError, SignatureStatus, Trust, open_trust

Findings = tuple[bool, list[str]]
"""Whether all is good, and a sentence for each thing."""

_LARGEST: Final = 2**30
"""Bytes of a report or its envelope."""

_TOLD: Final = (
    "the file that the audited model is said to be of (what ran it is not known), with the digest"
)
_DIGEST: Final = re.compile("[0-9a-f]{64}")


def read_trust(key: Path | None, roots: Path | None, identity: str | None) -> Trust | None:
    """Return whose signatures count: as the options say or, without any, the settings.

    Raises
    ------
    ValueError
        If what they name cannot be used.
    """
    settings = settings_of_a_command(None)
    if key is not None or roots is not None:
        named = {"public_key": key, "certificate_roots": roots}
        settings = settings.model_copy(update=named)
    return open_trust(settings, identity)


def ledger_findings(url: str, held: str | None, trust: Trust | None, *, unsigned: bool) -> Findings:
    """Check a ledger, which may be unsigned or not; raise ValueError if it cannot be read."""
    if held is not None and not _DIGEST.fullmatch(held):
        raise RefusedError(f"--head is {held!r}; 64 digits of 0 to 9 and a to f are accepted.")
    try:
        found = check_ledger(open_ledger(url, make=False), held, trust, unsigned=unsigned)
    except LedgerError as error:
        raise RefusedError(f"{url}: {error}") from error
    if found.faults:
        return False, list(found.faults)
    signed = f"{found.signed} of them signed"
    if trust is not None:  # where no option names a key, nobody asked that any be signed
        signed += "; a --key asks that the newest is" if unsigned else " as asked"
    elif found.signed:
        signed = f"{found.signed} of them with a signature, which only a --key verifies"
    count = f"{found.entries} {_entries(found.entries)} ({signed})"
    return True, [f"{url}: {count} and their reports are what was stored; head {found.head}"]


def _entries(count: int) -> str:
    return "entry" if count == 1 else "entries"


@dataclass(frozen=True)
class _Asked:
    """What is to be verified: envelopes with their file, and a report with its own."""

    signed: Path
    envelopes: Sequence[dict[str, Any]]
    report: tuple[Path, dict[str, Any]] | None
    model: tuple[Path, str] | None


def report_findings(files: Sequence[Path], model: Path | None, trust: Trust | None) -> Findings:
    """Verify a report or its envelope; raise ValueError if one cannot be read.

    Of a bundle, an envelope that verifies is enough: others may be of other reports.
    """
    asked = _read(files, model)
    if trust is None:
        raise RefusedError(
            "Nobody's signature counts; --key names the signer's public key, --certificate-roots "
            "the roots of its certificate."
        )
    failures = []
    for document in asked.envelopes:
        try:
            return True, list(_verified(asked, Envelope.parse(document), trust))
        except (SignatureError, AttestationError, EnvelopeError) as error:
            failures.append(f"{asked.signed}: {error}")
    return False, failures


def _verified(asked: _Asked, envelope: Envelope, trust: Trust) -> Iterator[str]:
    status = _signer(envelope, trust)
    whom = f"the key {status.key}" + (f" of {status.subject}" if status.subject else "")
    said = Attestation.read(envelope)
    yield f"{asked.signed}: signed by {whom}: {said.result} for {said.model}"
    if asked.report is None:
        yield f"{asked.signed}: its report, {said.report_sha256}, is not here and was not read"
    else:
        path, report = asked.report
        said.check_report(report)
        yield f"{path}: the report that was signed, with the digest {said.report_sha256}"
    if asked.model is not None:
        path, digest = asked.model
        said.check_model(digest)
        ran = said.ran and (asked.report is None or asked.report[1].get("execution") is not None)
        told = "the file that was audited, with the digest" if ran else _TOLD
        yield f"{path}: {told} {digest}"


def _signer(envelope: Envelope, trust: Trust) -> SignatureStatus:
    """Return who signed; of several signatures, one that counts is enough."""
    failure = SignatureError("There is no signature.")
    for signature in envelope.signatures:
        try:
            return trust.verify(envelope.message, signature)
        except SignatureError as error:
            failure = error
    raise failure


def _read(files: Sequence[Path], model: Path | None) -> _Asked:
    envelopes: list[tuple[Path, list[dict[str, Any]]]] = []
    reports: list[tuple[Path, dict[str, Any]]] = []
    for path in [*files, *_beside(files)]:
        content = read_named(path, _LARGEST)
        if found := _envelopes(content):
            envelopes.append((path, found))
        else:
            reports.append((path, _report(path, content)))
    if not envelopes:
        raise RefusedError(
            f"There is no envelope of {files[0]}; one beside it that ends in {SIGNED_SUFFIX} in "
            "place of .json, or one that is named, is accepted."
        )
    if len(envelopes) > 1 or len(reports) > 1:
        raise RefusedError("One report and one envelope are verified at a time.")
    digest = (
        None
        if model is None
        else (model, hashlib.sha256(read_named(model, MOST_GRAPH)).hexdigest())
    )
    return _Asked(*envelopes[0], reports[0] if reports else None, digest)


def _beside(files: Sequence[Path]) -> Iterator[Path]:
    """The file that belongs to the one that is named, if it is there."""
    if len(files) != 1 or not files[0].name:  # as of the folder that one is in
        return
    (path,) = files
    if path.name.endswith(SIGNED_SUFFIX):
        stem = path.name.removesuffix(SIGNED_SUFFIX)
        names = [f"{stem}.json", stem]
    else:
        names = [f"{path.name.removesuffix('.json')}{SIGNED_SUFFIX}", f"{path.name}{SIGNED_SUFFIX}"]
    there = [path.with_name(name) for name in names if name]
    yield from [each for each in there if each.is_file()][:1]


def _envelopes(content: bytes) -> list[dict[str, Any]]:
    """Read the envelopes of a file: it is one, or has one a line; other lines are passed over."""
    found = []
    for text in [content] if _is_json(content) else content.splitlines():
        try:
            document = read_json(text)
        except ValueError:
            continue
        if "payloadType" in document:
            found.append(document)
    return found


def _is_json(content: bytes) -> bool:
    try:
        read_json(content)
    except ValueError:
        return False
    return True


def _report(path: Path, content: bytes) -> dict[str, Any]:
    try:
        report = read_json(content)
    except ValueError as error:
        raise RefusedError(
            f"{path} is neither a report as JSON nor its envelope ({error}); --format json writes "
            "the one, --format dsse the other."
        ) from error
    if "verdict" not in report:
        raise RefusedError(f"{path} is JSON, but neither a report nor the envelope of one.")
    return report
