"""How many images a version is measured on, and what publishing it has its network classify.

All of them, unless the network is so large that this would take very long. What is asked is counted
in multiply-adds and not in seconds, so that every machine takes the same sample.
"""

from dataclasses import dataclass
from typing import Final

from artifact.cpus import cpu_budget
from audit.elements import audited_elements
from audit.exactness import BATCH_SIZES, exactness_classifications
from audit.orbit import orbit_classifications
from audit.selftest import self_test_classifications

_MEASURED: Final = 5 * 10**11
_AUDITED: Final = 10**12
"""Multiply-adds that exactness and self-test, and the audit, may take."""

WRITTEN: Final = 8
"""Images whose logits are held against those of the file, run node by node in one thread."""

_FEWEST: Final = 4
"""With fewer no image would have had neighbours in batches of several sizes."""

_MANY: Final = max(BATCH_SIZES)


@dataclass(frozen=True)
class Sample:
    """How many images are audited, and how many of these exactness and self-test are tried on."""

    audited: int
    measured: int


@dataclass(frozen=True)
class Pass:
    """What is to be done with the images of a sample.

    Attributes
    ----------
    classified
        How many images the network classifies for it, with all threads.
    alone
        How many more with one thread.
    """

    name: str
    classified: int
    alone: int = 0


def choose_sample(count: int, group: str, audited: str, multiply_adds: int) -> Sample:
    """Choose how many of so many images to use.

    Parameters
    ----------
    group, audited
        The one on the card, and the one that is audited.
    multiply_adds
        Of the network, for one image.
    """
    many = passes(group, audited, Sample(_MANY, _MANY))
    _, exactness, self_test, audit = ((each.classified + each.alone) / _MANY for each in many)

    def affordable(most: int, passes_an_image: float) -> int:
        return max(_FEWEST, int(most / (passes_an_image * max(multiply_adds, 1))))

    most = min(count, affordable(_AUDITED, audit))
    return Sample(most, min(most, affordable(_MEASURED, exactness + self_test)))


def passes(group: str, audited: str, sample: Sample) -> tuple[Pass, Pass, Pass, Pass]:
    """Count what `publish` has classified: node by node, for exactness, self-test and audit.

    Where one thread is all there are, nothing is asked of one thread alone.
    """
    elements = len(audited_elements(audited))
    once = exactness_classifications(sample.measured, group, sessions=1)
    several = cpu_budget() > 1
    written = min(WRITTEN, sample.measured)
    return (
        Pass(f"{written} images node by node", written, written),
        Pass(f"exactness of {sample.measured} images", once, (once - sample.measured) * several),
        Pass("self-test", self_test_classifications(sample.measured, elements)),
        Pass(
            f"audit of {sample.audited} images",
            orbit_classifications(sample.audited, elements),
            sample.audited,
        ),
    )
