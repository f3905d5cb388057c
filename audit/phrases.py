"""Parts of sentences that verdicts of more than one part are made of."""

from collections.abc import Callable, Sequence
from typing import Final

from audit.statistics import trials_to_settle

Naming = Callable[[int], str]
"""From a class index to what the class is called in a sentence."""

_LISTED: Final = 20
_MOST_DECIMALS: Final = 12


def label(index: int) -> str:
    """What a class is called where nobody said its name."""
    return f"label {index}"


def listed(names: Sequence[str]) -> str:
    """Up to twenty names, and how many more there are."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f", … (+{more})" if more > 0 else "")


def level(confidence: float) -> str:
    """A confidence as people write it."""
    return f"{100 * confidence:.6g}% confidence"


def too_few(images: int) -> str:
    """That so many images do not settle it."""
    return "1 image is too few" if images == 1 else f"{images} images are too few"


def percent(part: float, *apart: float) -> str:
    """A part, or the low end of its interval, in percent: two decimals, or as many as it takes.

    It is told from none, from all and from what stands beside it: 99.996 % are not all.

    Parameters
    ----------
    apart
        Parts that stand beside it, such as what is asked.
    """
    return up_to(part, 0.0, 1.0, *apart)


def up_to(part: float, *apart: float) -> str:
    """The high end of an interval in percent: it may be rounded up to all."""
    others = {*apart} - {float(part)}
    texts = (_decimals(part, decimals, others) for decimals in range(2, _MOST_DECIMALS))
    return next(filter(None, texts), f"{part:.2%}")


def _decimals(part: float, decimals: int, others: set[float]) -> str | None:
    """A part in percent; None where another one would read the same."""
    text = f"{part:.{decimals}%}"
    return None if any(text == f"{other:.{decimals}%}" for other in others) else text


def remedy(agreeing: int, images: int, asked: float, confidence: float) -> str:
    """How many images would settle what these do not."""
    needed = trials_to_settle(agreeing, images, asked, confidence)
    if needed is None:
        return "the measured part lies too near to what is asked for more images to settle it"
    return (
        f"if the model keeps as large a part of all images as of these, {needed} images settle it "
        "in 9 of 10 audits (--images FOLDER; labels are not needed)"
    )
