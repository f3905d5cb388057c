"""Publishing: a file becomes one version directory of a model repository, or nothing.

Whatever the card says about the file is measured or proved here, from the file that is published.
"""

import errno
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.audit_set import AuditSet, save_audit_set
from artifact.card import (
    AuditSetInfo,
    Card,
    Conversion,
    InputSpec,
    Training,
)
from artifact.contract import INPUT, OUTPUTS
from artifact.cpus import cpu_budget
from artifact.figures import (
    Exactness,
    Metric,
    NetworkSize,
    Parity,
    ProofFigures,
)
from artifact.identity import ModelIdentity
from artifact.layout import (
    AUDIT_FILE,
    CARD_FILE,
    MODEL_FILE,
    check_name,
    next_version,
    written_version,
)
from artifact.origin import Origin
from artifact.probabilities import unlike_logits
from artifact.rewriting import rewritten, two_or_more
from artifact.session import open_session, run_both_ways
from artifact.values import Precision
from audit import (
    ProofSummary,
    RefusedError,
    Report,
    Thresholds,
    measure_exactness,
    run_audit,
    self_test,
)
from audit.card import audit_figures, proof_figures
from audit.elements import audited_elements
from audit.proving import prove_or_give_up
from export.runtime import RUNTIME, open_model
from export.sample import WRITTEN, Sample
from imaging import grid_rotations
from imaging.writing import check_folder

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

_TAKEN: Final = (errno.EEXIST, errno.ENOTEMPTY)
"""How the system says that a folder of this name is there."""

_EXACT: tuple[Precision, ...] = ("int8", "integer", "qdq")


class InexactError(RefusedError):
    """A file of a precision that promises equal bits does not give them."""


@dataclass(frozen=True)
class Candidate:
    """A file that is to become a version, with what is known of it beforehand.

    The attributes are those of `artifact.card.Card`.

    Attributes
    ----------
    sample
        How many images of the audit set are used; by default all.
    """

    name: str
    model: bytes
    description: str
    group: str
    precision: Precision
    classes: tuple[str, ...]
    input: InputSpec
    audit_set: AuditSet
    audit_source: str
    data_licence: str
    size: NetworkSize
    parity: Parity | None = None
    metrics: dict[str, Metric] | None = None
    training: Training | None = None
    conversion: Conversion | None = None
    origin: Origin | None = None
    multi_label: bool = False
    sample: Sample | None = None

    @property
    def sha256(self) -> str:
        """Of the file."""
        return hashlib.sha256(self.model).hexdigest()

    @property
    def audited_group(self) -> str:
        """The group to audit: a model without a symmetry is audited too, to say what it lacks."""
        return grid_rotations(*self.input.fit.shape) if self.group == "trivial" else self.group

    @property
    def audited(self) -> AuditSet:
        """The images to audit: from all over the audit set, if it is sampled."""
        return self.audit_set.spread(None if self.sample is None else self.sample.audited)

    @property
    def measured(self) -> NDArray[np.uint8]:
        """The images to try exactness and the self-test on."""
        return self.audited.spread(None if self.sample is None else self.sample.measured).images


def check_place(repository: Path, name: str) -> None:
    """Refuse a name that no model may have, or a place where no version of it can be written.

    It is for the beginning of what takes long and is published in the end.
    """
    check_name(name)
    check_folder(repository / name, "--repository")


def publish(candidate: Candidate, repository: Path, progress: Progress = lambda *_: None) -> Path:
    """Prove, measure and audit a file, write its card, and return the new version's directory.

    Raises
    ------
    InexactError
        If the precision promises equal bits, and rotated images or other batches get others.
    RefusedError
        If what onnxruntime makes of the file gives other logits than the file, run node by node, or
        probabilities that are not those of its logits.
    ValueError
        If the name is no name for a model, no version of it can be written, the proof takes more
        than it may, or no audit can be made.
    """
    check_place(repository, candidate.name)
    progress(f"proving {candidate.audited_group}", 0, 1)
    proof = prove_or_give_up(candidate.model, candidate.audited_group, runtime=run_both_ways)
    progress(f"proving {candidate.audited_group}", 1, 1)
    _check_answers(candidate)
    exactness = _measure(candidate, progress)
    folder = repository / candidate.name
    identity = ModelIdentity(
        name=candidate.name,
        version=next_version(folder),
        sha256=candidate.sha256,
        group=candidate.group,
        precision=candidate.precision,
        classes=candidate.classes,
        multi_label=candidate.multi_label,
    )
    summary = ProofSummary.of(
        proof, audited_elements(candidate.audited_group), runs_exactly=exactness.exact
    )
    report = _audit(candidate, identity, summary, progress)
    card = _card(candidate, identity, proof_figures(proof), exactness, report)
    while True:  # another may have come while this one was measured, and while it was written
        version = next_version(folder)
        try:
            with written_version(folder, version) as partial:
                _write(candidate, card.model_copy(update={"version": version}), partial)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        else:
            return folder / str(version)


def _write(candidate: Candidate, card: Card, folder: Path) -> None:
    (folder / MODEL_FILE).write_bytes(candidate.model)
    save_audit_set(folder / AUDIT_FILE, candidate.audit_set)
    (folder / CARD_FILE).write_text(card.model_dump_json(indent=2) + "\n")


def _check_answers(candidate: Candidate) -> None:
    """Refuse a file that contradicts itself, or of which onnxruntime makes another function."""
    images = two_or_more(candidate.measured[:WRITTEN])
    session = open_session(candidate.model, cpu_budget())
    logits, probabilities = session.run(OUTPUTS, {INPUT: images})
    wrong = rewritten(candidate.model, images, logits) or unlike_logits(
        candidate.model, logits, probabilities, multi_label=candidate.multi_label
    )
    if wrong:
        raise RefusedError(f"{wrong.rstrip('.')}; nothing was published.")


def _measure(candidate: Candidate, progress: Progress) -> Exactness:
    """Try all batch sizes, one thread and all of them, and the group's grid symmetries."""
    threads = sorted({1, cpu_budget()}, reverse=True)
    sessions = [
        (f"{RUNTIME}, {count} thread{'s' * (count > 1)}", open_model(candidate.model, count))
        for count in threads
    ]
    found = measure_exactness(
        sessions,
        candidate.measured,
        candidate.group,
        progress=lambda done, total: progress("measuring", done, total),
    )
    if candidate.precision in _EXACT and not found.exact and not found.max_logit_deviation:
        raise InexactError(
            "Each image is the same after one of the rotations, so that nothing shows whether the "
            f"{candidate.precision} file gives equal bits; nothing was published."
        )
    if candidate.precision in _EXACT and not found.exact:
        raise InexactError(
            f"A logit of the {candidate.precision} file changes by up to "
            f"{found.max_logit_deviation:.2g} when images are rotated or come in other batches, "
            "and none may change in a single bit; nothing was published."
        )
    return found


def _audit(
    candidate: Candidate, identity: ModelIdentity, proof: ProofSummary, progress: Progress
) -> Report:
    thresholds = Thresholds.of(candidate.precision)
    audited, group = candidate.audited, candidate.audited_group
    whole, part = len(candidate.audit_set.images), len(audited.images)
    tested = self_test(
        candidate.model,
        open_model,
        candidate.measured,
        group=group,
        thresholds=thresholds,
        multi_label=candidate.multi_label,
        progress=lambda done, total: progress("self-test", done, total),
    )
    return run_audit(
        open_model(candidate.model),
        audited.images,
        audited.labels,
        group=group,
        thresholds=thresholds,
        model=identity,
        source=(f"{part} of the " if part < whole else "") + candidate.audit_source,
        self_test=tested,
        proof=proof,
        others=[open_model(candidate.model, 1)],
        progress=lambda done, total: progress("auditing", done, total),
    )


def _card(
    candidate: Candidate,
    identity: ModelIdentity,
    proof: ProofFigures,
    exactness: Exactness,
    report: Report,
) -> Card:
    return Card(
        name=identity.name,
        version=identity.version,
        description=candidate.description,
        group=identity.group,
        precision=identity.precision,
        classes=candidate.classes,
        multi_label=candidate.multi_label,
        input=candidate.input,
        sha256=identity.sha256,
        proof=proof,
        exactness=exactness,
        parity=candidate.parity,
        metrics=candidate.metrics or {},
        size=candidate.size,
        audit_set=AuditSetInfo(
            sha256=candidate.audit_set.sha256(),
            count=len(candidate.audit_set.images),
            source=candidate.audit_source,
            licence=candidate.data_licence,
        ),
        audit=audit_figures(report),
        training=candidate.training,
        conversion=candidate.conversion,
        origin=candidate.origin,
    )
