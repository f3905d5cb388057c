"""What an import would do, said before it is done: what was understood, what takes how long."""

import time
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from artifact.contract import INPUT, PROBABILITIES
from artifact.cpus import cpu_budget
from artifact.session import open_session
from audit.elements import audited_elements
from audit.proving import UNATTENDED
from export.onnx_import.importer import tried_groups
from export.onnx_import.outputs import Found
from export.onnx_import.size import network_size
from export.onnx_import.summary import found_in
from export.onnx_import.understand import Understood
from export.runtime import open_model
from export.sample import passes

_RUNS, _SECONDS, _BATCH = 3, 2.0, 8
_TOP: Final = 3
_SHOWN: Final = 5
"""Names of classes."""


def describe(understood: Understood) -> list[str]:
    """Say in lines what an import of a file would do; a few images are classified for it."""
    return [
        "Nothing is written. What was understood:",
        _input(understood),
        *_answers(understood.adapted.found),
        *found_in(understood.bundle.weights),
        *understood.adapted.adaptations,
        _classes(understood.request.classes),
        f"{len(understood.pictures.images)} images of {understood.pictures.source}"
        f"{'' if understood.pictures.labels is None else ', with labels'}.",
        _example(understood),
        *_passes(understood),
    ]


def _input(understood: Understood) -> str:
    graph = onnx.load_model_from_string(understood.bundle.data).graph
    stored = {tensor.name for tensor in graph.initializer}
    value = next(each for each in graph.input if each.name not in stored)
    kind = value.type.tensor_type
    shape = ", ".join(str(a.dim_value) if a.dim_value > 0 else "?" for a in kind.shape.dim)
    adapted = understood.adapted
    where = "last" if adapted.nhwc else "first"
    bgr = adapted.scaling is not None and adapted.scaling.bgr
    order = "grey" if adapted.channels == 1 else "blue, green, red" if bgr else "red, green, blue"
    scaled = "" if adapted.scaling else ", and scales levels from 0 to 255 itself"
    return (
        f"The input '{value.name}' takes {TensorProto.DataType.Name(kind.elem_type).lower()} "
        f"[{shape}], channels {where}: {order}{scaled}."
    )


def _answers(found: Found | None) -> Iterator[str]:
    if found is None:
        yield "The file keeps the contract: it gives logits and probabilities."
    elif found.logits is None:
        yield (
            f"The output '{found.answer}' holds probabilities; the logits are computed from them."
        )
    elif found.logits == found.answer:
        yield f"The output '{found.answer}' holds the logits."
    else:
        yield f"The logits are '{found.logits}', on the way to the output '{found.answer}'."


def _classes(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} classes: {', '.join(names[:_SHOWN])}{more}."


def _example(understood: Understood) -> str:
    session = open_session(understood.given, cpu_budget())
    image = {INPUT: understood.pictures.images[:1]}
    probabilities: NDArray[np.float32] = session.run([PROBABILITIES], image)[0][0]
    top = np.argsort(-probabilities, kind="stable")[:_TOP]
    names = understood.request.classes
    said = ", ".join(f"{names[i]} {probabilities[i]:.1%}" for i in top)
    return f"The first image is taken for: {said}."


def _passes(understood: Understood) -> Iterator[str]:
    """Say what is to come, in its order, and about how long each takes on this machine."""
    request, images = understood.request, understood.pictures.images
    groups = tried_groups(understood.adapted.size)
    group = request.symmetrise or request.group or groups[0]
    branches = len(audited_elements(group)) if request.symmetrise else 1
    size = network_size(understood.adapted.model).multiply_adds * branches
    sample = understood.sample(group, size)
    together, alone = (
        branches * _seconds(understood.given, images, count) for count in (cpu_budget(), 1)
    )
    yield "Passes to come, on this machine:"
    if request.symmetrise:
        yield f"  average over {group}: {branches} times the multiply-adds of the file"
    if request.project:
        yield f"  project the weights over {group}"
    tried = group if request.symmetrise or request.group else ", or else ".join(groups)
    yield f"  prove {tried}: unknown, at most {UNATTENDED.seconds:g} s each time"
    yield f"  classify {sample.audited} images: {_about(sample.audited * together)}"
    total = sample.audited * together
    for each in passes(group, understood.audited_group(group), sample):
        seconds = each.classified * together + each.alone * alone
        total += seconds
        yield f"  {each.name}: {_about(seconds)}"
    yield f"In all {_about(total)}, and the proof."
    if sample.measured < len(images):
        yield "This is a sample of the images, as the network is large; --all-images takes all."


def _seconds(model: bytes, images: NDArray[np.uint8], threads: int) -> float:
    """How long one image takes in a batch: the shortest of a few runs."""
    classify, batch = open_model(model, threads), images[:_BATCH]
    classify(batch[:1])
    taken: list[float] = []
    began = time.perf_counter()
    while len(taken) < _RUNS and (not taken or time.perf_counter() - began < _SECONDS):
        start = time.perf_counter()
        classify(batch)
        taken.append(time.perf_counter() - start)
    return min(taken) / len(batch)


def _about(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    return f"about {seconds:.0f} s" if seconds < 120 else f"about {seconds / 60:.0f} min"
