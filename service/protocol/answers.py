"""What a classification answers."""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from service.engine import Inference


class ServedIdentity(BaseModel):
    """Which file answered."""

    name: str
    version: int
    digest: str
    """`sha256:` and the digest of `model.onnx` in hexadecimal."""


class Ranked(BaseModel):
    """A class and its probability."""

    label: str
    index: int
    probability: float


class Prediction(Ranked):
    """The most probable class of one image, and the first few in order."""

    top: list[Ranked]


class Classification(BaseModel):
    """The answers to the images of one request, in their order."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "model": {"name": "rotmnist-c4", "version": 1, "digest": "sha256:9f86d081..."},
                "predictions": [
                    {
                        "label": "7",
                        "index": 7,
                        "probability": 0.998,
                        "top": [
                            {"label": "7", "index": 7, "probability": 0.998},
                            {"label": "1", "index": 1, "probability": 0.001},
                        ],
                    }
                ],
            }
        }
    )

    model: ServedIdentity
    predictions: list[Prediction]


def classification(
    model: ServedIdentity, classes: Sequence[str], result: Inference, top_k: int
) -> Classification:
    """Rank the classes of each image.

    The order is that of the logits, ties by index: float32 probabilities of a confident model tie
    where its logits do not.
    """
    order = np.argsort(-result.logits, axis=1, kind="stable")[:, :top_k]
    probabilities = np.take_along_axis(result.probabilities, order, axis=1)
    predictions = [
        _prediction(classes, indices, values)
        for indices, values in zip(order.tolist(), probabilities.tolist(), strict=True)
    ]
    return Classification(model=model, predictions=predictions)


def _prediction(
    classes: Sequence[str], indices: Sequence[int], probabilities: Sequence[float]
) -> Prediction:
    top = [
        Ranked(label=classes[index], index=index, probability=probability)
        for index, probability in zip(indices, probabilities, strict=True)
    ]
    return Prediction(**top[0].model_dump(), top=top)
