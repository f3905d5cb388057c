"""Whether an adapted file answers what the given one does, on images that both are shown."""

from collections.abc import Iterator

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from audit import Classifier
from export.foreign.adapt import Adapted
from export.foreign.graphs import ForeignError
from export.foreign.inputs import Scaling
from export.runtime import open_model

IMAGES = 32
_TOLERANCE, _HALF_TOLERANCE = 1e-4, 1e-2
Floats = NDArray[np.float64]


def check_answers(
    given: bytes,
    adapted: Adapted,
    model: bytes,
    scaling: Scaling | None,
    images: NDArray[np.uint8],
    classes: int,
) -> None:
    """Run both files on images, and the adapted one on each image alone.

    Raises
    ------
    ForeignError
        If the answers differ, are for another number of classes, are no logits, or depend on the
        other images of a batch.
    """
    images = images[:IMAGES]
    classify = open_model(model)
    logits = _logits(classify, images)
    if logits.shape != (len(images), classes):
        raise ForeignError(
            f"For {len(images)} images the file answers in the shape {list(logits.shape)}, and "
            f"{classes} classes are named."
        )
    if not np.isfinite(logits).all():
        raise ForeignError("The file gives logits that are not finite for images of the set.")
    if not adapted.softened and _are_probabilities(logits):
        raise ForeignError(
            f"The output '{adapted.answer}' holds probabilities, and no softmax is in front of it; "
            "a file with logits is accepted."
        )
    alone = np.concatenate([_logits(classify, images[i : i + 1]) for i in range(len(images))])
    expected, dtype = _given_answers(given, adapted, scaling, images)
    relative = _HALF_TOLERANCE if dtype == np.float16 else _TOLERANCE
    tolerance = relative * max(1.0, float(np.abs(logits).max()))
    if not np.abs(alone - logits).max() <= tolerance:
        raise ForeignError(
            "What the file answers for an image depends on the other images of its batch, or it "
            "does not take a batch of another size; one that treats every image alone is accepted."
        )
    answers = _softmax(logits) if adapted.softened else logits
    if not np.abs(answers - expected).max() <= tolerance:
        raise ForeignError(
            f"The adapted file's answers differ from the given one's by "
            f"{np.abs(answers - expected).max():.2g}, and nothing is imported."
        )


def _logits(classify: Classifier, images: NDArray[np.uint8]) -> Floats:
    try:
        return classify(images).astype(np.float64)
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ForeignError(f"The file does not run on {len(images)} images: {reason}.") from error


def _are_probabilities(logits: Floats) -> bool:
    return bool((logits >= 0).all() and np.allclose(logits.sum(axis=1), 1, atol=1e-3))


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    answers: Floats = powers / powers.sum(axis=1, keepdims=True)
    return answers


def _given_answers(
    given: bytes, adapted: Adapted, scaling: Scaling | None, images: NDArray[np.uint8]
) -> tuple[Floats, np.dtype[np.generic]]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    dtype = np.dtype({"tensor(uint8)": "u1", "tensor(float16)": "f2"}.get(source.type, "f4"))
    dtype = np.dtype(np.float64) if source.type == "tensor(double)" else dtype
    batch = source.shape[0] if isinstance(source.shape[0], int) else len(images)
    answers = [
        session.run([adapted.answer], {source.name: rows})[0]
        for rows in _inputs(images, scaling, dtype, batch, nhwc=adapted.nhwc)
    ]
    found = np.concatenate(answers)[: len(images)]
    return found.reshape(len(images), -1).astype(np.float64), dtype


def _inputs(
    images: NDArray[np.uint8],
    scaling: Scaling | None,
    dtype: np.dtype[np.generic],
    batch: int,
    *,
    nhwc: bool,
) -> Iterator[NDArray[np.generic]]:
    """Yield what the given file is to be fed, in batches that are full."""
    values: NDArray[np.generic] = images
    if scaling is not None:
        mean, std = (
            np.reshape(v, (-1, 1, 1)).astype(np.float32) for v in (scaling.mean, scaling.std)
        )
        values = (images * np.float32(scaling.scale) - mean) / std
    if nhwc:
        values = values.transpose(0, 2, 3, 1)
    values = np.ascontiguousarray(values).astype(dtype)
    for start in range(0, len(values), batch):
        rows = values[start : start + batch]
        yield rows if len(rows) == batch else np.resize(rows, (batch, *rows.shape[1:]))
