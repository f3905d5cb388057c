"""What the outputs of a file from elsewhere hold, and where its logits are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from artifact.contract import LOGITS
from export.onnx_import.graphs import OnnxImportError

OutputKind = Literal["logits", "probabilities", "percent", "sigmoid"]
"""What an output may hold: logits; probabilities that sum to one, or to a hundred; or numbers of
which each is a probability of its own."""

_SHAPES: Final = ("Identity", "Dropout", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
_FLOATS: Final = {
    TensorProto.FLOAT: 0.0,
    TensorProto.DOUBLE: 0.0,
    TensorProto.FLOAT16: 2.0**-11,
    TensorProto.BFLOAT16: 2.0**-8,
}
"""How far a cast to them rounds a probability, beyond float32."""

_BARELY: Final = 1e-7
"""Not rounded, but not what it was either."""

_SLIGHT: Final = 1e-3
"""The largest probability that may be added to one before its logarithm is taken."""

_ARITHMETIC: Final = ("Mul", "Div", "Add", "Sub")
_SIGMOIDS: Final = ("Sigmoid", "HardSigmoid")
_BOUNDED: Final = ("Tanh", "Erf", "Softsign", "Softplus", "Atan")
"""With a sign, a factor or a term these are sigmoids, or logarithms of them."""

_SQUASHES: Final = ("Softmax", "LogSoftmax", *_SIGMOIDS, "Exp", *_BOUNDED)
_WEIGHTED: Final = ("Conv", "ConvInteger", "ConvTranspose", "Gemm", "MatMul", "MatMulInteger")


@dataclass(frozen=True)
class Found:
    """What is known of the answer: it is ``scale * value + shift``.

    Attributes
    ----------
    answer
        The output of the file that is served.
    kind
        What ``value`` is, a percentage being a probability by then.
    logits
        The tensor with the logits; None if they have to be computed from the answer.
    step
        How coarse the answer is; 0 if it is not rounded on its way from the logits.
    known
        Whether the kind is: from the graph, or because it was said.
    logarithm
        Whether they are logits that are logarithms of one distribution over all classes.
    """

    answer: str
    kind: Literal["logits", "probabilities", "sigmoid"]
    logits: str | None
    scale: float
    shift: float
    step: float
    known: bool
    notes: tuple[str, ...]
    logarithm: bool = False


def find_logits(graph: onnx.GraphProto, named: str | None, kind: OutputKind | None) -> Found:
    """Find the logits among the outputs, or in front of the softmax that one of them comes from.

    An output is followed back through nodes that keep the order of its numbers and can be undone.

    Parameters
    ----------
    named
        The output to serve, where there is a choice.
    kind
        What it holds, where somebody said so.

    Raises
    ------
    OnnxImportError
        If the outputs leave a choice, or what was said contradicts the graph.
    """
    names = [output.name for output in graph.output]
    if not names:
        raise OnnxImportError("The file has no output; one number for each class is accepted.")
    if named is not None and named not in names:
        raise OnnxImportError(
            f"The file has no output '{named}'; its outputs are {_quoted(names)}."
        )
    read = _Graph.of(graph)
    paths = {name: _follow(read, name) for name in names}
    chosen = [named] if named is not None else _candidates(graph, read, paths)
    if len(chosen) != 1:
        raise OnnxImportError(
            f"The file has the outputs {_quoted(names)}; --output names the one with the logits."
        )
    answer = next(output for output in graph.output if output.name == chosen[0])
    if not answer.type.HasField("tensor_type"):
        raise OnnxImportError(
            f"The output '{answer.name}' is no tensor, as a sequence or a map is none; one number "
            "for each class is accepted."
        )
    found = _read(read, paths[answer.name], answer, kind)
    if len(names) > 2:
        kept = f"Of the outputs {_quoted(names)}, '{chosen[0]}' is kept."
        found = replace(found, notes=(kept, *found.notes))
    return found


@dataclass(frozen=True)
class _Graph:
    """Which node writes a tensor, and the constants."""

    producers: Mapping[str, onnx.NodeProto]
    stored: Mapping[str, onnx.TensorProto]

    @classmethod
    def of(cls, graph: onnx.GraphProto) -> Self:
        producers = {name: node for node in graph.node for name in node.output}
        return cls(producers, {tensor.name: tensor for tensor in graph.initializer})


@dataclass(frozen=True)
class _Path:
    """The way back from an output to the first node that changes more than scale and layout."""

    tensor: str
    node: onnx.NodeProto | None
    scale: float = 1.0
    shift: float = 0.0
    step: float = 0.0

    @property
    def softened(self) -> str | None:
        """What a softmax at its end reads."""
        found = self.node is not None and self.node.op_type == "Softmax"
        return self.node.input[0] if found and self.node else None


def _follow(graph: _Graph, output: str, *, scaled: bool = True) -> _Path:
    """Follow an output back; through factors and terms only if it may be ``scaled`` by them."""
    tensor, scale, shift, step = output, 1.0, 0.0, 0.0
    # The output is scale * tensor + shift all the way.
    while (node := graph.producers.get(tensor)) is not None:
        undone = _undo(node, tensor, graph.stored)
        if undone is None or not (scaled or node.op_type not in _ARITHMETIC):
            break
        tensor, factor, term, rounding = undone
        step = max(step, rounding * abs(scale))
        scale, shift = scale * factor, scale * term + shift
    return _Path(tensor, node, scale, shift, step)


def _undo(
    node: onnx.NodeProto, tensor: str, stored: Mapping[str, onnx.TensorProto]
) -> tuple[str, float, float, float] | None:
    """Return what a node reads and by which factor and term it becomes what it writes.

    The last number is how far the node rounds. None stands for a node that does anything else.
    """
    op, first = node.op_type, node.input[0] if node.input else ""
    if node.output[0] != tensor:
        return None
    if op in _SHAPES:
        return first, 1.0, 0.0, 0.0
    if op == "Cast":
        to = next(each.i for each in node.attribute if each.name == "to")
        return (first, 1.0, 0.0, _FLOATS[to]) if to in _FLOATS else None
    if op == "Clip":
        return first, 1.0, 0.0, _BARELY
    if op in ("QuantizeLinear", "DequantizeLinear"):
        return _undo_quantisation(node, stored)
    if op in _ARITHMETIC:
        return _undo_arithmetic(node, stored)
    return None


def _undo_quantisation(
    node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]
) -> tuple[str, float, float, float] | None:
    scale = _number(node.input[1], stored)
    zero = _number(node.input[2], stored) if len(node.input) > 2 and node.input[2] else 0.0
    if scale is None or zero is None or scale <= 0:
        return None
    if node.op_type == "QuantizeLinear":
        return node.input[0], 1 / scale, zero, 1.0
    return node.input[0], scale, -zero * scale, 0.0


def _undo_arithmetic(
    node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]
) -> tuple[str, float, float, float] | None:
    left, right = node.input
    number, tensor = _number(right, stored), left
    if number is None and node.op_type in ("Mul", "Add"):
        number, tensor = _number(left, stored), right
    if number is None:
        return None
    if node.op_type in ("Add", "Sub"):
        return tensor, 1.0, number if node.op_type == "Add" else -number, 0.0
    if number <= 0:  # which would turn the order round
        return None
    return tensor, number if node.op_type == "Mul" else 1 / number, 0.0, 0.0


def _number(name: str, stored: Mapping[str, onnx.TensorProto]) -> float | None:
    """Return a constant that is the same number for all entries."""
    if name not in stored or stored[name].data_type == onnx.TensorProto.STRING:
        return None
    values = np.unique(numpy_helper.to_array(stored[name]).astype(np.float64))
    return float(values[0]) if len(values) == 1 and np.isfinite(values[0]) else None


def _candidates(graph: onnx.GraphProto, read: _Graph, paths: Mapping[str, _Path]) -> list[str]:
    """Leave out labels, and probabilities if their logits are an output as well."""
    names = [output.name for output in graph.output]
    if LOGITS in names:
        others = [name for name in names if _squashed_otherwise(read, paths[name], paths[LOGITS])]
        return others or [LOGITS]
    ends = {path.tensor for path in paths.values()}
    left = [name for name in names if paths[name].softened not in (*names, *ends)]
    kinds = {output.name: output.type.tensor_type.elem_type for output in graph.output}
    labels = (TensorProto.INT64, TensorProto.INT32, TensorProto.STRING)
    return [name for name in left if kinds[name] not in labels] or left


def _squashed_otherwise(graph: _Graph, path: _Path, logits: _Path) -> bool:
    """Whether an output has the probabilities of these logits, and not by a plain softmax.

    Then these probabilities are what the file answers: of several labels, or of one more or less
    surely than the logits would have it.
    """
    if path.node is None or path.node.op_type not in ("Softmax", *_SIGMOIDS):
        return False
    source = _follow(graph, path.node.input[0])
    plain = path.node.op_type == "Softmax" and source.scale == logits.scale
    return source.tensor == logits.tensor and not plain


def _read(
    graph: _Graph,
    path: _Path,
    answer: onnx.ValueInfoProto,
    said: OutputKind | None,
) -> Found:
    name, end = answer.name, path.node
    if end is not None and end.op_type == "TopK":
        raise OnnxImportError(
            f"The output '{name}' comes from a TopK, which sorts the numbers of an image; one for "
            "each class, in its place, is accepted."
        )
    if end is not None and (end.op_type == "Softmax" or end.op_type in _SIGMOIDS):
        return _behind(path, end, name, said)
    if said is not None and said != "logits":
        return Found(
            answer=name,
            kind="sigmoid" if said == "sigmoid" else "probabilities",
            logits=None,
            scale=100.0 if said == "percent" else 1.0,
            shift=0.0,
            step=0.0,
            known=True,
            notes=(
                f"The logits are computed from what '{name}' holds: --output-kind says {said}.",
            ),
        )
    logarithm = end is not None and _is_logarithm(end, graph) and path.scale == 1
    if said is None and not logarithm and (squash := _squash(graph, path.tensor)):
        raise OnnxImportError(
            f"What the output '{name}' holds is computed from what {squash} gives in a way that "
            "leaves open what it is; --output-kind says so: logits, probabilities, percent or "
            "sigmoid."
        )
    known = said == "logits" or logarithm
    if answer.type.tensor_type.elem_type in _FLOATS:
        return Found(name, "logits", name, 1.0, 0.0, 0.0, known, (), logarithm)
    bare = _follow(graph, name, scaled=False)
    if not bare.step:  # nothing on the way was quantised
        raise OnnxImportError(
            f"The output '{name}' is of integers, and the graph does not tell their scale; an "
            "output of floats, or one that a QuantizeLinear writes, is accepted."
        )
    note = f"What is quantised as '{name}' are the logits."
    return Found(name, "logits", bare.tensor, bare.scale, bare.shift, bare.step, known, (note,))


def _is_logarithm(node: onnx.NodeProto, graph: _Graph) -> bool:
    """Whether a node gives logarithms of probabilities, which are logits as they are."""
    if node.op_type == "Log":
        path = _follow(graph, node.input[0])
        return path.softened is not None and abs(path.shift) <= _SLIGHT * path.scale
    return node.op_type == "LogSoftmax"


def _squash(graph: _Graph, tensor: str) -> str | None:
    """Name the softmax or what else squashes numbers, if a tensor comes from one without weights.

    A softmax right in front of the last weights counts as well: they mix probabilities, where those
    of a network's last layer read features, sigmoids among them.
    """
    seen, waiting = set[str](), [tensor]
    while waiting:
        node = graph.producers.get(waiting.pop())
        if node is None or node.op_type.startswith("QLinear"):
            continue
        if node.op_type in _WEIGHTED:
            read = [name for name in node.input if name not in graph.stored]
            if len(read) == 1 and _follow(graph, read[0]).softened is not None:
                return "Softmax"
            continue
        if node.op_type in _SQUASHES and not set(node.input) <= graph.stored.keys():
            return node.op_type
        waiting.extend(name for name in node.input if name not in seen)
        seen.update(node.input)
    return None


def _behind(path: _Path, node: onnx.NodeProto, answer: str, said: OutputKind | None) -> Found:
    """Read an output that a softmax or a sigmoid gave, at whatever scale."""
    held: Sequence[OutputKind] = (
        ("probabilities", "percent") if node.op_type == "Softmax" else ("sigmoid",)
    )
    if said is not None and said not in held:
        raise OnnxImportError(
            f"The output '{answer}' comes from a {node.op_type}, and --output-kind says {said}; "
            f"{' or '.join(held)} is accepted, and so is leaving it out."
        )
    if node.op_type == "HardSigmoid":
        raise OnnxImportError(
            f"The output '{answer}' comes from a HardSigmoid, behind which no logits can be found; "
            "a file with logits is accepted."
        )
    name = node.op_type.lower()
    notes = [f"What the {name} of '{answer}' reads are the logits."]
    if (path.scale, path.shift) != (1.0, 0.0):
        shift = f", plus {path.shift:g}" if path.shift else ""
        notes.append(f"'{answer}' is {path.scale:g} times what the {name} gives{shift}.")
    return Found(
        answer=answer,
        kind="probabilities" if node.op_type == "Softmax" else "sigmoid",
        logits=node.input[0],
        scale=path.scale,
        shift=path.shift,
        step=path.step,
        known=True,
        notes=tuple(notes),
    )


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
