"""One version of a model: its directory checked against its card, and its session opened."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from artifact.audit_set import AuditSet
from artifact.card import Card
from artifact.contract import Images
from artifact.layout import AUDIT_FILE, CARD_FILE, MODEL_FILE
from artifact.probabilities import unlike_logits
from artifact.rewriting import two_or_more
from artifact.session import check_stays_alive
from audit import Stages
from audit.proof import Limits as ProofLimits
from audit.proof.limits import DEFAULT_LIMITS as DEFAULT_PROOF_LIMITS
from imaging.refusal import RefusedError
from service.engine import (
    DEFAULT_LIMITS,
    EngineError,
    GraphError,
    Limits,
    ProviderCandidates,
    Session,
    Signature,
)
from service.protocol import ServedIdentity
from service.repository.folder import (
    ModelRejectedError,
    check_graph,
    read_audit_set,
    read_card,
    read_graph,
)
from service.repository.statistics import Statistics
from service.repository.verification import Verification, verify
from service.settings import ProofMode
from service.shadow import Shadow, ShadowAudits
from service.signatures import NOT_ASKED, SignatureError, SignatureStatus, Verifier

_FEW: Final = 2
"""Images whose probabilities are held against their logits."""


@dataclass(eq=False)
class _Users:
    """How many requests use a version, and what to do when none does any more."""

    count: int = 0
    when_none: Callable[[], object] | None = None


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A version that is loaded: its card, its session and the folder that both came from.

    Whoever awaits while using a version does so inside of `with model:`, so that a version that
    is unloaded meanwhile lives until its last request is answered. It is entered and left, and
    retired, on the event loop.
    """

    folder: Path
    card: Card
    session: Session
    verification: Verification
    load_seconds: float
    card_sha256: str
    signature: SignatureStatus = NOT_ASKED
    statistics: Statistics = field(default_factory=Statistics)
    shadow: Shadow | None = None
    _users: _Users = field(default_factory=_Users)

    def __enter__(self) -> Self:
        self._users.count += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._users.count -= 1
        self._end_if_unused()

    def retire(self, end: Callable[[], object]) -> None:
        """Call `end` as soon as nobody uses this version: now, or after the last request."""
        self._users.when_none = end
        self._end_if_unused()

    @cached_property
    def identity(self) -> ServedIdentity:
        """Name, version and digest, as answers carry them."""
        digest = f"sha256:{self.card.sha256}"
        return {"name": self.card.name, "version": self.card.version, "digest": digest}

    @cached_property
    def ends(self) -> Signature:
        """What the graph takes and gives, by its card."""
        return _ends(self.card)

    def check_folder(self) -> None:
        """Refuse a folder whose files are not, or no longer, those that were loaded.

        Raises
        ------
        ModelRejectedError
            Saying which file is another.
        """
        if read_card(self.folder)[1][CARD_FILE] != self.card_sha256:
            raise ModelRejectedError(f"{CARD_FILE} is another than the one that was loaded.")
        read_graph(self.folder, self.card)
        read_audit_set(self.folder, self.card)

    def read_graph(self) -> bytes:
        """Read `model.onnx` again, refusing it if it is not the file that was loaded."""
        return read_graph(self.folder, self.card)

    def audit_set(self) -> AuditSet:
        """Read the bundled audit set, refusing it if it is not the one on the card."""
        return read_audit_set(self.folder, self.card)

    def _end_if_unused(self) -> None:
        users = self._users
        if users.count == 0 and users.when_none is not None:
            end, users.when_none = users.when_none, None
            end()


def load_version(
    folder: Path,
    candidates: ProviderCandidates,
    threads: int,
    limits: Limits = DEFAULT_LIMITS,
    mode: ProofMode = "report",
    verifier: Verifier | None = None,
    proof_limits: ProofLimits = DEFAULT_PROOF_LIMITS,
    until: float = math.inf,
    progress: Stages = lambda *_: None,
    *,
    apart: bool = False,
) -> ServedModel:
    """Check one version directory against its card, open its session, and verify the card's claims.

    The proof ends before the point `until` of `time.monotonic`; nothing else is stopped there.
    `progress` is that of `verify`. With ``apart`` the graph is opened in a process of its own
    first, so that this one does not end with it.

    Raises
    ------
    ModelRejectedError
        If there is a verifier and the version is not signed; if a file is missing, unreadable or
        not the one on the card; if the graph is refused or does not open, or gives probabilities
        that are not those of its logits; or if ``mode`` is `enforce` and the card claims what is
        not so, or the proof ends at a limit or an error.
    """
    began = time.perf_counter()
    card, digests, signature = _read_signed_card(folder, verifier)
    data = read_graph(folder, card)
    check_graph(data)
    if apart:
        _check_stays_alive(data, limits.max_batch_size)
    audit_set = read_audit_set(folder, card)
    session = _open(data, card, candidates, threads, limits)
    runtime = ", ".join(session.graph.configuration.providers)
    try:
        images = audit_set.images
        _check_probabilities(data, card, session, images)
        found = verify(
            card, data, session.logits, images, runtime, mode, proof_limits, until, progress
        )
        if mode == "enforce" and found.differences:
            raise ModelRejectedError(" ".join(found.differences))
    except BaseException as error:
        session.close()
        if isinstance(error, EngineError | RefusedError):
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise ModelRejectedError(
                f"{MODEL_FILE} is refused: it fails on images of {AUDIT_FILE}: {reason}."
            ) from error
        raise
    seconds = time.perf_counter() - began
    return ServedModel(folder, card, session, found, seconds, digests[CARD_FILE], signature)


def open_tried(
    folder: Path,
    card_sha256: str,
    verification: Verification,
    candidates: ProviderCandidates,
    threads: int,
    limits: Limits,
    verifier: Verifier | None = None,
    shadows: ShadowAudits | None = None,
    quick: bool | None = None,
) -> ServedModel:
    """Open a version that `load_version` has loaded in another process, and found worth serving.

    It runs on as many threads as there: `quick` is what its graph was found to be.

    Raises
    ------
    ModelRejectedError
        If its files are no longer those, or do what they did not do there.
    """
    began = time.perf_counter()
    card, digests, signature = _read_signed_card(folder, verifier)
    if digests[CARD_FILE] != card_sha256:
        raise ModelRejectedError(f"{CARD_FILE} is another than the one that was tried.")
    session = _open(read_graph(folder, card), card, candidates, threads, limits, quick)
    seconds = time.perf_counter() - began
    shadow = shadows.of(card, session) if shadows else None
    model = ServedModel(
        folder, card, session, verification, seconds, card_sha256, signature, shadow=shadow
    )
    session.observers.append(model.statistics)
    return model


def _read_signed_card(
    folder: Path, verifier: Verifier | None
) -> tuple[Card, dict[str, str], SignatureStatus]:
    card, digests = read_card(folder)
    try:
        signature = verifier.verify(folder, digests) if verifier else NOT_ASKED
    except SignatureError as error:
        raise ModelRejectedError(str(error)) from error
    return card, digests, signature


def _check_stays_alive(data: bytes, most: int) -> None:
    try:
        check_stays_alive(data, most=most)
    except RefusedError as error:
        raise ModelRejectedError(f"{MODEL_FILE} is refused: {error}") from error


def _open(
    data: bytes,
    card: Card,
    candidates: ProviderCandidates,
    threads: int,
    limits: Limits,
    quick: bool | None = None,
) -> Session:
    try:
        return Session(data, _ends(card), candidates, threads, limits, quick)
    except GraphError as error:
        raise ModelRejectedError(f"{MODEL_FILE} is refused: {error}.") from error


def _check_probabilities(data: bytes, card: Card, session: Session, images: Images) -> None:
    logits, probabilities = session.run(two_or_more(images[:_FEW]))
    unlike = unlike_logits(data, logits, probabilities, multi_label=card.multi_label)
    if unlike is not None:
        raise ModelRejectedError(f"{MODEL_FILE} is refused: {unlike}")


def _ends(card: Card) -> Signature:
    fit = card.input.fit
    return Signature(card.input.channels, fit.size, len(card.classes), fit.width)
