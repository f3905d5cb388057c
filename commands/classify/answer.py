"""What is said of one file."""

from dataclasses import dataclass

import msgspec


@dataclass(frozen=True)
class Shape:
    """What answers have in common.

    Attributes
    ----------
    ranks
        How many classes each of them names.
    multi_label
        Whether an image may get several labels, or none.
    """

    ranks: int
    multi_label: bool = False


class Model(msgspec.Struct, frozen=True):
    """Which file answers, as over HTTP."""

    name: str
    version: int
    digest: str

    def __str__(self) -> str:
        return f"{self.name}/{self.version}@{self.digest}"

    @classmethod
    def parse(cls, text: str) -> "Model":
        """Read what `str` writes; ValueError if it is something else."""
        version, _, digest = text.partition("@")
        name, _, number = version.rpartition("/")
        return cls(name, int(number), digest)


class Ranked(msgspec.Struct, frozen=True):
    """A class and its probability."""

    label: str
    index: int
    probability: float


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model says of one file: its classes, most probable first; or why it says nothing.

    Attributes
    ----------
    file
        As `written` writes it.
    label, index, probability
        Of the first of `top`, where an image gets one label.
    labels
        All that it gets of a model of several labels, whether they are among `top` or not.
    """

    file: str
    label: str | None = None
    index: int | None = None
    probability: float | None = None
    labels: tuple[Ranked, ...] | None = None
    top: tuple[Ranked, ...] = ()
    error: str | None = None
    model: Model = Model("", 0, "")


def ranked(
    file: str, top: tuple[Ranked, ...], model: Model, labels: tuple[Ranked, ...] | None = None
) -> Answer:
    """Return what is said of a file that was classified."""
    if labels is not None:
        return Answer(file, labels=labels, top=top, model=model)
    first = top[0]
    return Answer(file, first.label, first.index, first.probability, top=top, model=model)
