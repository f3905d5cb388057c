"""What an audit costs, before it is paid: how many images are classified."""

from audit.angles.selftest import angle_self_test_classifications
from audit.elements import audited_elements
from audit.orbit import orbit_classifications
from audit.pipeline import ResolvedOptions
from audit.selftest import self_test_classifications
from imaging import nearest_intervals


def classifications(
    options: ResolvedOptions,
    count: int,
    *,
    sides: tuple[int, int],
    quarters_exact: bool,
    multi_label: bool = False,
) -> int:
    """How many images an audit over so many images classifies, self-tests included.

    Every angle of an image is counted, though neighbours that are equal are classified once: where
    every angle is tried, it is at most so many.

    Parameters
    ----------
    sides
        Height and width of an image.
    quarters_exact
        Whether quarter turns are known to change no bit, which spares three quarters of all angles.
    multi_label
        Whether an image may get several labels.

    Raises
    ------
    ValueError
        If the group or angles cannot be tried on such images, or these are too large to be tried at
        every angle.
    """
    options.check(*sides, multi_label=multi_label)
    elements = len(audited_elements(options.group))
    count = min(count, options.most_images or count)
    total = orbit_classifications(count, elements) + self_test_classifications(count, elements)
    if options.angles is not None:
        total += options.angles.classifications(
            count, damped=True
        ) + angle_self_test_classifications(count)
    if options.exhaustive_images:
        tried = len(range(0, count, -(-count // min(options.exhaustive_images, count))))
        total += tried * (1 if quarters_exact else 4) * nearest_intervals(sides[0]).count
    return total
