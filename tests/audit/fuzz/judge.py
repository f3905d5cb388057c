"""A verdict of the proof, held against what onnxruntime answers."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from audit.proof import Proof, prove
from audit.proof.operators import OPERATORS
from tests.audit.fuzz.doubles import in_doubles

Array = NDArray[Any]
Finding = Literal["sound", "unsound", "beyond its bound", "crash", "died", "slow", "not run"]
_FAILED = np.empty(0)
LONGEST = 60.0
SMALL_BATCHES = (1, 2, 3)
"""Numbers of images in a batch that are tried, besides many, where the file leaves it open."""


@dataclass(frozen=True)
class Judgement:
    """What became of a graph.

    Attributes
    ----------
    deviates
        Whether some output differs by more than rounding.
    optimiser
        Whether bits that are claimed differ with optimisations on alone, by no more than rounding
        or what a step makes of it.
    """

    finding: Finding
    claim: str
    deviates: bool = False
    optimiser: bool = False
    seconds: float = 0.0
    detail: str = ""


def judge(model: onnx.ModelProto) -> Judgement:
    """Prove a graph and try it."""
    data = model.SerializeToString()
    start = time.perf_counter()
    try:
        proof: Proof | None = prove(data, "C4", runtime=run_alone)
    except ValueError:
        proof = None
    except Exception as error:  # whatever it is, it is a defect
        return Judgement("crash", "", detail=repr(error))
    seconds = time.perf_counter() - start
    claim = "refused" if proof is None else _claim(proof)
    if seconds > LONGEST:
        return Judgement("slow", claim, seconds=seconds)
    images = draw_images(model)
    plain = answers(data, images, optimised=False)
    if plain is None or not plain[0]:
        return Judgement("not run", claim, seconds=seconds)
    fast = answers(data, images, optimised=True)
    differs = any(
        _far(a, b) for rotated in plain[1:] for a, b in zip(plain[0], rotated, strict=True)
    )
    if proof is None or proof.outcome == "NOT PROVED":
        return Judgement("sound", claim, differs, seconds=seconds)
    finding, detail = _held_against(proof, plain)
    excuse = _excuse(proof, model, images) if finding == "unsound" else ""
    if excuse:
        return Judgement("sound", claim, True, seconds=seconds, detail=excuse)
    optimiser = False
    if fast is not None and finding == "sound":
        after, detail = _held_against(proof, fast)
        if after == "unsound" and _excuse(proof, model, images):
            after = "sound"
        claimed = _bits_claimed(proof, plain, fast)
        if not all(map(_equal, claimed)) and not decided_by_order(proof, claimed, model, images):
            return Judgement("unsound", claim, differs, seconds=seconds, detail="bits")
        optimiser = after != "sound" and proof.exact_bits and not _is_misread(model, fast)
        finding = "sound" if optimiser else after
    return Judgement(finding, claim, differs, optimiser, seconds, detail)


def _is_misread(model: onnx.ModelProto, runs: list[list[Array]]) -> bool:
    """Whether optimised answers differ by more than rounding, and no step made more of it."""
    records = [OPERATORS.get(node.op_type) for node in model.graph.node]
    smooth = all(record is not None and record.response == "smooth" for record in records)
    pairs = (pair for rotated in runs[1:] for pair in zip(runs[0], rotated, strict=True))
    return smooth and any(_far(a, b) for a, b in pairs)


def _excuse(proof: Proof, model: onnx.ModelProto, images: Array) -> str:
    """Say what a deviation in real arithmetic comes of, if it is nothing that the proof denies."""
    if proof.exact_bits:
        return ""
    if proof.disordered and meets_infinities(model, images):
        return "infinities"
    return "rounding" if _only_rounds(proof, model, images) else ""


def meets_infinities(model: onnx.ModelProto, images: Array) -> bool:
    """Whether a tensor holds an infinity or NaN for some image; a -0.0 shows by one alone.

    So does a graph whose tensors onnxruntime does not hand out.
    """
    stored = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    del whole.graph.output[:]
    names = (name for node in model.graph.node for name in node.output if name)
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    runs = answers(whole.SerializeToString(), images, optimised=False)
    if runs is None:
        return True
    computed = (tensor for run in runs for tensor in run)
    floats = (each for each in (*stored, *computed) if each.dtype.kind == "f")
    return any(not np.isfinite(each).all() for each in floats)


def _only_rounds(proof: Proof, model: onnx.ModelProto, images: Array) -> bool:
    """Whether a deviation comes of large integers alone, and is gone in doubles.

    Differences of large numbers leave but their rounding: of int32 after a filter that sums to 0,
    nothing else. Small ones are tried once more, and must not deviate in floats.
    """
    if images.dtype.kind not in "iu" or images.dtype.itemsize < 4:
        return False
    low = max(-1000, int(np.iinfo(images.dtype).min))
    small = answers(model.SerializeToString(), np.clip(images, low, 1000), optimised=False)
    if small is None or _held_against(proof, small)[0] != "sound":
        return False
    fixed = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value or len(images)
    for start in range(0, len(images) - fixed + 1, fixed):
        runs = [in_doubles(model, rotated) for rotated in _rotated(images[start : start + fixed])]
        for rotated in runs[1:]:
            if runs[0] is None or rotated is None:
                return False
            pairs = zip(runs[0], rotated, strict=True)
            if any(_difference(a, b) > 1e-6 * (1 + _scale(a)) for a, b in pairs):
                return False
    return True


def _bits_claimed(
    proof: Proof, plain: list[list[Array]], fast: list[list[Array]]
) -> list[list[list[Array]]]:
    """Return the answers that are equal in every bit, by what onnxruntime is said to do."""
    return {"quantised": [fast], "repeated": [plain, fast]}.get(proof.arithmetic or "", [])


def decided_by_order(
    proof: Proof, claimed: list[list[list[Array]]], model: onnx.ModelProto, images: Array
) -> bool:
    """Whether bits differ as where the proof says that the order decides: by NaN, by a zero's sign.

    A sign that something else is made of, as by a division, shows by an infinity.
    """
    if proof.arithmetic != "repeated" or not proof.disordered:
        return False
    unsigned = [[[each + 0 for each in run] for run in runs] for runs in claimed]
    return all(map(_equal, unsigned)) or meets_infinities(model, images)


def _claim(proof: Proof) -> str:
    return proof.arithmetic or proof.outcome.lower()


def _held_against(proof: Proof, runs: list[list[Array]]) -> tuple[Finding, str]:
    for rotated in runs[1:]:
        for place, (a, b) in enumerate(zip(runs[0], rotated, strict=True)):
            if proof.exact_bits:
                if not same_bits(a, b):
                    return "unsound", f"output {place} differs by {_difference(a, b):.3g}"
            elif proof.residual is not None:
                bounds = list(proof.residual.deviation.values())
                bound = bounds[place % len(bounds)]
                if _difference(a, b) > bound * 1.001 + 1e-4 * (1 + _scale(a)):
                    return "beyond its bound", f"{_difference(a, b):.3g} of {bound:.3g}"
            elif not proof.steps and _far(a, b):
                return "unsound", f"output {place} differs by {_difference(a, b):.3g}"
    return "sound", ""


def _equal(runs: list[list[Array]]) -> bool:
    return all(
        same_bits(a, b) for rotated in runs[1:] for a, b in zip(runs[0], rotated, strict=True)
    )


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays are equal in every bit, but for the kind of NaN."""
    if a.shape != b.shape:
        return False
    if a.dtype.kind == "f":
        missing = np.isnan(a)
        if not np.array_equal(missing, np.isnan(b)):
            return False
        a, b = np.where(missing, 0, a), np.where(missing, 0, b)
    return a.tobytes() == b.tobytes()


def _far(a: Array, b: Array) -> bool:
    """Whether answers differ by more than rounding, where all of them are finite.

    Of real arithmetic nothing is said where numbers overflow; half precision has few bits.
    """
    few = a.dtype == np.float16
    return _difference(a, b) > (0.05 if few else 1e-3) * (1 + _scale(a))


def _difference(a: Array, b: Array) -> float:
    if a.shape != b.shape:
        return float("inf")
    x, y = a.astype(np.float64), b.astype(np.float64)
    if not x.size:
        return 0.0
    rows = np.isfinite(x).reshape(len(x), -1).all(1) & np.isfinite(y).reshape(len(y), -1).all(1)
    return float(np.abs(x[rows] - y[rows]).max(initial=0))


def _scale(a: Array) -> float:
    values = np.abs(a.astype(np.float64))
    return float(values[np.isfinite(values)].max(initial=0))


def draw_images(model: onnx.ModelProto) -> Array:
    """Return images of all kinds, as many as a fixed batch holds several times over."""
    kind = model.graph.input[0].type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    shape = tuple(axis.dim_value for axis in kind.shape.dim)[1:]
    random = np.random.default_rng(len(model.graph.node))
    low, high = (0.0, 1.0) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    images = [np.full(shape, low), np.full(shape, high)]
    for _ in range(3):
        hot = np.full(shape, low, np.float64)
        hot[tuple(random.integers(0, side) for side in shape)] = high
        images.append(hot)
    images.append(np.indices(shape).sum(0) % 2 * (high - low) + low)
    ramp = np.arange(np.prod(shape)).reshape(shape)
    images.append(ramp / ramp.max() if dtype.kind == "f" else ramp + (low if low < 0 else 0))
    for _ in range(5):
        noise = (
            random.random(shape)
            if dtype.kind == "f"
            else random.integers(max(low, -1000), min(high, 1000) + 1, shape)
        )
        images.append(
            np.round(noise * 4) / 4 if dtype.kind == "f" and random.random() < 0.3 else noise
        )
    found = np.stack(images).astype(dtype)
    if dtype.kind == "f":
        found[5:7][found[5:7] == 0] = -0.0
    return found


def answers(data: bytes, images: Array, *, optimised: bool) -> list[list[Array]] | None:
    """Return the outputs for the images and for four rotations of them; None if it does not run.

    Each is a list of the outputs of one batch after the other. If a batch runs under some rotations
    alone, as where what is divided by is 0 under another, there are answers of no entries.
    """
    options = _options()
    if optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception:  # onnxruntime's exceptions share no base class of their own
        return None
    image = session.get_inputs()[0]
    fixed = image.shape[0]
    sizes = [fixed] if isinstance(fixed, int) else [len(images), *SMALL_BATCHES]
    runs: list[list[Array]] = [[] for _ in range(5)]
    for size in sizes:
        # Small batches are there for the sake of their size: one of each is enough, of noise.
        last = [max(len(images) - size, 0)]
        starts = last if size in SMALL_BATCHES and size != fixed else range(0, len(images), size)
        for start in starts:
            found = [_run(session, rotated) for rotated in _rotated(images[start : start + size])]
            if all(outputs is None for outputs in found):
                continue  # a graph may take batches of some sizes alone
            for run, outputs in zip(runs, found, strict=True):
                run += [_FAILED] * len(session.get_outputs()) if outputs is None else outputs
    return runs if all(runs) else None


def _run(session: Any, images: Array) -> list[Array] | None:
    try:
        found = session.run(None, {session.get_inputs()[0].name: images})
    except Exception:
        return None
    return [np.atleast_1d(output) for output in found]


def _rotated(images: Array) -> Iterator[Array]:
    """Yield the images, three rotations of all, and each rotated otherwise than its neighbours.

    The last shows graphs in which the images of a batch meet.
    """
    for quarters in range(4):
        yield _at(quarters, np.rot90(images, quarters, (2, 3)))
    yield np.stack([np.rot90(image, place % 4, (1, 2)) for place, image in enumerate(images)])


def _at(place: int, images: Array) -> Array:
    """Return a copy that begins so many entries behind an aligned address."""
    memory = np.empty(images.size + place, images.dtype)
    memory[place:] = images.reshape(-1)
    return memory[place:].reshape(images.shape)


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def run_alone(model: onnx.ModelProto, feeds: Any) -> list[Array]:
    """Compute constants as a runtime does, by several nodes also with optimisations."""
    runs = []
    for fast in (False, True)[: len(model.graph.node)]:
        options = _options()
        if fast:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        runs.append(list(session.run(None, dict(feeds))))
    if not all(map(same_bits, runs[0], runs[-1])):
        raise ArithmeticError("optimisations change the constants")
    return runs[0]
