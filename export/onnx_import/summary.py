"""What an import did, as lines for a person; all of it is on the card."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from artifact.card import Card, load_card
from artifact.figures import Metric
from artifact.layout import CARD_FILE
from artifact.origin import Change, WeightsFile
from audit.phrases import percent


def summarise(folder: Path) -> list[str]:
    """Tell of a version that was imported what was done to the file, and what was found."""
    return [str(folder), *_lines(load_card(folder / CARD_FILE))]


def _lines(card: Card) -> Iterator[str]:
    if card.origin is not None:
        yield from found_in(card.origin.weights)
        yield from card.origin.adaptations
        if card.origin.change is not None:
            yield from _change(card, card.origin.change)
    if (metric := card.metrics.get("audit")) is not None:
        yield from _error(card, metric)
    if card.proof is not None:
        exactness = card.exactness
        bits = "" if card.proof.residual is None else f" {card.proof.residual.relative:.2g}"
        yield f"Proof over {card.proof.subgroup}: {card.proof.outcome}{bits}."
        if exactness is not None:
            if exactness.images < card.audit_set.count:
                yield (
                    f"The network is large, and was measured on a sample: {exactness.images} of "
                    f"{card.audit_set.count} images, and audited on {card.audit.images}; "
                    "--all-images takes all."
                )
            rotated = "Rotated, in" if len(exactness.elements) > 1 else "In"
            yield (
                f"{rotated} other batches and with other threads, a logit of {exactness.images} "
                f"images moves by up to {exactness.max_logit_deviation:.2g}."
            )
    audit = card.audit
    yield (
        f"Audit over {audit.group}: {audit.verdict}; {percent(audit.label_agreement)} of "
        f"{audit.images} images keep their label, a rotated one's logit moves by up to "
        f"{audit.max_logit_deviation:.2g}."
    )
    yield f"Group on the card: {card.group}."


def found_in(weights: Iterable[WeightsFile]) -> Iterator[str]:
    """Say in which files beside the graph its weights were."""
    for file in weights:
        yield f"Its weights lie in '{file.file}', SHA-256 {file.sha256}."


def _error(card: Card, metric: Metric) -> Iterator[str]:
    """Say how many labels are wrong, and what more than a guess would get wrong suggests."""
    if card.origin is None or card.origin.change is None:
        yield f"Error on the audit images: {metric.error_percent:.2f} % of {metric.count}."
    if metric.error_percent >= 100 * (1 - 1 / len(card.classes)):
        yield (
            "No more of these labels are right than a guess would have: the order of the classes "
            "may not be the file's, or its preprocessing another."
        )


def _change(card: Card, change: Change) -> Iterator[str]:
    if change.relative_weight_change is not None:
        yield (
            f"Averaging over {change.group} moved {change.moved_weights} weights, by up to "
            f"{change.relative_weight_change:.2g} of the largest of their tensor."
        )
    else:
        factor = card.size.multiply_adds / max(change.multiply_adds_before, 1)
        yield (
            f"The logits are averaged over {change.group}: {card.size.multiply_adds:,} "
            f"multiply-adds an image where there were {change.multiply_adds_before:,} "
            f"({factor:g} times)."
        )
    if change.error_percent is not None:
        yield (
            f"Error on the audit images: {change.error_percent:.2f} % where it was "
            f"{change.error_percent_before:.2f} %."
        )
    yield (
        f"{percent(change.label_agreement)} of the labels are what they were; a logit moved by up "
        f"to {change.max_abs_logits:.2g}."
    )
