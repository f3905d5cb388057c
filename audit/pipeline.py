"""All parts of an audit that are asked for, over one model, in one report."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from artifact.audit_set import AuditSet
from artifact.identity import ModelIdentity
from audit.about import About
from audit.angles import AnglePlan, AngleThresholds, audit_angles
from audit.elements import audited_elements
from audit.exhaustive import ProvedSymmetry, audit_exhaustively
from audit.journal import Journal
from audit.names import class_naming
from audit.orbit import Classifier, Progress
from audit.phrases import percent
from audit.proved import ProofSummary
from audit.provenance import Execution
from audit.questions import Workers
from audit.report import Report, SelfTest
from audit.run import run_audit
from audit.selftest import self_test, self_test_unseen
from audit.statistics import trials_to_show
from audit.thresholds import Thresholds
from audit.units import find_units
from imaging import GridSymmetry, check_grid, grid_symmetries
from imaging.refusal import RefusedError

_BUNDLED: Final = (
    "These images came with the model, and who made it knew them: a verdict on images of your own "
    "belongs beside it (--images FOLDER)."
)

Stages = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, eq=False)
class ModelUnderTest:
    """What is audited: how it is asked, and what is known of it.

    Attributes
    ----------
    identity
        For the report.
    classify
        From uint8 [N, C, H, W] to logits float32 [N, K].
    graph, build
        The ONNX file, and what opens one, for a self-test on a mutant of the file. Without them the
        mutant is made around the classifier.
    execution
        What runs it, for the report, where that is known.
    asked_at
        Where it is asked, if elsewhere.
    batch_size
        The most images that are asked about at once.
    fill
        Grey level outside the disc.
    prove
        Proves the file over a group, or says in a sentence why it does not; None where there is no
        file.
    bundled
        The digest of the audit set that came with it, if one did.
    caveats
        What a report on such a model does not claim, in sentences.
    self_test_caveats
        What its self-test does not show, in sentences.
    opened
        Opens the same model in another process, where that can be; it can be pickled.
    workers
        Who is asked instead of `classify` where it is about all images: the same model, opened
        where these are held; None asks here.
    confirm
        Called at the end; a ValueError says that this is no longer what was asked at the beginning.
    close
        Lets go of what was opened for the audit.
    """

    identity: ModelIdentity
    classify: Classifier
    graph: bytes | None = None
    build: Callable[[bytes], Classifier] | None = None
    execution: Execution | None = None
    asked_at: str = ""
    batch_size: int = 64
    fill: int = 0
    prove: Callable[[str], ProofSummary] | None = None
    bundled: str | None = None
    caveats: tuple[str, ...] = ()
    self_test_caveats: tuple[str, ...] = ()
    opened: Callable[[], Classifier] | None = None
    workers: Workers | None = None
    confirm: Callable[[], None] = lambda: None
    close: Callable[[], None] = lambda: None

    def recorded(self, journal: Journal) -> "ModelUnderTest":
        """The model under test whose answers are kept in a journal, and found there.

        An answer is that of a file, of what runs it and of where it is asked: where one of these is
        another, it is asked anew.
        """
        runs = self.execution.model_dump_json() if self.execution else ""
        place = f"{self.asked_at} {runs}"
        build = self.build

        def rebuild(graph: bytes) -> Classifier:
            assert build is not None  # noqa: S101 -- it is handed over only where there is one
            return journal.remember(f"{hashlib.sha256(graph).hexdigest()} {place}", build(graph))

        return replace(
            self,
            classify=journal.remember(f"{self.identity.sha256} {place}", self.classify),
            build=rebuild if build else None,
        )


@dataclass(frozen=True)
class ResolvedOptions:
    """What is asked of a model.

    Attributes
    ----------
    group
        Its exact grid symmetries are tried.
    thresholds
        What is asked there.
    angles, angle_thresholds
        Also audit at sampled angles, and what is asked there.
    exhaustive_images
        So many images, from all over the set, are also tried at every angle.
    most_images
        So many images at most, from all over the set; None audits all.
    pictures
        Whether the report holds pictures of the worst images.
    """

    group: str
    thresholds: Thresholds
    angles: AnglePlan | None = None
    angle_thresholds: AngleThresholds = field(default_factory=AngleThresholds)
    exhaustive_images: int = 0
    most_images: int | None = None
    pictures: bool = True

    def check(self, height: int, width: int, *, multi_label: bool = False) -> None:
        """Refuse what cannot be tried on images of this size.

        Raises
        ------
        RefusedError
            If the group does not map the pixel grid onto itself, or an oblong image, or one that
            gets several labels, is to be rotated by other angles.
        """
        check_grid(self.group, height, width)
        between = self.angles is not None or self.exhaustive_images > 0
        if between and multi_label:
            raise RefusedError(
                "The model gives an image several labels, or none, and the angles between those of "
                "the pixel grid are tried of models that give one; the group's own are accepted."
            )
        if between and height != width:
            raise RefusedError(
                f"Images of {height} x {width} pixels are tried upside down and in the mirror; "
                "the angles in between are tried of square ones."
            )


def run_pipeline(
    under_test: ModelUnderTest,
    audit_set: AuditSet,
    options: ResolvedOptions,
    *,
    source: str,
    about: About | None = None,
    replay: str | None = None,
    stages: Stages = lambda stage, done, total: None,
) -> Report:
    """Try the audit on a mutant and on a known invariant model, then audit the model.

    Parameters
    ----------
    source
        Where the images come from, for the report.
    about
        What somebody says of the audit, for the report.
    replay
        The command that makes the same report again, for the report.
    stages
        Told of the progress.

    Raises
    ------
    ValueError
        If the images, the labels or the group cannot be audited, the answers are no logits, no
        mutant can be made of the file, or the model under test changed meanwhile.
    """
    whole, audit_set = audit_set, audit_set.spread(options.most_images)
    images, labels, batch_size = audit_set.images, audit_set.labels, under_test.batch_size
    options.check(*images.shape[2:], multi_label=under_test.identity.multi_label)
    workers = under_test.workers
    if len(images) < len(whole.images):
        workers = None  # they hold the whole set, and a few images are no work for them
        source = f"{source}, {len(images)} of {len(whole.images)}"
    units = find_units(images, audited_elements(options.group), audit_set.groups)
    proof = None if under_test.prove is None else under_test.prove(options.group)
    report = run_audit(
        under_test.classify,
        images,
        labels,
        units=units,
        files=audit_set.files,
        group=options.group,
        thresholds=options.thresholds,
        model=under_test.identity,
        source=source,
        self_test=_self_test(under_test, audit_set, options),
        proof=proof,
        execution=under_test.execution,
        replay=replay,
        pictures=options.pictures,
        batch_size=batch_size,
        progress=_stage(stages, "quarter turns"),
        workers=workers,
    )
    at_angles, around = None, None
    between = options.angles is not None or options.exhaustive_images > 0
    if between and (rotated := _rotated(options.group)):
        units = find_units(images, rotated, audit_set.groups)
    if options.angles is not None:
        at_angles = audit_angles(
            under_test.classify,
            images,
            labels,
            plan=options.angles,
            thresholds=options.angle_thresholds,
            units=units,
            name=class_naming(under_test.identity.classes),
            pictures=options.pictures,
            batch_size=batch_size,
            progress=_stage(stages, "angles"),
            workers=workers,
        )
    if options.exhaustive_images:
        count = len(images)
        around = audit_exhaustively(
            under_test.classify,
            images,
            range(0, count, -(-count // min(options.exhaustive_images, count))),
            symmetry=_symmetry(proof, report),
            units=units,
            confidence=options.thresholds.confidence,
            fill=under_test.fill,
            progress=_stage(stages, "every angle"),
        )
    under_test.confirm()
    caveats = (*under_test.caveats, *under_test.self_test_caveats)
    claim = (*report.claim, *_of_the_images(whole, report, under_test), *caveats)
    return report.model_copy(update={"claim": claim, "about": about}).joined(at_angles, around)


def _of_the_images(whole: AuditSet, report: Report, under_test: ModelUnderTest) -> Iterator[str]:
    count, asked = len(whole.images), report.thresholds
    if report.data.count < count:
        needed = trials_to_show(asked.agreement, asked.confidence)
        yield (
            f"{report.data.count} of {count} images were audited, for a quick answer: what the "
            f"others would show is open. Without a proof, {needed} images that all keep their "
            f"label show {percent(asked.agreement)}."
        )
    if under_test.bundled and under_test.bundled == whole.sha256():
        yield _BUNDLED


def _rotated(group: str) -> tuple[GridSymmetry, ...]:
    """What makes copies of an image where all angles are tried; none if the group has it all."""
    elements = audited_elements(group)
    rotated = grid_symmetries("D4" if any(element.mirrored for element in elements) else "C4")
    return () if set(rotated) == set(elements) else rotated


def _self_test(
    under_test: ModelUnderTest, audit_set: AuditSet, options: ResolvedOptions
) -> SelfTest:
    images, group, thresholds = audit_set.images, options.group, options.thresholds
    if under_test.graph is None or under_test.build is None:
        return self_test_unseen(
            under_test.classify,
            images,
            group=group,
            thresholds=thresholds,
            batch_size=under_test.batch_size,
            multi_label=under_test.identity.multi_label,
        )
    return self_test(
        under_test.graph,
        under_test.build,
        images,
        group=group,
        thresholds=thresholds,
        batch_size=under_test.batch_size,
        multi_label=under_test.identity.multi_label,
    )


def _symmetry(proof: ProofSummary | None, report: Report) -> ProvedSymmetry | None:
    """What is proved of quarter turns, unless what runs was just seen to move a logit farther."""
    if proof is None:
        return None
    found = proof.quarters(report.thresholds.logit_tolerance * report.figures.largest_logit)
    if found is None or report.figures.max_logit_deviation > found.rounding:
        return None
    return found


def _stage(stages: Stages, name: str) -> Progress:
    return lambda done, total: stages(name, done, total)
