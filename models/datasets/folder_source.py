"""Where a folder of one's own images is, and how its images are read and split."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from imaging import LEAST_WHITE, MOST_WHITE
from imaging.fit import FitMode


class FolderSource(BaseModel):
    """All that decides which images a folder gives, in which order: a run keeps it for its export.

    Attributes
    ----------
    folder
        With one sub-folder of images a class.
    test
        Another of the same classes, whose images are the test images; None takes a fifth of
        ``folder``.
    size
        The side of the network's input in pixels; None chooses it from the images.
    channels
        1 reads colours as grey, 3 reads grey as colours; None finds out whether there are colours.
    white_level
        The white of images of more than 8 bits whose file does not state it.
    skip_unreadable
        Whether files that cannot be read are left out instead of refused.
    group_by
        What of a file's name says which part it shows, as ``models.datasets.parts`` reads it.
        Images of one part stay on one side of a split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    test: Path | None = None
    size: int | None = None
    fit: FitMode = "pad"
    channels: Literal[1, 3] | None = None
    white_level: Annotated[int, Field(ge=LEAST_WHITE, le=MOST_WHITE)] | None = None
    skip_unreadable: bool = False
    group_by: str | None = None

    def at_home(self) -> "FolderSource":
        """Return the source with whole paths, which mean the same wherever a command is called."""
        test = self.test.resolve() if self.test else None
        return self.model_copy(update={"folder": self.folder.resolve(), "test": test})
