"""Labels that images should get."""

import numpy as np
from numpy.typing import NDArray

from imaging import RefusedError


def check_labels(labels: NDArray[np.int64] | None, classes: int) -> None:
    """Refuse labels int64 [N] of which one is no class."""
    if labels is None:
        return
    strange = labels[(labels < 0) | (labels >= classes)]
    if strange.size:
        raise RefusedError(
            f"The label of an image is {strange[0]}; the model has {classes} classes, and 0 to "
            f"{classes - 1} are accepted."
        )
