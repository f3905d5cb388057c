"""Traps with functions of the file's own, and with outputs."""

import onnx

from tests.audit.fuzz.traps.sketch import Chooser, sketch


def default_attributes(c: Chooser) -> onnx.ModelProto:
    """Call a function that has default values, through another or at once."""
    default, given = c.pick("[1, 1]", "[2, 2]"), c.pick("[1, 1]", "[2, 2]", "")
    own = c.pick(17, 17, 17, 11, 13)
    functions = (
        f'<domain: "own", opset_import: ["" : {own}]> Pool <strides: ints = {default}> (X) => (Y) '
        "{ Y = MaxPool <kernel_shape = [2, 2], strides: ints = @strides> (X) } "
    )
    call = "own.Pool"
    name = "strides"
    if c.chance(0.4):
        functions += (
            f'<domain: "own", opset_import: ["" : 17, "own" : 1]> '
            f"Outer <steps{c.pick(': ints = [1, 1]', ': ints = [2, 2]', '')}> (X) => (Y) "
            "{ Y = own.Pool <strides: ints = @steps> (X) } "
        )
        call, name = "own.Outer", "steps"
    attributes = f"<{name} = {given}>" if given else ""
    body = f"x = Cast<to = 1>(image) p = {call}{attributes}(x) g = GlobalMaxPool(p) y = Flatten(g)"
    return sketch(body, "uint8[N,1,5,5]", outputs="float[a,b] y", functions=functions)


def other_defaults(c: Chooser) -> onnx.ModelProto:
    """Call functions with default axes, factors and modes; leave optional inputs out."""
    kind = c.number(0, 3)
    if kind == 0:
        inner = "<axis: int = %s> (X) => (Y) { Y = Softmax <axis: int = @axis> (X) }"
        inner %= c.pick("1", "2", "3", "-1", "-3")
        call = c.pick("own.F(x)", "own.F<axis = 1>(x)", "own.F<axis = 3>(x)")
    elif kind == 1:
        inner = "<alpha: float = %s> (X) => (Y) { Z = Neg(X) W = LeakyRelu <alpha: float = @alpha>"
        inner = (inner + " (Z) Y = Sub(X, W) }") % c.pick("0.0", "1.0", "0.5")
        call = c.pick("own.F(x)", "own.F<alpha = 1.0>(x)")
    elif kind == 2:
        inner = "<p: ints = %s> (X) => (Y) { Y = MaxPool<kernel_shape = [2, 2], pads: ints = @p>"
        inner = (inner + "(X) }") % c.pick("[0, 0, 0, 0]", "[1, 1, 1, 1]", "[1, 0, 0, 0]")
        call = c.pick("own.F(x)", "own.F<p = [0, 1, 0, 0]>(x)", "own.F<p = [1, 1, 1, 1]>(x)")
    else:
        inner = "(X, L, H) => (Y) { Y = Clip(X, L, H) }"
        call = c.pick("own.F(x)", "own.F(x, , x0)", "own.F(x, x0)")
    functions = f'<domain: "own", opset_import: ["" : 17]> F {inner}'
    body = f"x = Cast<to = 1>(image) x0 = Constant<value = float {{3.0}}>() p = {call} "
    last = c.pick("y = Flatten(p)", "g = GlobalMaxPool(p) y = Flatten(g)")
    return sketch(body + last, "uint8[N,2,3,3]", outputs="float[a,b] y", functions=functions)


def odd_outputs(c: Chooser) -> onnx.ModelProto:
    """Give nothing, the image, a constant, the same twice, or something of which part rotates."""
    body = "x = Cast<to = 1>(image) g = GlobalMaxPool(x) y = Flatten(g) z = Flatten(x) "
    outputs = c.pick(
        *("", "float[a,b] y", "float[a,b] y, float[c,d] z", "float[c,d] z, float[a,b] y"),
        *("uint8[N,1,4,4] image", "float[1] k", "float[a,b] y, float[1] k"),
    )
    if "k" in outputs:
        body += "k = Constant<value = float[1] {1.0}>() "
    return sketch(body, outputs=outputs)
