"""How a network is trained, as data."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.augmentation import Augmentation
from models.cracks import Cracks
from models.devices import Arithmetic


class Recipe(BaseModel):
    """How a network is trained.

    Attributes
    ----------
    learning_rate, warmup
        Peak of the schedule, and the part of all steps of the linear way to it; a cosine leads to
        zero.
    averaging
        Decay a step of the exponential moving average of the weights, which is what is kept.
    validation
        Images held out of the training set, its last ones, for early stopping or to choose
        between recipes.
    patience
        Epochs without a smaller error on the held-out images that end the training early; what is
        kept are then the averaged weights of the best epoch. Without it, those of the last.
    extended_at
        After how many epochs their number was changed; patience begins anew from there.
    class_weights
        Whether the loss weighs an image by the inverse frequency of its class, one on average.
    soft_labels
        Whether images are learned with the probabilities that those who labelled them gave each
        class, which the data set then has to have (`datasets.split.Split.soft_labels`).
    cracks
        Which images of what is intact get a crack, if any.
    mixing
        Largest share of another image, and of its label, that is mixed into an image.
    teaching
        The weight of a teacher's probabilities in what is learned; labels have the rest.
    views
        How many augmented copies of each image there are, one an epoch in turn, so that a teacher
        is asked once about each. Without it, every epoch augments images anew.
    arithmetic
        "auto" is bfloat16 autocast on a GPU that multiplies it in hardware, else float32.
        Evaluation is always in float32.
    deterministic
        Whether every run on one device is to give the same weights (`devices.be_deterministic`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(gt=0, lt=2**31)
    batch_size: int = Field(default=128, gt=0, lt=2**31)
    learning_rate: float = Field(default=2e-3, gt=0)
    warmup: float = Field(default=0.1, gt=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    averaging: float = Field(default=0.998, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()
    validation: int = Field(default=0, ge=0)
    patience: int | None = Field(default=None, gt=0)
    extended_at: int = Field(default=0, ge=0)
    class_weights: bool = False
    soft_labels: bool = False
    cracks: Cracks | None = None
    mixing: float = Field(default=0.0, ge=0, le=1)
    teaching: float = Field(default=0.0, ge=0, le=1)
    views: int | None = Field(default=None, gt=0)
    arithmetic: Arithmetic = "auto"
    deterministic: bool = False
    seed: int = Field(default=0, ge=0, lt=2**64)

    @property
    def is_for_choosing(self) -> bool:
        """Whether images are held out and do not end the training: such a run is not tested."""
        return bool(self.validation) and self.patience is None

    @model_validator(mode="after")
    def _can_stop_early(self) -> "Recipe":
        if self.patience is not None and not self.validation:
            raise ValueError("Early stopping needs held-out images: patience without validation.")
        return self

    @model_validator(mode="after")
    def _draws_cracks_anew(self) -> "Recipe":
        if self.cracks and self.views:
            raise ValueError("Cracks are drawn anew in each epoch: there are no views of them.")
        return self
