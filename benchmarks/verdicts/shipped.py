"""The models that ship, and what becomes of them where images are few or something else runs."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from artifact.audit_set import AuditSet
from artifact.card import load_card
from artifact.layout import CARD_FILE
from audit import ModelUnderTest
from audit.angles.selftest import with_orientation_bias
from benchmarks.verdicts.case import Case, digits
from service.audits.targets import version_under_test
from service.repository.local import open_model
from service.settings import Settings

_GIVEN = "C8"  # of which a pixel grid shows a quarter


def shipped() -> Iterator[Case]:
    """Yield the models of the repository, and cases of `rotmnist-c4`, whose file is proved."""
    whole = digits()
    for folder in sorted(Settings().repository.glob("rotmnist-*")):
        card = load_card(max(folder.glob("[0-9]*")) / CARD_FILE)
        due = "FAIL" if card.group == "trivial" else "PASS"
        group = "C4" if card.group == "trivial" else card.group
        yield Case(folder.name, _opener(folder.name), whole, due, group=group)
    proved = _opener("rotmnist-c4")
    few = AuditSet(whole.images[:80])
    yield Case("a file that is proved, on 80 images", proved, few, "PASS")
    two = AuditSet(np.repeat(whole.images[:2], 256, axis=0))
    yield Case("on two images, 256 times each", proved, two, "INCONCLUSIVE")
    yield Case("over D4, for which it is not proved", proved, few, "FAIL", group="D4")
    rotated = _opener(
        "rotmnist-c4", lambda it: replace(it, classify=with_orientation_bias(it.classify))
    )
    yield Case("what runs it tells up from down", rotated, few, "FAIL")
    unproved = _opener("rotmnist-c4", lambda it: replace(it, prove=None))
    yield Case("without its proof, on 80 images", unproved, few, "INCONCLUSIVE")


def _opener(
    name: str, change: Callable[[ModelUnderTest], ModelUnderTest] = lambda it: it
) -> Callable[[], ModelUnderTest]:
    def opened() -> ModelUnderTest:
        model = open_model(name, Settings(device="cpu"))
        return change(replace(version_under_test(model), close=model.session.close))

    return opened
