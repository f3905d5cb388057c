"""A model's own functions, put in the place of their calls.

ONNX's inliner loses the default values of a function's attributes, so that they are written into
every call first. How many nodes there will be is counted before any is made.
"""

from collections.abc import Iterable
from typing import Final

import onnx
from onnx import inliner

from artifact.onnx_file import redefines
from audit.proof.file.node import Unsupported
from audit.proof.limits import ProofLimitError

_MOST_NODES: Final = 500_000

_Key = tuple[str, str, str]


def inline(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model without functions.

    Raises
    ------
    Unsupported
        If a function hides an operator, calls itself, or keeps a reference to an attribute.
    ProofLimitError
        If there would be too many nodes.
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
    _count(model.graph.node, functions)
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


def _count(nodes: Iterable[onnx.NodeProto], functions: dict[_Key, onnx.FunctionProto]) -> int:
    """Count the nodes that calls expand to, functions within functions."""
    counted: dict[_Key, int] = {}
    active: list[_Key] = []

    def expanded(inner: Iterable[onnx.NodeProto]) -> int:
        total = 0
        for node in inner:
            key = _key(node)
            total += within(key) if key in functions else 1
            if total > _MOST_NODES:
                raise ProofLimitError(_too_many(total))
        return total

    def within(key: _Key) -> int:
        if key in active:
            raise Unsupported(f"has the function '{key[1]}', which calls itself")
        if len(active) > 100:
            raise Unsupported("has functions within functions, more than a hundred deep")
        if key not in counted:
            active.append(key)
            counted[key] = expanded(functions[key].node)
            active.pop()
        return counted[key]

    return expanded(nodes)


def _too_many(count: int) -> str:
    return (
        f"The file has more than {count - 1:,} nodes when its functions are written out; at most "
        f"{_MOST_NODES:,} are accepted."
    )


def _refuse_references(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        if any(attribute.ref_attr_name for attribute in node.attribute):
            raise Unsupported(f"has the node '{node.name}' with an attribute that has no value")
