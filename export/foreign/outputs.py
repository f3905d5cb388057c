"""Which tensor of a file from elsewhere holds the logits."""

from typing import NamedTuple

import onnx

from export.foreign.graphs import ForeignError


class Found(NamedTuple):
    """Where the logits are.

    Attributes
    ----------
    answer
        The output that they belong to.
    logits
        The tensor: the output itself, or what its softmax reads.
    softened
        Whether they are read in front of a softmax.
    notes
        What is to be said about it.
    """

    answer: str
    logits: str
    softened: bool
    notes: list[str]


def find_logits(graph: onnx.GraphProto, named: str | None) -> Found:
    """Find the logits among the outputs, or in front of the softmax that one of them comes from.

    Raises
    ------
    ForeignError
        If the outputs leave a choice, or what they hold has no logits.
    """
    names = [output.name for output in graph.output]
    if named is not None and named not in names:
        raise ForeignError(f"The file has no output '{named}'; its outputs are {_quoted(names)}.")
    producers = {name: node for node in graph.node for name in node.output}
    chosen = [named] if named is not None else _candidates(names, producers)
    if len(chosen) != 1:
        raise ForeignError(
            f"The file has the outputs {_quoted(names)}; --output names the one with the logits."
        )
    notes = [f"Of the outputs {_quoted(names)}, '{chosen[0]}' is kept."] * (len(names) > 2)
    tensor = _source(chosen[0], producers)
    node = producers.get(tensor)
    if node is not None and node.op_type in ("Sigmoid", "HardSigmoid"):
        raise ForeignError(
            f"The output '{chosen[0]}' comes from a {node.op_type}, which gives every class a "
            "probability of its own; logits of classes that exclude each other are accepted."
        )
    if node is not None and node.op_type == "Softmax":
        notes.append(f"What the softmax of '{chosen[0]}' reads are the logits.")
        return Found(chosen[0], node.input[0], True, notes)
    return Found(chosen[0], chosen[0], False, notes)


def _candidates(names: list[str], producers: dict[str, onnx.NodeProto]) -> list[str]:
    """Leave out probabilities if their logits are an output as well."""
    if "logits" in names:
        return ["logits"]
    softened = {name: _softmax_input(name, producers) for name in names}
    return [name for name in names if softened[name] not in names]


def _softmax_input(name: str, producers: dict[str, onnx.NodeProto]) -> str | None:
    node = producers.get(_source(name, producers))
    return node.input[0] if node is not None and node.op_type == "Softmax" else None


def _source(name: str, producers: dict[str, onnx.NodeProto]) -> str:
    """Follow a tensor back through nodes that only hand it on."""
    while name in producers and producers[name].op_type == "Identity":
        name = producers[name].input[0]
    return name


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
