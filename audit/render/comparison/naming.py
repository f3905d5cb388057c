"""What models, classes and images are called where people read a comparison."""

from collections.abc import Iterator
from dataclasses import dataclass

from audit.comparison import ComparedAudit, Comparison, WorseImage
from audit.names import Names, readable, shortened
from audit.render.language import Words
from audit.render.naming import turn_in_words


@dataclass(frozen=True)
class Called:
    """A thing's name, short and different from the others', and whole."""

    short: str
    whole: str


class ComparedNames:
    """Says names in a language's words, long ones shortened; see `audit.names`."""

    def __init__(self, comparison: Comparison, words: Words) -> None:
        self._words = words
        said = dict.fromkeys(_labels(comparison))
        given = {*comparison.baseline.model.classes, *comparison.candidate.model.classes}
        told = {name: name if name in given else self._unnamed(name) for name in said}
        short = Names.of([*told.values()]).short
        self.classes = {
            name: Called(brief or words("(without a name)"), readable(told[name]))
            for name, brief in zip(said, short, strict=True)
        }
        images = [self._image(each) for each in comparison.worse]
        self.images = {
            each.index: Called(brief or words("image {index}", index=each.index), readable(whole))
            for each, whole, brief in zip(
                comparison.worse, images, Names.of(images).short, strict=True
            )
        }

    def model(self, audit: ComparedAudit) -> str:
        """A model as a heading names it."""
        name = shortened(audit.model.name)
        return self._words("{model} version {version}", model=name, version=audit.model.version)

    def label(self, name: str) -> str:
        """A class in a table."""
        return self.classes[name].short

    def image(self, image: WorseImage) -> str:
        """An image: the file it was read from, or `image 12`."""
        return self.images[image.index].short

    def rotation(self, element: str) -> str:
        """An element of a group by what it does."""
        return turn_in_words(element, self._words)

    def became(self, image: WorseImage) -> str:
        """Say in a few words what the candidate does worse with an image."""
        return "; ".join(self._became(image))

    def _became(self, image: WorseImage) -> Iterator[str]:
        words = self._words
        before, after = self.label(image.baseline_label), self.label(image.candidate_label)
        if image.became_wrong:
            yield words("is called “{after}” instead of “{before}”", after=after, before=before)
        if image.lost_label and image.rotated is None:
            yield words("no longer keeps its label “{label}” when rotated", label=after)
        elif image.lost_label and image.rotated is not None:
            yield words(
                "no longer keeps its label “{label}” when rotated: “{other}”, {rotation}",
                label=after,
                other=self.label(image.rotated.label),
                rotation=self.rotation(image.rotated.element),
            )
        if not image.became_wrong and not image.lost_label:
            yield words(
                "its logits move by {after:.2g} instead of {before:.2g} of the largest",
                after=image.candidate_deviation,
                before=image.baseline_deviation,
            )

    def _unnamed(self, name: str) -> str:
        return self._words("label {index}", index=name.removeprefix("label "))

    def _image(self, image: WorseImage) -> str:
        if image.name == f"image {image.index}":
            return self._words("image {index}", index=image.index)
        return image.name


def _labels(comparison: Comparison) -> Iterator[str]:
    yield from (each.name for each in comparison.classes)
    for image in comparison.worse:
        yield from (image.baseline_label, image.candidate_label)
        if image.expected is not None:
            yield image.expected
        if image.rotated is not None:
            yield image.rotated.label
