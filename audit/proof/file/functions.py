"""A model's own functions, put in the place of their calls.

ONNX's inliner loses the default values of a function's attributes, so that they are written into
every call first. How many nodes there will be is counted before any is made.
"""

from collections.abc import Iterable
from typing import Final

import onnx
from onnx import inliner

from artifact.onnx_file import all_nodes, redefines
from audit.proof.file.node import Unsupported
from audit.proof.limits import ProofLimitError

_MOST_NODES: Final = 500_000
_MOST_BYTES: Final = 2**28
"""By how many bytes a file may grow: a constant in a function is there for each call."""

_Key = tuple[str, str, str]


def inline(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model without functions.

    Raises
    ------
    Unsupported
        If a function hides an operator, calls itself, or keeps a reference to an attribute.
    ProofLimitError
        If there would be too many nodes, or bytes of them.
    """
    if redefines(model):
        raise Unsupported("gives operators that runtimes have a meaning of its own")
    if len(model.graph.node) > _MOST_NODES:
        raise ProofLimitError(_too_many(len(model.graph.node)))
    if not model.functions:
        _refuse_references(model.graph.node)
        return model
    functions: dict[_Key, onnx.FunctionProto] = {}
    for function in model.functions:
        key = (function.domain, function.name, function.overload)
        if key in functions:
            raise Unsupported(f"defines the function '{function.name}' twice")
        functions[key] = function
    _check_size(model, functions)
    completed = onnx.ModelProto()
    completed.CopyFrom(model)
    for nodes in (completed.graph.node, *(function.node for function in completed.functions)):
        for node in nodes:
            called = functions.get(_key(node))
            if called is not None:
                _complete(node, called)
    inlined: onnx.ModelProto = inliner.inline_local_functions(completed)
    if inlined.functions or any(_key(node) in functions for node in inlined.graph.node):
        raise Unsupported("has functions that cannot be put in the place of their calls")
    _refuse_references(inlined.graph.node)
    return inlined


def _key(node: onnx.NodeProto) -> _Key:
    return node.domain, node.op_type, node.overload


def _complete(node: onnx.NodeProto, function: onnx.FunctionProto) -> None:
    """Write the default values of attributes into a call that leaves them out."""
    given = {attribute.name for attribute in node.attribute}
    declared = {*function.attribute, *(a.name for a in function.attribute_proto)}
    if not given <= declared:
        raise Unsupported(
            f"calls the function '{function.name}' with attributes that it does not have"
        )
    if not given >= {*function.attribute}:
        # A call within the function that passes it on would get the default of what it calls.
        raise Unsupported(f"calls the function '{function.name}' without all of its attributes")
    if any(a.ref_attr_name not in {"", *declared} for n in function.node for a in n.attribute):
        raise Unsupported(f"has the function '{function.name}', which reads an attribute it lacks")
    node.attribute.extend(a for a in function.attribute_proto if a.name not in given)


def _check_size(model: onnx.ModelProto, functions: dict[_Key, onnx.FunctionProto]) -> None:
    """Count the nodes that calls are written out to, functions within functions, and their bytes.

    Raises
    ------
    Unsupported
        If a function calls itself, or too many are within each other.
    ProofLimitError
        If there would be too many nodes or bytes.
    """
    counted: dict[_Key, tuple[int, int]] = {}
    active: list[_Key] = []
    most = model.ByteSize() + _MOST_BYTES

    def expanded(inner: Iterable[onnx.NodeProto]) -> tuple[int, int]:
        nodes = size = 0
        for node in inner:
            size += node.ByteSize()
            for each in all_nodes(node):  # branches have calls too
                key = _key(each)
                more, larger = within(key) if key in functions else (1, 0)
                nodes, size = nodes + more, size + larger
            if nodes > _MOST_NODES:
                raise ProofLimitError(_too_many(nodes))
            if size > most:
                raise ProofLimitError(
                    f"The file's functions are written out to more than {most:,} bytes; fewer "
                    "are accepted."
                )
        return nodes, size

    def within(key: _Key) -> tuple[int, int]:
        if key in active:
            raise Unsupported(f"has the function '{key[1]}', which calls itself")
        if len(active) > 100:
            raise Unsupported("has functions within functions, more than a hundred deep")
        if key not in counted:
            active.append(key)
            counted[key] = expanded(functions[key].node)
            active.pop()
        return counted[key]

    expanded(model.graph.node)


def _too_many(count: int) -> str:
    return (
        f"The file has more than {count - 1:,} nodes when its functions are written out; at most "
        f"{_MOST_NODES:,} are accepted."
    )


def _refuse_references(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        if any(attribute.ref_attr_name for attribute in node.attribute):
            raise Unsupported(f"has the node '{node.name}' with an attribute that has no value")
