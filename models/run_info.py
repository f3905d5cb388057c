"""What a run trains, and its result, as its folder keeps them."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaging import LEAST_WHITE, MOST_WHITE, FitPolicy
from imaging.fit import FitMode
from models.datasets.folder_source import FolderSource
from models.networks import NetworkSpec
from models.recipe import Recipe


class RunInfo(BaseModel):
    """What a run trains, on what, and how.

    Attributes
    ----------
    fit, fill
        How the images came to the network's size, as ``imaging.FitPolicy`` defines it.
    white_level
        Of images of more than 8 bits, as ``imaging.decode`` takes it.
    teacher_sha256
        The digests of the weights, or files, of the networks that taught this one, if any did.
    start_sha256
        The digest of the weights that were the first ones, if they were not random.
    source
        The folder of images, if it was one, for an export that calibrates by them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkSpec
    recipe: Recipe
    data_set: str
    data_sha256: str
    data_licence: str
    classes: tuple[str, ...]
    fit: FitMode = "pad"
    fill: int = 0
    white_level: Annotated[int, Field(ge=LEAST_WHITE, le=MOST_WHITE)] | None = None
    teacher_sha256: tuple[str, ...] | None = None
    start_sha256: str | None = None
    source: FolderSource | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse what no export could keep its word about, in a file that somebody edited."""
        FitPolicy(self.network.size, self.fit, self.fill)
        names = {name for name in self.classes if name.strip()}
        if not len(names) == len(self.classes) == self.network.classes:
            raise ValueError(
                f"{len(names)} different classes are named, and the network has "
                f"{self.network.classes}"
            )
        return self

    def provenance(self) -> dict[str, Any]:
        """Return what a model's card keeps of the recipe, of teachers and of first weights."""
        others = {"teacher_sha256": self.teacher_sha256, "start_sha256": self.start_sha256}
        kept = {name: value for name, value in others.items() if value}
        return self.recipe.model_dump(mode="json") | kept

    def is_of_the_kind_of(self, other: "RunInfo") -> bool:
        """Whether one goes on as the other: only lengths differ, and where the folder lies."""
        mine, theirs = (
            info.model_copy(
                update={
                    "source": None,
                    "recipe": info.recipe.model_copy(update={"epochs": 1, "extended_at": 0}),
                }
            )
            for info in (self, other)
        )
        return mine == theirs


class Result(BaseModel):
    """The outcome on the test set, which is looked at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    test_error_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
    test_count: Annotated[int, Field(ge=1)]
