"""Operators that are not ONNX's own, and nodes that end a process, are refused by their names."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from artifact.onnx_file import check_operators, read_onnx, redefines
from audit.proof import prove
from tests.artifact.onnx_file.files import SMALL, check, parse, sentence, small


def test_a_custom_operator_is_named() -> None:
    model = parse(SMALL.replace('["" : 18]', '["" : 18, "com.microsoft" : 1]'))
    check(model.SerializeToString())  # what is imported and not used does no harm
    model.graph.node[0].op_type, model.graph.node[0].domain = "BiasGelu", "com.microsoft"
    refused = sentence(model.SerializeToString())
    assert "The node 'y' is the custom operator 'com.microsoft.BiasGelu'" in refused
    assert "from before onnxruntime optimised it" in refused
    model.opset_import.append(helper.make_opsetid("mine", 1))
    model.graph.node[0].domain = "mine"
    assert "operators of ONNX's own domain are accepted" in sentence(model.SerializeToString())
    model.graph.node[0].domain = "com.microsoft"
    read_onnx(model.SerializeToString())  # the proof says NOT PROVED to it


def test_a_custom_operator_in_a_subgraph_is_named() -> None:
    model = small()
    model.opset_import.append(helper.make_opsetid("mine", 1))
    read = helper.make_node("Read", [], ["r"], domain="mine")
    output = helper.make_tensor_value_info("r", TensorProto.FLOAT, [2])
    inner = helper.make_graph([read], "inner", [], [output])
    condition = numpy_helper.from_array(np.array(True), "condition")
    model.graph.initializer.append(condition)
    node = helper.make_node("If", ["condition"], ["z"], then_branch=inner, else_branch=inner)
    model.graph.node.append(node)
    assert "'mine.Read'" in sentence(model.SerializeToString())


def test_both_names_of_the_domain_of_onnx_are_accepted() -> None:
    model = small()
    model.opset_import[0].domain = "ai.onnx"
    check(model.SerializeToString())
    model.graph.node[0].domain = "ai.onnx"
    check_operators(model)


@pytest.mark.parametrize("version", [0, 999])
def test_versions_of_the_operators_that_there_are_not_are_refused(version: int) -> None:
    model = small()
    model.opset_import[0].version = version
    with pytest.raises(ValueError, match=f"version {version} of ONNX's operators; versions 1 to"):
        check_operators(model)


@pytest.mark.parametrize("domain", ["", "ai.onnx"])
def test_one_version_of_the_operators_is_accepted(domain: str) -> None:
    model = small()
    model.opset_import.append(helper.make_opsetid(domain, 7))
    assert "several versions of ONNX's operators (18, 7)" in sentence(model.SerializeToString())


def with_function(domain: str, operator: str) -> onnx.ModelProto:
    """Return a network whose only node calls a function that negates."""
    return parse(f"""
        <ir_version: 9, opset_import: ["" : 18, "{domain or "unused"}" : 1]>
        network (float[2] x) => (float[2] y) {{ y = {domain and domain + "."}{operator}(x) }}
        <domain: "{domain}", opset_import: ["" : 18]>
        {operator} (x) => (y) {{ y = Neg(x) }}
    """)


@pytest.mark.parametrize("domain", ["", "ai.onnx", "com.microsoft", "local"])
def test_functions_of_the_files_own_are_refused(domain: str) -> None:
    with pytest.raises(ValueError, match=r"by a function of its own; .* accepted\.$"):
        check_operators(with_function(domain, "Gelu"))


def test_a_function_that_the_runtime_overrules_is_not_proved() -> None:
    """The file says that `Gelu` negates, and onnxruntime computes its own."""
    model = with_function("com.microsoft", "Gelu")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (y,) = session.run(None, {"x": np.array([-1, 2], np.float32)})
    assert not np.array_equal(y, [1, -2])
    assert redefines(model)
    proof = prove(model.SerializeToString())
    assert "gives operators that runtimes have a meaning of its own" in proof.reasons[0]


def test_the_domains_of_the_runtime_are_known() -> None:
    state = onnxruntime.capi.onnxruntime_pybind11_state
    domains = {schema.domain for schema in state.get_all_operator_schema()}
    assert "com.microsoft" in domains
    assert all(redefines(with_function(domain, "Gelu")) for domain in domains)
    assert not redefines(with_function("local", "Gelu"))


def test_a_split_that_leaves_out_a_part_is_refused() -> None:
    """It ended the process of onnxruntime, and of a proof that computed such constants."""
    split = helper.make_node("Split", ["x"], ["p", "", "q"], axis=1, split=[1, 1, 1])
    sides = [helper.make_tensor_value_info(name, 1, None) for name in "xpq"]
    graph = helper.make_graph([split], "g", sides[:1], sides[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    with pytest.raises(ValueError, match=r"The node 'p' \(Split\) leaves out one of its outputs"):
        read_onnx(model.SerializeToString())
