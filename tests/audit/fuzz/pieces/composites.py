"""Graphs within the graph: functions of the model's own, and orbits of rotated copies."""

from onnx import helper

from tests.audit.fuzz.builder import Builder


def call(b: Builder) -> None:
    """Call a function of the model's own, with a default value or without."""
    x = b.floating()
    if not x.is_plane or x.shape[1] != x.shape[2] or x.shape[1] < 3:
        return
    name = f"F{len(b.functions)}"
    node = helper.make_node("MaxPool", ["X"], ["Y"], kernel_shape=[2, 2])
    strides = node.attribute.add(name="strides", ref_attr_name="strides", type=7)
    del strides
    default = helper.make_attribute("strides", b.pick([1, 1], [2, 2]))
    function = helper.make_function(
        "own", name, ["X"], ["Y"], [node], [helper.make_opsetid("", b.opset)], [], [default]
    )
    b.functions.append(function)
    given = b.chance(0.5)
    stride = b.pick(1, 2) if given else default.ints[0]
    out = b.node(name, x.name, domain="own", **({"strides": [stride] * 2} if given else {}))
    after = (x.shape[1] - 2) // stride + 1
    b.put(out, (x.shape[0], after, after))


def rotated(b: Builder, name: str) -> str:
    """Rotate by a quarter, exactly."""
    name = b.node("Transpose", name, perm=[0, 1, 3, 2])
    names = [b.constant([v], "int64") for v in (-1, -(2**62), 2, -1)]
    return b.node("Slice", name, *names)


def orbit(b: Builder) -> None:
    """Do the same to four rotated copies, or to three of them, and put the answers together."""
    x = b.floating()
    if not x.is_plane or x.shape[1] != x.shape[2] or b.opset < 10 or x.dtype != "float32":
        return
    weights = b.constant(b.random.integers(-2, 3, (2, x.shape[0], 2, 2)), "float32")
    pad = b.pick([0] * 4, [1, 0, 0, 1])
    together = b.pick("sum", "max", "cat", "stack", "mul")
    copies, name = [], x.name
    for _ in range(4):
        copies.append(name)
        name = rotated(b, name)
    if b.chance(0.15):
        copies[3] = copies[0]
    if together == "cat":
        joined = b.node("Conv", b.node("Concat", *copies, axis=0), weights, pads=pad)
        joined = b.node("Flatten", b.node("GlobalMaxPool", joined))
        rows = b.node("Reshape", joined, b.constant([4, -1, 2], "int64"))
        op = b.pick("ReduceMax", "ReduceMean", "ReduceMin")
        last = (
            b.node(op, rows, axes=[0], keepdims=0)
            if b.opset < 18
            else b.node(op, rows, b.constant([0], "int64"), keepdims=0)
        )
        b.put(last, (2,))
        return
    answers = [
        b.node("Flatten", b.node("GlobalMaxPool", b.node("Conv", copy, weights, pads=pad)))
        for copy in copies
    ]
    if together == "stack":
        axes = {"axes": [0]} if b.opset < 13 else {}
        more = [] if axes else [b.constant([0], "int64")]
        rows = b.node("Concat", *[b.node("Unsqueeze", a, *more, **axes) for a in answers], axis=0)
        op = b.pick("ReduceMax", "ReduceMean")
        last = (
            b.node(op, rows, axes=[0], keepdims=0)
            if b.opset < 18
            else b.node(op, rows, b.constant([0], "int64"), keepdims=0)
        )
        b.put(last, (2,))
        return
    op = {"sum": "Add", "max": "Max", "mul": "Mul"}[together]
    total = answers[0]
    for answer in answers[1:]:
        total = b.node(op, total, answer)
    b.put(total, (2,))
