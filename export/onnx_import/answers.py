"""Whether an adapted file answers what the given one does, on images that both are shown."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from artifact.batch_sizes import buckets
from artifact.contract import INPUT, LOGITS, OUTPUTS, probabilities_of
from artifact.cpus import cpu_budget
from artifact.session import open_session
from export.onnx_import.adapt import Adapted
from export.onnx_import.graphs import OnnxImportError
from export.onnx_import.inputs import Scaling
from export.onnx_import.outputs import Found

IMAGES, _ALONE = 32, 8
"""Images that both files are run on, at most, and how many of them one by one as well."""

_TOLERANCE, _HALF_TOLERANCE = 1e-4, 1e-2
Floats = NDArray[np.float64]


def check_answers(
    given: bytes,
    adapted: Adapted,
    model: bytes,
    images: NDArray[np.uint8],
    classes: int,
) -> None:
    """Run both files on images, and the adapted one on some of them one by one.

    Batches are of sizes in which `artifact.session.check_stays_alive` tried the files.

    Raises
    ------
    OnnxImportError
        If the answers differ, are for another number of classes, are not what they are taken for,
        or depend on the other images of a batch.
    """
    images = images[: max(size for size in buckets(IMAGES) if size <= len(images))]
    session = open_session(model, cpu_budget())
    logits, probabilities = _answers(session, images)
    if logits.shape != (len(images), classes):
        raise OnnxImportError(
            f"For {len(images)} images the file answers in the shape {list(logits.shape)}, and "
            f"{classes} classes are named."
        )
    if not np.isfinite(logits).all():
        raise OnnxImportError("The file gives logits that are not finite for images of the set.")
    alone = [_answers(session, images[i : i + 1])[0] for i in range(min(len(images), _ALONE))]
    expected, dtype = _given_answers(given, adapted, images)
    relative = _HALF_TOLERANCE if dtype == np.float16 else _TOLERANCE
    tolerance = relative * max(1.0, float(np.abs(logits).max()))
    if not np.abs(np.concatenate(alone) - logits[: len(alone)]).max() <= tolerance:
        raise OnnxImportError(
            "What the file answers for an image depends on the other images of its batch, or it "
            "does not take a batch of another size; one that treats every image alone is accepted."
        )
    found = adapted.found
    squash = partial(probabilities_of, multi_label=adapted.multi_label)
    if found is None:
        check_kind("logits", logits)
        _compare(logits, expected, tolerance)
        _compare(probabilities, squash(logits), relative)
        return
    values = (expected - found.shift) / found.scale
    if not found.known:
        check_kind(found.answer, expected)
    if values.shape[1] == 1:
        values = np.hstack([0 * values if found.kind == "logits" else 1 - values, values])
    if found.kind == "logits":
        rounded = found.step / found.scale / 2
        _compare(logits, values, tolerance + rounded)
        _compare(probabilities, squash(values), relative + rounded)
    else:
        _check_probabilities(found, values, summed=not adapted.multi_label)
        # A graph with other ends may be fused otherwise, and then rounds another way now and then.
        step = found.step / found.scale
        _compare(probabilities, values, relative + step)
        _compare(squash(logits), values, relative + 1.5 * step)


def check_kind(answer: str, values: Floats) -> None:
    """Refuse numbers that may be probabilities where logits are due and nobody said which.

    Raises
    ------
    OnnxImportError
        If all images' numbers sum to one or to a hundred, or lie between nought and one.
    """
    sums = values.sum(axis=1)
    for whole, kind in ((1, "probabilities"), (100, "percent")):
        if (values >= 0).all() and np.allclose(sums, whole, rtol=1e-3):
            raise OnnxImportError(
                f"The output '{answer}' holds numbers that sum to {whole}, and no softmax is found "
                f"in front of it; --output-kind {kind} takes them for what they seem to be, "
                "--output-kind logits for logits."
            )
    if (values >= 0).all() and (values <= 1).all():
        raise OnnxImportError(
            f"The output '{answer}' holds numbers between 0 and 1 alone, and it is open what they "
            "are; --output-kind says so: logits, probabilities, percent or sigmoid."
        )


def _check_probabilities(found: Found, values: Floats, *, summed: bool) -> None:
    reading = "another --output-kind" if found.logits is None else "a file that gives some"
    slack = _HALF_TOLERANCE + found.step / found.scale * values.shape[1]
    if not (values.min() >= -slack and values.max() <= 1 + slack):
        raise OnnxImportError(
            f"What the output '{found.answer}' holds are no probabilities: they go from "
            f"{values.min():.3g} to {values.max():.3g}; {reading} is accepted."
        )
    if summed and not np.abs(values.sum(axis=1) - 1).max() <= slack:
        raise OnnxImportError(
            f"What the output '{found.answer}' holds are no probabilities: an image's sum to "
            f"{values.sum(axis=1)[0] * found.scale:.3g} where {found.scale:g} is due; {reading} is "
            "accepted."
        )


def _compare(answers: Floats, expected: Floats, tolerance: float) -> None:
    difference = np.abs(answers - expected).max()
    if not difference <= tolerance:
        raise OnnxImportError(
            f"The adapted file's answers differ from the given one's by {difference:.2g}, and "
            "nothing is imported."
        )


def _answers(session: Any, images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    try:
        logits, probabilities = session.run(list(OUTPUTS), {INPUT: images})
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise OnnxImportError(
            f"The file does not run on {len(images)} images: {reason}."
        ) from error
    return logits.astype(np.float64), probabilities.astype(np.float64)


def _given_answers(
    given: bytes, adapted: Adapted, images: NDArray[np.uint8]
) -> tuple[Floats, np.dtype[np.generic]]:
    session = open_session(_of_any_batch(given), cpu_budget())
    source = session.get_inputs()[0]
    dtype = np.dtype({"tensor(uint8)": "u1", "tensor(float16)": "f2"}.get(source.type, "f4"))
    dtype = np.dtype(np.float64) if source.type == "tensor(double)" else dtype
    batch = source.shape[0] if isinstance(source.shape[0], int) else len(images)
    answer = adapted.found.answer if adapted.found else LOGITS
    answers = [
        session.run([answer], {source.name: rows})[0]
        for rows in _inputs(images, adapted.scaling, dtype, batch, nhwc=adapted.nhwc)
    ]
    found = np.concatenate(answers)[: len(images)]
    return found.reshape(len(images), -1).astype(np.float64), dtype


def _of_any_batch(given: bytes) -> bytes:
    """Take a batch of 0 images, which would be run as one, for the open axis that was meant."""
    model = onnx.load_model_from_string(given)
    ends = [value.type.tensor_type for value in (*model.graph.input, *model.graph.output)]
    empty = [end.shape.dim[0] for end in ends if end.shape.dim and end.shape.dim[0].dim_value == 0]
    for axis in empty:
        axis.dim_param = axis.dim_param or "N"
    return bytes(model.SerializeToString()) if empty else given


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
        images = images[:, ::-1] if scaling.bgr else images
        values = (images * np.float32(scaling.scale) - mean) / std
    if nhwc:
        values = values.transpose(0, 2, 3, 1)
    values = np.ascontiguousarray(values).astype(dtype)
    for start in range(0, len(values), batch):
        rows = values[start : start + batch]
        yield rows if len(rows) == batch else np.resize(rows, (batch, *rows.shape[1:]))
