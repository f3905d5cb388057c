"""The shadow of one version: images it has answered, rotated, classified again and compared."""

import time
from dataclasses import dataclass
from random import Random
from typing import Protocol

import numpy as np
import structlog

from artifact.card import Card
from artifact.contract import Images
from audit import Thresholds
from imaging import GridSymmetry, grid_symmetries
from service.engine import IdleDrop, IdleWork, Inference
from service.engine.queue import Floats
from service.shadow.recorder import Finding, Recorder
from service.shadow.sampler import Sampler
from service.shadow.tally import Tally, compare

_PAUSE = 10.0
"""Seconds from one failure that is logged to the next."""

log = structlog.get_logger()


class Spare(Protocol):
    """Does work when it has nothing else to do."""

    def has_idle_room(self) -> bool:
        """Return whether more work may wait now."""

    def when_idle(self, work: IdleWork) -> None:
        """Do work, or tell it that it is dropped."""


class Shadow:
    """Chooses images that were answered, and has them classified again when the engine is idle.

    Each image that is chosen is rotated by one element, drawn uniformly from the grid symmetries of
    the group that the model's audits try, the identity left out, and runs alone.

    Parameters
    ----------
    card
        Of the version; its group has more than one grid symmetry.
    share
        The probability with which an image is chosen, above 0.
    spare
        Has idle moments: the version's `Session`.
    recorder
        Takes images of which the label changed or, of a model that has a group by construction, a
        logit by more than the tolerance.
    random
        Chooses images and elements.

    Attributes
    ----------
    share
        As given.
    tally
        What was found.
    """

    def __init__(
        self,
        card: Card,
        share: float,
        spare: Spare,
        recorder: Recorder,
        random: Random | None = None,
    ) -> None:
        asked = Thresholds.of(card.precision)
        self.share = share
        self.tally = Tally(asked.logit_tolerance, asked.confidence)
        self._card, self._recorder = card, recorder
        self._spare = spare
        self._random = random or Random()  # noqa: S311 - nobody gains by guessing it
        self._sampler = Sampler(share, self._random)
        self._elements = elements(card)
        self._silent_until = 0.0

    def offer(self, images: Images, answer: Inference) -> None:
        """Choose among images [N, C, H, W] that have just been answered; it raises nothing."""
        try:
            for i in self._sampler.draw(len(images)):
                if not self._spare.has_idle_room():
                    self.tally.drop("full")
                    continue
                # Copies: the whole batch would be kept for one image of it.
                trial = _Trial(
                    self,
                    images[i].copy(),
                    answer.logits[i].copy(),
                    self._random.choice(self._elements),
                )
                self._spare.when_idle(trial)
        except Exception as error:
            self.dropped("failed", error)

    def judge(self, image: Images, element: GridSymmetry, upright: Floats, rotated: Floats) -> None:
        """Compare the logits [K] of an image [C, H, W] with those of the rotated one, and count."""
        card = self._card
        found = compare(upright, rotated, multi_label=card.multi_label)
        moved = self.tally.tried(found)
        # The logits of a model that has no group by construction move with every image.
        if found.agrees and not (moved and card.group != "trivial"):
            return
        finding = Finding(card.name, card.version, card.classes, image, element, found)
        self._recorder.record(finding, self.tally.lose)

    def dropped(self, reason: IdleDrop, error: Exception | None = None) -> None:
        """Count an image that was chosen and is not tried; log why, if it failed."""
        self.tally.drop(reason)
        now = time.monotonic()
        if error is not None and now >= self._silent_until:
            self._silent_until = now + _PAUSE
            card = self._card
            log.warning(
                "shadow audit failed", model=card.name, version=card.version, exc_info=error
            )


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """An image [C, H, W], its logits [K], and the element that it is to be rotated by."""

    shadow: Shadow
    image: Images
    logits: Floats
    element: GridSymmetry

    def images(self) -> Images:
        return np.ascontiguousarray(self.element(self.image)[None])

    def ran(self, result: Inference) -> None:
        self.shadow.judge(self.image, self.element, self.logits, result.logits[0])

    def dropped(self, reason: IdleDrop, error: Exception | None = None) -> None:
        self.shadow.dropped(reason, error)


def elements(card: Card) -> tuple[GridSymmetry, ...]:
    """The grid symmetries that a version's audits try, without the identity; perhaps none."""
    return grid_symmetries(card.audit.group)[1:]
