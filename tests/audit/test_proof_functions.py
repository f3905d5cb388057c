"""Functions of a file: whatever runtimes make of their attributes, the proof reads the same."""

import onnx
import pytest
from onnx import helper

from audit.proof import prove
from audit.proof.limits import ProofLimitError
from tests.audit.fuzz.judge import answers, draw_images, judge, same_bits
from tests.audit.operator_graphs import proof_of

pytestmark = pytest.mark.filterwarnings("ignore")
HEAD = '<domain: "own", opset_import: ["" : 18, "own" : 1]>'
WINDOW = "MaxPool <kernel_shape = [2, 2], strides: ints = @{0}> (X)"
DEFAULTS = {
    "ints": f"{HEAD} F <s: ints = [2, 2]> (X) => (Y) {{ Y = {WINDOW.format('s')} }}",
    "renamed": f"{HEAD} G <s: ints = [1, 1]> (X) => (Y) {{ Y = {WINDOW.format('s')} }}"
    f"{HEAD} F <s: ints = [2, 2]> (X) => (Y) {{ Y = own.G <s: ints = @s> (X) }}",
    "crossed": f"{HEAD} G <t: ints = [1, 1]> (X) => (Y) {{ Y = {WINDOW.format('t')} }}"
    f"{HEAD} F <t: ints = [1, 1], s: ints = [2, 2]> (X) => (Y)"
    " { Y = own.G <t: ints = @s> (X) }",
    "passed on and not given": f"{HEAD} G <s: ints = [2, 2]> (X) => (Y)"
    f" {{ Y = {WINDOW.format('s')} }}"
    f"{HEAD} F <t> (X) => (Y) {{ Y = own.G <s: ints = @t> (X) }}",
    "inner default": f"{HEAD} G <s: ints = [2, 2]> (X) => (Y) {{ Y = {WINDOW.format('s')} }}"
    f"{HEAD} F <s: ints = [1, 1]> (X) => (Y) {{ Y = own.G (X) }}",
    "three levels": f"{HEAD} H <u: ints = [1, 1]> (X) => (Y) {{ Y = {WINDOW.format('u')} }}"
    f"{HEAD} G <t: ints = [1, 1]> (X) => (Y) {{ Y = own.H <u: ints = @t> (X) }}"
    f"{HEAD} F <s: ints = [2, 2]> (X) => (Y) {{ Y = own.G <t: ints = @s> (X) }}",
    "int": f"{HEAD} F <c: int = 1> (X) => (Y)"
    " { Y = MaxPool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode: int = @c> (X) }",
    "string": f'{HEAD} F <m: string = "SAME_UPPER"> (X) => (Y)'
    " { Y = MaxPool <kernel_shape = [2, 2], strides = [1, 1], auto_pad: string = @m> (X) }",
    "tensor": f"{HEAD} F <v: tensor = float[1, 1, 1, 7] {{1, 2, 3, 4, 5, 6, 7}}> (X) => (Y)"
    " { A = Constant <value: tensor = @v> () Y = Mul (X, A) }",
    "floats": f"{HEAD} F <v: floats = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]> (X) => (Y)"
    " { A = Constant <value_floats: floats = @v> () Y = Mul (X, A) }",
}
"""By default, each gives something that does not rotate with an image of 7 x 7 pixels; read without
its defaults, or with those of the wrong function, it would."""


def build(functions: str, call: str = "own.F(x)", side: int = 7) -> onnx.ModelProto:
    text = f"""<ir_version: 10, opset_import: ["" : 18, "own" : 1]>
        g (uint8[N,1,{side},{side}] image) => (float[a,b] y) {{ x = Cast<to = 1>(image)
        p = {call} m = GlobalMaxPool(p) y = Flatten(m) }} {functions}"""
    return onnx.parser.parse_model(text)


def deviates(model: onnx.ModelProto) -> bool:
    runs = answers(model.SerializeToString(), draw_images(model), optimised=False)
    assert runs is not None
    return not same_bits(runs[0][0], runs[1][0])


def outcome(model: onnx.ModelProto) -> str:
    found = judge(model)
    assert found.finding in ("sound", "not run"), found
    return proof_of(model.SerializeToString()).outcome


def test_what_a_call_leaves_out_is_the_default() -> None:
    for kind in DEFAULTS:
        assert outcome(build(DEFAULTS[kind])) == "NOT PROVED"


def test_what_a_call_gives_is_taken() -> None:
    """The same functions, called so that nothing is left out at the edge."""
    for kind, call in [
        ("ints", "own.F<s = [1, 1]>(x)"),
        ("renamed", "own.F<s = [1, 1]>(x)"),
        ("crossed", "own.F<s = [1, 1]>(x)"),
        ("three levels", "own.F<s = [1, 1]>(x)"),
        ("tensor", "own.F<v = float[1] {2}>(x)"),
    ]:
        model = build(DEFAULTS[kind], call)
        assert not deviates(model)
        assert outcome(model) == "PROVED"


def test_the_defaults_deviate_when_they_run() -> None:
    ran = {kind for kind in DEFAULTS if deviates(build(DEFAULTS[kind]))}
    assert ran >= {"ints", "renamed", "crossed", "inner default", "three levels", "tensor"}


def test_an_attribute_without_a_value_is_no_default() -> None:
    """A function that asks for an attribute, called without it."""
    functions = f"{HEAD} F <s> (X) => (Y) {{ Y = {WINDOW.format('s')} }}"
    assert outcome(build(functions, "own.F<s = [1, 1]>(x)")) == "PROVED"
    # What the operator itself takes without it is what runtimes take: steps of 1.
    missing = build(functions)
    found = proof_of(missing.SerializeToString()).outcome
    assert found == "NOT PROVED" or not deviates(missing)


def test_an_attribute_that_a_function_does_not_have_is_refused() -> None:
    model = build(DEFAULTS["ints"], "own.F<s = [1, 1], other = 3>(x)")
    assert outcome(model) == "NOT PROVED"


def test_overloads_are_told_apart() -> None:
    model = build(DEFAULTS["ints"], "own.F(x)")
    other = onnx.FunctionProto()
    other.CopyFrom(model.functions[0])
    other.overload = "second"
    del other.attribute_proto[:]
    other.attribute_proto.append(helper.make_attribute("s", [1, 1]))
    model.functions.append(other)
    assert outcome(model) == "NOT PROVED"
    model.graph.node[1].overload = "second"
    assert outcome(model) == "PROVED"


def test_a_function_that_is_defined_twice_is_refused() -> None:
    model = build(DEFAULTS["ints"] + DEFAULTS["ints"].replace("[2, 2]>", "[1, 1]>"))
    with pytest.raises(ValueError, match="no valid ONNX file"):
        proof_of(model.SerializeToString())


def test_a_function_that_takes_the_name_of_an_operator_is_refused() -> None:
    hidden = '<domain: "", opset_import: ["" : 18]> Relu (X) => (Y) { Y = CumSum (X, X) }'
    model = build(hidden, "Relu(x)")
    assert outcome(model) == "NOT PROVED"


CALLS = "A = own.F{below}(X) Y = own.F{below}(A)"
IN_BRANCHES = (
    "C = Constant<value = bool {{1}}>() Y = If (C) <"
    "then_branch = t () => (float[a,b,c,d] U) {{ T = own.F{below}(X) U = own.F{below}(T) }}, "
    "else_branch = e () => (float[a,b,c,d] W) {{ W = own.F{below}(X) }}>"
)


@pytest.mark.parametrize("calls", [CALLS, IN_BRANCHES])
@pytest.mark.parametrize(
    ("levels", "first", "sentence"),
    [
        (30, "Y = Relu(X)", "nodes"),
        (16, "B = Constant<value = float[20000] {zeros}>() Y = Relu(X)", "bytes"),
    ],
)
def test_what_functions_are_written_out_to_is_counted_before_it_is(
    calls: str, levels: int, first: str, sentence: str
) -> None:
    first = first.format(zeros="{" + ", ".join(["0"] * 20_000) + "}")
    bodies = [first, *(calls.format(below=level) for level in range(levels - 1))]
    functions = [f"{HEAD} F{n} (X) => (Y) {{ {body} }}" for n, body in enumerate(bodies)]
    data = build("\n".join(functions), f"own.F{levels - 1}(x)").SerializeToString()
    with pytest.raises(ProofLimitError, match=sentence):
        prove(data, "C4")
