"""What a classification answers: plain dictionaries, whose types OpenAPI is told of."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from artifact.contract import decisions
from service.protocol.parts import Scores

_EXAMPLE: Final[dict[str, Any]] = {
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


class ServedIdentity(TypedDict):
    """Which file answered."""

    name: str
    version: int
    digest: Annotated[
        str, Field(description="`sha256:` and the digest of `model.onnx` in hexadecimal.")
    ]


class Ranked(TypedDict):
    """A class and its probability."""

    label: str
    index: int
    probability: float


class Prediction(Ranked):
    """The most probable class of one image, and the first few in order."""

    top: list[Ranked]


class MultiLabelPrediction(TypedDict):
    """All classes that a model of several labels gives one image, the most probable first.

    None may be among them; the first few are in order whether they are given or not.
    """

    labels: list[Ranked]
    top: list[Ranked]


@with_config(ConfigDict(json_schema_extra={"example": _EXAMPLE}))
class Classification(TypedDict):
    """The answers to the images of one request, in their order."""

    model: ServedIdentity
    predictions: list[Prediction] | list[MultiLabelPrediction]


write_classification = msgspec.json.Encoder().encode
"""Write a `Classification` as JSON."""


def classification(
    model: ServedIdentity,
    classes: Sequence[str],
    result: Scores,
    top_k: int,
    *,
    multi_label: bool = False,
) -> Classification:
    """Rank the classes of each image; of ``multi_label`` models, say which of them it gets.

    The order is that of the logits, ties by index: float32 probabilities of a confident model tie
    where its logits do not.
    """
    if multi_label:
        return {"model": model, "predictions": _several_labels(classes, result, top_k)}
    order = (-result.logits).argsort(axis=1, kind="stable")[:, :top_k]
    predictions = [
        _prediction(classes, indices, probabilities)
        for indices, probabilities in zip(
            order.tolist(), result.probabilities.tolist(), strict=True
        )
    ]
    return {"model": model, "predictions": predictions}


def _several_labels(
    classes: Sequence[str], result: Scores, top_k: int
) -> list[MultiLabelPrediction]:
    order = (-result.logits).argsort(axis=1, kind="stable")
    counts = decisions(result.logits, multi_label=True).sum(axis=1)
    return [
        {
            "labels": _ranked(classes, indices[:count], probabilities),
            "top": _ranked(classes, indices[:top_k], probabilities),
        }
        for indices, count, probabilities in zip(
            order.tolist(), counts.tolist(), result.probabilities.tolist(), strict=True
        )
    ]


def _prediction(
    classes: Sequence[str], indices: Sequence[int], probabilities: Sequence[float]
) -> Prediction:
    top = _ranked(classes, indices, probabilities)
    return {**top[0], "top": top}


def _ranked(
    classes: Sequence[str], indices: Sequence[int], probabilities: Sequence[float]
) -> list[Ranked]:
    return [
        {"label": classes[index], "index": index, "probability": probabilities[index]}
        for index in indices
    ]
