"""What is printed of a device is what was measured; tried on the CPU, where answers are known."""

import dataclasses
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from benchmarks.gpu import exactness, service, session, training
from benchmarks.gpu.candidates import candidates
from benchmarks.gpu.configurations import configurations, shared_with_cpu
from benchmarks.gpu.load import loader
from benchmarks.serving.formats import post
from benchmarks.serving.server import free_port
from benchmarks.serving.wrk import LoadError
from models.presets import PRESETS
from service.engine import ProviderCandidates
from service.engine.graph import Graph
from service.engine.providers import CPU

REPOSITORY = Path(__file__).parents[2] / "model_repository"
WAYS = configurations("cpu")


@pytest.fixture(scope="module")
def found():
    names = ["rotmnist-c4", "rotmnist-c4-int8", "rotmnist-c4-integer", "rotmnist-cnn"]
    return {(each.name, each.precision): each for each in candidates(REPOSITORY, names)}


def cells(candidate, ways=WAYS):
    return [row[2:] for row in exactness.rows(candidate, ways, 16)]


def test_float32_models_are_tried_in_half_precision_too(found):
    assert {precision for name, precision in found if name == "rotmnist-c4"} == {"fp32", "fp16"}
    half = onnx.load_from_string(found["rotmnist-c4", "fp16"].file)
    assert onnx.TensorProto.FLOAT16 in {tensor.data_type for tensor in half.graph.initializer}


@pytest.mark.parametrize("precision", ["int8", "integer"])
def test_integers_keep_every_bit(found, precision):
    for _, rotated, batched, again, from_cpu, labels in cells(
        found[f"rotmnist-c4-{precision}", precision]
    ):
        assert (rotated, batched, again, from_cpu, labels) == ("0", "0", "0", "0", "16 of 16")


def test_a_network_of_no_symmetry_is_seen_to_move_when_rotated_and_only_then(found):
    for _, rotated, batched, again, from_cpu, _ in cells(found["rotmnist-cnn", "fp32"]):
        assert float(rotated) > 0.1
        assert float(batched) < 1e-4
        assert again == from_cpu == "0"


def test_answers_that_depend_on_their_neighbours_are_seen(found):
    candidate = found["rotmnist-c4", "fp32"]
    graph = Graph(candidate.file, candidate.signature, ProviderCandidates((CPU,)), 1, 64)
    honest = graph.compute

    class Leaking(Graph):
        def __init__(self):
            pass

        def compute(self, parts):
            answer = honest(parts)
            return answer._replace(logits=answer.logits + np.float32(len(parts[0])))

    moves = exactness._moves(candidate, Leaking(), graph, 16)
    assert moves.batched >= 1
    assert moves.from_cpu == pytest.approx(16)
    assert moves.again == 0


def test_equal_numbers_of_other_bits_are_no_equal_bits():
    plus, minus = np.zeros((1, 1), np.float32), -np.zeros((1, 1), np.float32)
    assert exactness._difference(plus, plus) == 0
    assert exactness._difference(plus, minus) > 0


def test_what_a_device_refuses_is_measured_beside_the_cpu(found, monkeypatch):
    """The CPU plays the device, refusing to run a whole graph and taking part of it."""
    refusing = dataclasses.replace(CPU, options={"CPUExecutionProvider": {}}, device="cuda")
    monkeypatch.setattr(exactness, "shared_with_cpu", lambda _: CPU)
    monkeypatch.setattr("service.engine.graph.start", _refuse_all_but_the_cpu)
    refused, beside = cells(found["rotmnist-c4-int8", "int8"], {"CUDA": refusing, "later": CPU})
    assert refused[:2] == ("CUDA", "refused: cuda does not take the graph: a reason")
    assert beside[0].startswith("CUDA beside the CPU: CPU has ")
    assert "QLinearConv" in beside[0]
    assert beside[1:] == ("0", "0", "0", "0", "16 of 16")


def _refuse_all_but_the_cpu(data, configuration, threads):
    from service.engine.providers import start

    if configuration.device != "cpu":
        raise RuntimeError("a reason")
    return start(data, configuration, threads)


def test_beside_the_cpu_a_placement_is_held_to_both_providers_in_order():
    cuda = dataclasses.replace(CPU, options={"CUDAExecutionProvider": {"device_id": "0"}})
    assert shared_with_cpu(cuda).providers == ["CUDAExecutionProvider", "CPUExecutionProvider"]


def test_a_session_is_timed_at_each_batch_size(found):
    _, *timed = session.cells(found["rotmnist-c4", "fp32"], CPU, (1, 3), 0.01)
    assert len(timed) == 2
    for cell in timed:
        rate, _, latency = cell.rstrip(")").partition(" (")
        assert float(rate.replace(",", "")) > 0
        assert float(latency) > 0


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    status = 200

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    served = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    served.daemon_threads, served.bodies, served.status = True, 0, 200
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.mark.slow
def test_a_load_counts_the_answers_of_all_processes(server):
    with loader(2) as load:
        timed = load.drive(server.server_port, [post("/", "a/b", b"x")], connections=3, seconds=0.3)
        # Answers after the time, one a connection at most, are not counted.
        assert 0 <= server.bodies - timed.requests <= 3
        assert timed.seconds >= 0.3
        assert timed.rate == timed.requests / timed.seconds
        # Three connections never wait for one another: together they waited three times as long.
        assert 0 < timed.latencies.sum() <= 3 * timed.seconds
        server.status = 503
        with pytest.raises(LoadError, match=r"answered 'HTTP/1\.1 503"):
            load.drive(server.server_port, [post("/", "a/b", b"x")], connections=3, seconds=0.1)


def test_answers_that_come_after_the_time_count_once_a_connection_with_the_time_they_took(server):
    with loader(1) as load:
        timed = load.drive(server.server_port, [post("/", "a/b", b"x")], connections=2, seconds=0)
    assert timed.requests == 2
    assert timed.seconds >= timed.latencies.max() > 0


def test_a_server_that_is_not_there_is_named(server):
    with loader(1) as load, pytest.raises(LoadError, match="a connection failed"):
        load.drive(free_port(), [b""], connections=1, seconds=0.1)


def test_training_is_timed_in_every_arithmetic_and_a_full_memory_is_a_cell(monkeypatch):
    preset = PRESETS["rotmnist-c4-small"]
    ways = [training.cells(preset, way, torch.device("cpu"), [4], 1) for way in training.WAYS]
    assert all(float(next(way).replace(",", "")) > 0 for way in ways)

    def full(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr("models.training.Training._epoch", full)
    (cell,) = training.cells(preset, "float32", torch.device("cpu"), [4], 1)
    assert cell.startswith("refused: The GPU's memory")


def test_every_way_to_use_a_device_is_one_of_the_services_settings():
    from service.settings import Settings

    for ways in service.WAYS.values():
        for settings in ways.values():
            assert set(settings) <= set(Settings.model_fields)
