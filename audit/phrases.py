"""Parts of sentences that verdicts of more than one tier are made of."""

from audit.statistics import trials_to_settle


def level(confidence: float) -> str:
    """A confidence as people write it."""
    return f"{100 * confidence:.6g}% confidence"


def remedy(agreeing: int, images: int, asked: float, confidence: float) -> str:
    """How many images would settle what these do not."""
    needed = trials_to_settle(agreeing, images, asked, confidence)
    if needed is None:
        return "the agreement lies too near to that for more images to settle it"
    return (
        f"if as many of all images do as of these, {needed} images settle it in 9 of 10 audits "
        "(--images FOLDER; labels are not needed)"
    )
