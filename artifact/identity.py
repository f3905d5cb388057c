"""Which model version something is about."""

from typing import Annotated

from pydantic import AfterValidator, Field

from artifact.values import Precision, Sha256, Value


def _writable(name: str) -> str:
    return name.encode(errors="replace").decode()


Written = Annotated[str, AfterValidator(_writable)]
"""A name from elsewhere; what UTF-8 cannot write of it, as of a file named in Latin-1, is `?`."""


MultiLabel = Annotated[bool, Field(exclude_if=lambda several: not several)]
"""Whether an image may get several labels, or none; not mentioned where it gets one."""


class ModelIdentity(Value):
    """A model version, as reports name it.

    Attributes
    ----------
    classes
        Their names, in the order of the logits; none where nobody said them.
    multi_label
        Whether each class has a probability of its own, as on the card.
    """

    name: str
    version: Annotated[int, Field(ge=1)]
    sha256: Sha256
    group: str
    precision: Precision
    classes: tuple[Written, ...] = ()
    multi_label: MultiLabel = False

    def class_name(self, index: int) -> str:
        """What a class is called; `label 3` where nobody said."""
        return self.classes[index] if 0 <= index < len(self.classes) else f"label {index}"
