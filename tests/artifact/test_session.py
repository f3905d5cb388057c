"""How files are opened on onnxruntime, and run as they are written: no rewriting, no log."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from artifact.session import check_stays_alive, open_session, run_as_written, run_both_ways
from audit.proof import prove
from imaging.refusal import RefusedError
from tests.audit.test_proof_cases import parse
from tests.waiting import wait_until


def model(nodes, feeds, outputs, initializers=()):
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for name, a in feeds.items()
    ]
    graph = helper.make_graph(
        nodes, "g", inputs, [onnx.ValueInfoProto(name=name) for name in outputs], initializers
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def test_outputs_come_in_their_order():
    feeds = {"x": np.array([3, 1, 2], np.float32)}
    nodes = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Sqrt", ["x"], ["b"])]
    b, a = run_as_written(model(nodes, feeds, ["b", "a"]), feeds)
    assert (a == -feeds["x"]).all() and (b == np.sqrt(feeds["x"])).all()
    assert a.dtype == b.dtype == np.float32


def test_nothing_is_rewritten():
    """An optimiser takes the product by 0.1 into the filter, which rounds elsewhere."""
    x = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    w = np.full((1, 1, 3, 3), 1 / 3, np.float32)
    tenth = np.array(0.1, np.float32)
    both = [
        helper.make_node("Conv", ["x", "w"], ["y"]),
        helper.make_node("Mul", ["y", "t"], ["z"]),
    ]
    held = [onnx.numpy_helper.from_array(w, "w"), onnx.numpy_helper.from_array(tenth, "t")]
    y, z = run_as_written(model(both, {"x": x}, ["y", "z"], held), {"x": x})
    (alone,) = run_as_written(model(both, {"x": x}, ["z"], held), {"x": x})
    assert (z == y * tenth).all()
    assert (alone == z).all()


def test_what_it_lacks_raises_and_nothing_is_logged(capfd):
    feeds = {"x": np.ones((2, 2), np.int8)}
    with pytest.raises(Exception, match="INVALID_GRAPH"):
        run_as_written(model([helper.make_node("Sqrt", ["x"], ["y"])], feeds, ["y"]), feeds)
    feeds = {"x": np.ones((2, 2), np.float32), "y": np.ones((3, 3), np.float32)}
    with pytest.raises(Exception, match="MatMul"):
        run_as_written(model([helper.make_node("MatMul", ["x", "y"], ["z"])], feeds, ["z"]), feeds)
    assert capfd.readouterr() == ("", "")


def test_it_confirms_a_constant_that_the_standard_alone_leaves_in_doubt():
    """The file scales by a sum of floats, which it computes itself."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 4, 4])
    tenths = helper.make_tensor("tenths", TensorProto.FLOAT, [2], [0.1, -0.4])
    nodes = [
        helper.make_node("ReduceSum", ["tenths"], ["e"], keepdims=0),
        helper.make_node("Mul", ["image", "e"], ["scaled"]),
        helper.make_node("GlobalMaxPool", ["scaled"], ["top"]),
        helper.make_node("Flatten", ["top"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [image],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1])],
        [tenths],
    )
    data = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10
    ).SerializeToString()
    assert prove(data, "C4").outcome == "NOT PROVED"
    assert prove(data, "C4", runtime=run_as_written).outcome == "PROVED"


def test_a_session_is_opened_as_it_is_asked_for_and_leaves_idle_cores_alone():
    feeds = {"x": np.ones((2, 2), np.float32)}
    data = model([helper.make_node("Neg", ["x"], ["y"])], feeds, ["y"]).SerializeToString()
    options = open_session(data, 3).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    with pytest.raises(RuntimeError, match="does not have configuration"):
        options.get_session_config_entry("session.disable_cpu_ep_fallback")
    as_written = open_session(data, 1, as_written=True).get_session_options()
    assert as_written.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL


def test_who_asks_for_no_fallback_gets_no_cpu(capfd):
    feeds = {"x": np.ones((2, 2), np.float32)}
    data = model([helper.make_node("Neg", ["x"], ["y"])], feeds, ["y"]).SerializeToString()
    with pytest.raises(Exception, match="disabled fallback to the CPU"):
        open_session(data, 1, strict=True, quiet=True)
    assert capfd.readouterr() == ("", "")


def test_who_reads_a_version_imports_no_runtime():
    """A report is read, a card checked and a repository listed without onnxruntime's megabytes."""
    code = """if True:
        import sys
        from artifact import audit_set, card, contract, cpus, layout, onnx_file
        sys.exit("onnxruntime" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nodes_that_end_the_process_are_not_run_in_this_one() -> None:
    with pytest.raises(RefusedError, match="ends the process"):
        run_both_ways(onnx.load_model_from_string(ending()), {})


def ending() -> bytes:
    """A bound of a Clip that is quantised without a zero point: onnxruntime 1.31.1 aborts."""
    body = "l = QuantizeLinear(O, S) k = DequantizeLinear(l, S) c = Clip(h, k, HI)"
    return parse(
        "f = Cast<to = 1>(image) m = ReduceMax<axes = [2, 3], keepdims = 0>(f) h = MatMul(m, W) "
        f"{body} q = QuantizeLinear(c, T, Z) logits = DequantizeLinear(q, T, Z)",
        inputs="uint8[N,1,8,8] image",
        outputs="float[N,3] logits",
        W=np.ones((1, 3), np.float32),
        O=np.float32(0),
        S=np.float32(0.1),
        HI=np.float32(6),
        T=np.float32(0.05),
        Z=np.uint8(0),
    )


def test_a_file_that_ends_the_process_is_refused_before_it_does():
    with pytest.raises(RefusedError, match=r"ends the process .* runs the file \(Aborted\)"):
        check_stays_alive(b"no model", ending())


@pytest.mark.parametrize("batch", ["N", "3"])
def test_a_file_that_ends_the_process_as_it_runs_is_refused(batch):
    """An InstanceNormalization of no entry: onnxruntime 1.31.1 reads where nothing is."""
    data = parse(
        "f = Cast<to = 1>(image) e = Slice(f, FROM, TO, AXIS) "
        "logits = InstanceNormalization(e, ONE, ONE)",
        inputs=f"uint8[{batch},1,8,8] image",
        outputs="float[a,b,c,d] logits",
        FROM=np.array([8]),
        TO=np.array([9]),
        AXIS=np.array([3]),
        ONE=np.ones(1, np.float32),
    )
    with pytest.raises(RefusedError, match=r"opens and runs the file \(Segmentation fault\)"):
        check_stays_alive(data)


def test_files_that_open_and_files_that_do_not_are_left_to_who_opens_them():
    check_stays_alive(Path("model_repository/rotmnist-cnn/1/model.onnx").read_bytes(), b"no model")


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="only on Linux")
def test_what_tries_a_file_is_the_first_to_end_where_memory_runs_out(monkeypatch):
    asked = []

    def run(arguments, **_):
        asked.append(arguments)
        return subprocess.CompletedProcess(arguments, 0)

    monkeypatch.setattr(subprocess, "run", run)
    check_stays_alive()
    with subprocess.Popen(asked[0], stdin=subprocess.PIPE) as process:
        score = Path(f"/proc/{process.pid}/oom_score_adj")
        wait_until(lambda: score.read_text().strip() == "1000")


def test_nothing_is_imported_from_the_folder_that_one_is_in(tmp_path, monkeypatch):
    """As of a model from elsewhere, with a module beside it that is called like onnxruntime."""
    (tmp_path / "onnxruntime.py").write_text("open('imported', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    check_stays_alive(b"no model")
    assert not (tmp_path / "imported").exists()
