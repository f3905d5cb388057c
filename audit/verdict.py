"""From figures and thresholds to PASS, FAIL or INCONCLUSIVE, with the reasons in sentences."""

from collections.abc import Iterator, Sequence
from typing import Final

from artifact.values import Interval
from audit.moved import Moved
from audit.phrases import Naming, label, level, listed, percent, remedy, too_few, up_to
from audit.proved import ProofSummary
from audit.provenance import DataIdentity
from audit.report import Figures, NoiseFloor, SelfTest
from audit.statistics import Cell, clopper_pearson, trials_to_show
from audit.thresholds import Thresholds
from audit.values import Judgement
from imaging import GridSymmetry


def judge(
    figures: Figures,
    floor: NoiseFloor,
    thresholds: Thresholds,
    self_test: SelfTest | None,
    proof: ProofSummary | None = None,
    moved: Moved | None = None,
    *,
    name: Naming = label,
) -> Judgement:
    """Weigh what was proved and measured; `name` says what a class is called.

    `moved` says what the images that all rotations change show by themselves, where some are
    others.

    An audit that sees symmetries broken where they hold says nothing: INCONCLUSIVE. Otherwise
    evidence against invariance gives FAIL, whatever else is in doubt; a doubt, or images that would
    not show a broken symmetry, give INCONCLUSIVE; and neither gives PASS. Whatever is in doubt is
    named beside what led to the verdict.

    Where the file is proved and nothing moved, the proof speaks of all images and of every class,
    and the images only of what runs the file: fewer are needed, unless the file magnifies what
    runtimes round.
    """
    failures = tuple(_failures(figures, floor, thresholds, name))
    doubts = tuple(_doubts(figures, floor, thresholds, proof, name))
    if moved is not None:
        unmoved, asked = _unmoved(proof, figures, thresholds), thresholds.agreement
        few = unmoving(
            moved,
            figures.images,
            figures.agreement_interval,
            figures.classes,
            min(asked, thresholds.proved_agreement) if unmoved else asked,
            None if unmoved else thresholds.class_agreement,
            thresholds.confidence,
            name,
        )
        doubts = (*doubts, *few)
    if self_test is not None and _sees_nothing(self_test, floor):
        doubts = (_unseen(self_test), *doubts)
    if self_test is not None and self_test.known_invariant == "FAIL":
        return Judgement("INCONCLUSIVE", (_FALSE_ALARM, *doubts))
    if failures:
        if proof is not None and proof.bounds_what_runs:
            failures = (*failures, _UNLIKE_ITS_FILE)
        return Judgement("FAIL", (*failures, *doubts))
    if doubts:
        return Judgement("INCONCLUSIVE", doubts)
    return Judgement("PASS", tuple(_assurances(figures, thresholds, proof)))


def self_test_failed(self_test: SelfTest | None, floor: NoiseFloor) -> bool:
    """Whether an audit that tried itself did not see what it has to, or saw what is not there."""
    return self_test is not None and (
        self_test.known_invariant == "FAIL" or _sees_nothing(self_test, floor)
    )


def _sees_nothing(self_test: SelfTest, floor: NoiseFloor) -> bool:
    # On so few images a mutant of a model that does not repeat itself is never clearly moved.
    expected = floor.repeating is not None and self_test.mutant == "INCONCLUSIVE"
    return self_test.mutant != "FAIL" and not expected


def orbit_claim(elements: Sequence[GridSymmetry]) -> tuple[str, str]:
    """What a verdict on the exact orbit says, and what it does not."""
    tried = ", ".join(element.name for element in elements[1:])
    return (
        f"The verdict speaks of the symmetries that were tried ({tried}), under which pixels only "
        "change places, of images chosen as these were, and of the file as it ran here.",
        "It says nothing of angles between them, of other images, or of the labels being right.",
    )


def counted(data: DataIdentity) -> Iterator[str]:
    """Say what the images count as, where that is not one each."""
    if data.units is not None and data.units < data.count:
        yield (
            f"The {data.count} images count as {data.units}: those that are equal up to a rotation "
            "that was tried, or that were taken of one thing, count once together."
        )
    if data.near_duplicates:
        yield (
            f"{data.near_duplicates} images differ from another one by at most 2 of 255 grey "
            "levels on the average, and count all the same: if they show one thing, --group-by "
            "says so."
        )


def several_labels_claim(multi_label: bool) -> Iterator[str]:
    """Say what a label is, of a model that gives several."""
    if multi_label:
        yield (
            "The model decides on each label by itself, and gives those with a probability above "
            "one half: what is called an image's label here is all of them together, and it is "
            "kept where every single decision is."
        )


def proof_claim(
    proof: ProofSummary, figures: Figures, *, multi_label: bool = False
) -> Iterator[str]:
    """What the proof says in a report, and what it does not."""
    yield proof.sentence()
    if proof.covers and proof.magnifies:
        yield (
            "The file may make more of a last bit, as by rounding to integers or by dividing by "
            "nearly nothing, and what runs it may round otherwise when an image is rotated: how "
            "far a logit may move then is said by the images alone."
        )
        return
    if proof.covers and not (proof.exact_bits and proof.runs_exactly):
        if multi_label:
            yield (
                "What runs it may round otherwise when an image is rotated: on these images a "
                f"logit changed by up to {figures.max_logit_deviation:.2g}, and a label whose "
                "logit lies no farther from 0 than such a change may come or go."
            )
            return
        yield (
            "What runs it may round otherwise when an image is rotated: on these images a logit "
            f"changed by up to {figures.max_logit_deviation:.2g}, and an image whose two largest "
            "logits lie no farther apart than twice such a change may get another label."
        )


def _unmoved(proof: ProofSummary | None, figures: Figures, thresholds: Thresholds) -> bool:
    """Whether the file is proved, and what runs it did as the file does on all images."""
    return (
        proof is not None
        and proof.bounds_what_runs
        and figures.agreeing_images == figures.images
        and figures.relative_logit_deviation <= thresholds.logit_tolerance
    )


def _loses_labels(figures: Figures, floor: NoiseFloor, thresholds: Thresholds) -> bool:
    kept = 1.0 if floor.repeating is None else floor.repeating.agreement_interval.high
    loses = figures.agreement_interval.high < thresholds.agreement <= kept
    return loses and _moved_by_rotation(floor, thresholds)


def _moved_by_rotation(floor: NoiseFloor, thresholds: Thresholds) -> bool:
    """Whether rotating does more than asking again; two tests, which share what they may err."""
    if floor.repeating is None:
        return True
    tests = (floor.repeating.exceeding_p, floor.repeating.losing_p)
    return any(p is not None and p < (1 - thresholds.confidence) / 2 for p in tests)


def _failures(
    figures: Figures, floor: NoiseFloor, thresholds: Thresholds, name: Naming
) -> Iterator[str]:
    kept = 1.0 if floor.repeating is None else floor.repeating.agreement_interval.high
    if _loses_labels(figures, floor, thresholds):
        yield (
            f"{_agreement(figures)}: at {level(thresholds.confidence)} at most "
            f"{up_to(figures.agreement_interval.high, thresholds.agreement)} of all images do, "
            f"and {percent(thresholds.agreement)} is asked."
        )
    # What is lost without a rotation is not its doing.
    if not _moved_by_rotation(floor, thresholds):
        return
    yield from class_failures(figures.classes, thresholds.class_agreement, kept, name)
    tolerated = max(thresholds.logit_tolerance, floor.relative)
    if figures.relative_logit_deviation > tolerated:
        yield (
            f"{_deviation(figures)}, more than the tolerance of {thresholds.logit_tolerance:.2g} "
            f"and than the noise floor of {floor.relative:.2g}."
        )


def _doubts(
    figures: Figures,
    floor: NoiseFloor,
    thresholds: Thresholds,
    proof: ProofSummary | None,
    name: Naming,
) -> Iterator[str]:
    interval, asked = figures.agreement_interval, thresholds.agreement
    unmoved = _unmoved(proof, figures, thresholds)
    if unmoved and interval.low < min(asked, thresholds.proved_agreement):
        yield _few_of_a_proved(figures, thresholds)
    elif not unmoved and interval.low < asked <= interval.high:
        more = remedy(figures.agreeing_images, figures.images, asked, thresholds.confidence)
        yield (
            f"{too_few(figures.images)}: at {level(thresholds.confidence)} "
            f"{percent(interval.low, asked)} to {up_to(interval.high, asked)} of all images keep "
            f"their label, and {percent(asked)} is asked; {more}."
        )
    if not unmoved:
        yield from class_doubts(
            figures.classes, thresholds.class_agreement, thresholds.confidence, name
        )
    yield from monotony(figures.chance_agreement, figures.images, asked, thresholds.confidence)
    if floor.repeating is not None:
        yield (
            "The model does not repeat itself: asked again about the same images, "
            f"{figures.images - floor.repeating.agreeing_images} of {figures.images} change their "
            f"label and a logit changes by up to {floor.relative:.2g} of the largest logit."
        )
    if figures.deviation_of_variation is not None:
        yield (
            f"{_deviation(figures)}, but by up to {figures.deviation_of_variation:.2g} of what "
            "logits vary by: the largest one hardly varies between images, so that a tolerance of "
            f"{thresholds.logit_tolerance:.2g} of it shows little."
        )
    if floor.relative > thresholds.logit_tolerance:
        yield (
            "Without any rotation, run again or otherwise, a logit changes by "
            f"{floor.relative:.2g} of the largest logit: this noise is above the tolerance of "
            f"{thresholds.logit_tolerance:.2g}, so that nothing finer can be measured."
        )


def unmoving(
    moved: Moved,
    images: int,
    interval: Interval,
    classes: Sequence[Cell],
    asked: float,
    class_asked: float | None,
    confidence: float,
    name: Naming = label,
) -> Iterator[str]:
    """Say where it takes images that a rotation leaves as they are to show what is asked.

    Images, interval and classes are those of all.
    """
    shown = moved.shown(confidence)
    if shown < asked <= interval.low:
        yield (
            f"{images - moved.images} of {images} images are the same, within 2 of 255 grey "
            "levels, after a rotation that was tried, and do not show what it does: of the others "
            f"{moved.agreeing} of {moved.images} keep their label, which shows "
            f"{percent(shown, asked)} of all such images, and {percent(asked)} is asked."
        )
    if moved.images:
        yield from monotony(moved.chance, moved.images, asked, confidence, MOVED)
    few = [
        cell
        for cell in classes
        if class_asked and moved.shown(confidence, cell.label) < class_asked <= cell.interval.low
    ]
    if few and class_asked:
        kept = [(name(cell.label), *moved.classes.get(cell.label, (0, 0))) for cell in few]
        named = listed([f"{called} {agreeing}/{count}" for called, count, agreeing in kept])
        yield (
            "Some classes have enough images only with those that are the same, within 2 of 255 "
            "grey levels, after a rotation that was tried; of the others, so many keep their "
            f"label: {named}; {percent(class_asked)} is asked of each class."
        )


def _assurances(
    figures: Figures, thresholds: Thresholds, proof: ProofSummary | None
) -> Iterator[str]:
    least = (
        f"{_agreement(figures)}: at {level(thresholds.confidence)} at least "
        f"{percent(figures.agreement_interval.low)} of all images do"
    )
    if _unmoved(proof, figures, thresholds):
        yield (
            "The file is proved to answer every image as it does when it is rotated, and what runs "
            "it was measured."
        )
        asked = min(thresholds.agreement, thresholds.proved_agreement)
        yield f"{least}, and {percent(asked)} is asked where the file is proved."
    else:
        yield f"{least}, and {percent(thresholds.agreement)} is asked."
    yield f"{_deviation(figures)}, within the tolerance of {thresholds.logit_tolerance:.2g}."


def class_failures(
    classes: Sequence[Cell], asked: float | None, kept: float, name: Naming = label
) -> Iterator[str]:
    """Name the classes that lose their labels; `kept` is at most what asking again keeps."""
    below = [cell for cell in classes if cell.below]
    if asked is None or not below or kept < asked:
        return
    named = listed([f"{name(cell.label)} {cell.agreeing}/{cell.images}" for cell in below])
    yield (
        f"Some classes lose their labels: of their images, these keep it: {named}; "
        f"{percent(asked)} is asked of each class."
    )


def class_doubts(
    classes: Sequence[Cell], asked: float | None, confidence: float, name: Naming = label
) -> Iterator[str]:
    """Name the classes that have too few images to say whether they keep their labels."""
    few = [cell for cell in classes if not cell.below and asked and cell.interval.low < asked]
    if asked is None or not few:
        return
    needed = trials_to_show(asked, confidence)
    named = listed([f"{name(cell.label)} {cell.agreeing}/{cell.images}" for cell in few])
    yield (
        f"Some classes have too few images to show that {percent(asked)} of all their images keep "
        f"their label; of these images, so many do: {named}. {needed} images of a class that all "
        "keep it would show it (--no-classes asks nothing of classes)."
    )


def monotony(
    chance: float, images: int, asked: float, confidence: float, which: str = "images"
) -> Iterator[str]:
    """Say so where these labels would be kept by a model that drew them anew for every rotation."""
    if chance == 1:
        yield f"All {which} get the same label, so that their agreement says nothing."
    elif clopper_pearson(round(chance * images), images, confidence).high >= asked:
        yield (
            f"Nearly all {which} get the same label: a model that drew labels anew for rotated "
            f"images would keep {percent(chance)} of them, so that their agreement says little."
        )


MOVED: Final = "images that every rotation changes"


_FALSE_ALARM = (
    "The audit failed its own test: a simple model that no rotation changes was judged FAIL, so "
    "that it finds faults on these images where there are none."
)


_UNLIKE_ITS_FILE = (
    "The file is proved to keep these answers, so that what runs it does not compute what the file "
    "says."
)


def _few_of_a_proved(figures: Figures, thresholds: Thresholds) -> str:
    asked = min(thresholds.agreement, thresholds.proved_agreement)
    needed = trials_to_show(asked, thresholds.confidence)
    return (
        f"The file is proved, but {too_few(figures.images)} to show that what runs it does as the "
        f"file says: at {level(thresholds.confidence)} at least "
        f"{percent(figures.agreement_interval.low, asked)} of all images keep their label, and "
        f"{percent(asked)} is asked where the file is proved; {needed} different images that all "
        "keep it settle it (--images FOLDER; labels are not needed)."
    )


def _unseen(self_test: SelfTest) -> str:
    return (
        f"The audit failed its own test: this model, made wrong on purpose ({self_test.mutation}), "
        f"was judged {self_test.mutant} instead of FAIL, so that these images would not show it if "
        "rotations changed the answers."
    )


def _agreement(figures: Figures) -> str:
    return (
        f"{figures.agreeing_images} of {figures.images} images keep their label under every "
        "rotation that was tried"
    )


def _deviation(figures: Figures) -> str:
    return f"A logit changes by up to {figures.relative_logit_deviation:.2g} of the largest logit"
