"""Surgery on ONNX graphs that others have written: names, constants, what depends on what."""

import math
from collections.abc import Iterable, Mapping

import onnx
from onnx import TensorProto, helper

from artifact.inference import check_inference
from artifact.onnx_file import ONNX_DOMAINS, check_operators
from audit import RefusedError
from audit.proof.file.graph import NEWEST_OPSET, OLDEST_OPSET


class OnnxImportError(RefusedError):
    """A file cannot be brought into the contract; the message is one sentence."""


def check_followed(model: onnx.ModelProto) -> None:
    """Refuse what not every runtime computes, or what no rule of this project follows.

    Raises
    ------
    OnnxImportError
        For control flow, and versions of the operators that are not followed.
    ValueError
        For operators that are not ONNX's own.
    """
    check_operators(model)
    version = next((e.version for e in model.opset_import if e.domain in ONNX_DOMAINS), 0)
    if not OLDEST_OPSET <= version <= NEWEST_OPSET:
        raise OnnxImportError(
            f"The file is written in version {version} of ONNX's operators; versions "
            f"{OLDEST_OPSET} to {NEWEST_OPSET} are accepted."
        )
    for node in model.graph.node:
        if any(a.type in (a.GRAPH, a.GRAPHS) for a in node.attribute):
            name = node.name or next(iter(node.output), "")
            raise OnnxImportError(
                f"The node '{name}' ({node.op_type}) is control flow; graphs without it are "
                "accepted."
            )


def rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Rename tensors wherever they are written, read or stored."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for tensor in (*graph.initializer, *graph.input, *graph.output, *graph.value_info):
        tensor.name = names.get(tensor.name, tensor.name)


def tensor_names(graph: onnx.GraphProto) -> set[str]:
    """Return the names of all tensors."""
    stored = [tensor.name for tensor in (*graph.initializer, *graph.input)]
    return {*stored, *(name for node in graph.node for name in (*node.input, *node.output))}


def dependents(nodes: Iterable[onnx.NodeProto], tensor: str) -> list[onnx.NodeProto]:
    """Return the nodes whose outputs depend on a tensor, in the graph's order."""
    reached, found = {tensor}, []
    for node in nodes:
        if reached.intersection(node.input):
            reached.update(filter(None, node.output))
            found.append(node)
    return found


def keep_ancestors(graph: onnx.GraphProto) -> None:
    """Drop nodes and stored tensors that no output depends on."""
    needed, kept = {output.name for output in graph.output}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    stored = [tensor for tensor in graph.initializer if tensor.name in needed]
    nodes = kept[::-1]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(stored)


def keep_tensors(graph: onnx.GraphProto) -> None:
    """Drop outputs that are no tensors; where all are a ZipMap's, keep what that reads."""
    producers = {name: node for node in graph.node for name in node.output}
    outputs = [output for output in graph.output if output.type.HasField("tensor_type")]
    dropped = [output for output in graph.output if output not in outputs]
    for output in dropped:
        node = producers.get(output.name)
        if node is not None and node.op_type == "ZipMap" and not outputs:
            outputs.append(helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, None))
    if dropped and outputs:
        del graph.output[:]
        graph.output.extend(outputs)
        keep_ancestors(graph)


def store_constants(graph: onnx.GraphProto) -> None:
    """Turn tensors that a Constant node gives into stored ones, as weights are looked for there."""
    nodes = []
    for node in graph.node:
        if node.op_type == "Constant" and [each.name for each in node.attribute] == ["value"]:
            tensor = graph.initializer.add()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def units(model: onnx.ModelProto, output: str) -> int | None:
    """Return how many numbers an output has for an image; None if the graph does not say."""
    sides = sides_of(model, output)
    return math.prod(sides) if sides is not None and all(sides) else None


def sides_of(model: onnx.ModelProto, output: str) -> list[int] | None:
    """Return the axes of an output behind that of the images, 0 where one is open.

    Those that a file leaves open are the ones that its nodes give.
    """
    declared = _sides(model.graph, output)
    if declared is None or not all(declared):
        bare = onnx.ModelProto()
        bare.CopyFrom(model)
        for each in bare.graph.output:
            each.type.tensor_type.ClearField("shape")
        check_inference(bare)
        return _sides(onnx.shape_inference.infer_shapes(bare).graph, output)
    return declared


def _sides(graph: onnx.GraphProto, output: str) -> list[int] | None:
    kind = next(each for each in graph.output if each.name == output).type.tensor_type
    return [axis.dim_value for axis in kind.shape.dim][1:] if kind.HasField("shape") else None


def strip(model: onnx.ModelProto) -> None:
    """Drop an exporter's notes, which may hold paths of its machine, and give every node a name."""
    graph = model.graph
    model.doc_string = graph.doc_string = ""
    for items in (graph.node, graph.input, graph.output, graph.initializer):
        for item in items:
            del item.metadata_props[:]
            item.doc_string = ""
    del graph.metadata_props[:], graph.value_info[:], graph.quantization_annotation[:]
    for place, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type}_{place}"


def finished(model: onnx.ModelProto, metadata: Mapping[str, str]) -> bytes:
    """Return a checked model as a file, with this metadata and nobody else's.

    Raises
    ------
    OnnxImportError
        If it is not valid, or its shapes contradict one another.
    """
    keep_ancestors(model.graph)
    del model.metadata_props[:]
    helper.set_model_props(model, dict(metadata))
    check_inference(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise OnnxImportError(f"The graph does not fit together: {reason}.") from error
    return bytes(model.SerializeToString())
