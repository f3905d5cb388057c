"""Audits of what is not a version in the repository: a file by itself, and a running service."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from artifact.audit_set import AuditSet
from audit import (
    Journal,
    ModelUnderTest,
    Report,
    ResolvedOptions,
    Thresholds,
    run_pipeline,
)
from imaging.refusal import RefusedError
from service.audits.targets import Address, open_file, open_remote, version_under_test
from service.audits.targets.connection import Connection, RemoteError
from service.engine import select
from service.repository.version import load_version
from service.settings import Settings
from tests.artifact.test_rewriting import normalising
from tests.artifact.test_session import ending

KEY = "a-key-of-an-auditor"


@pytest.fixture(scope="module")
def server(listen: Any, repository: Path) -> Iterator[Any]:
    with listen(repository) as server:
        yield server


@pytest.fixture
def audit(images: Any) -> Callable[..., Report]:
    def run(under_test: ModelUnderTest, count: int = 500, **asked: Any) -> Report:
        options = ResolvedOptions("C4", Thresholds(), **asked)
        return run_pipeline(under_test, AuditSet(images[:count]), options, source="here")

    return run


@pytest.fixture
def open_at() -> Iterator[Callable[..., ModelUnderTest]]:
    """Open a service's model; its connection ends with the test."""
    with ExitStack() as stack:

        def opened(url: str, model: str = "", key: str | None = None) -> ModelUnderTest:
            under_test = open_remote(Address(url, model), key)[1]
            stack.callback(under_test.close)
            return under_test

        yield opened


@pytest.fixture
def connect() -> Iterator[Callable[..., Connection]]:
    """Connect to a service until the test ends."""
    with ExitStack() as stack:

        def connected(url: str, **options: Any) -> Connection:
            connection = Connection(url, **options)
            stack.callback(connection.close)
            return connection

        yield connected


class TestService:
    @pytest.mark.parametrize(("model", "verdict"), [("turning", "PASS"), ("plain", "FAIL")])
    def test_an_audit_from_outside_measures_what_one_from_inside_does(
        self, server, repository, audit, model, verdict
    ):
        pinned, under_test, spec, group = open_remote(Address(server.url, model))
        with closing(under_test):
            report = audit(under_test)
        assert report.verdict == verdict
        assert str(pinned) == f"{server.url}/models/{model}/versions/{report.model.version}"
        opened = load_version(repository / model / str(report.model.version), select("cpu"), 1)
        inside = audit(version_under_test(opened))
        opened.session.close()
        for part in ("verdict", "model", "data", "figures", "worst", "noise_floor"):
            assert getattr(report, part) == getattr(inside, part)
        assert (spec, group) == (opened.card.input, "C4")

    def test_the_report_says_that_nothing_but_answers_was_seen(self, open_at, server, audit):
        report = audit(open_at(server.url), 50)
        assert report.self_test
        assert report.self_test.mutation == "told up from down"
        assert report.self_test.mutant == "FAIL"
        assert report.execution is None
        assert any(each.startswith("The service was asked from outside") for each in report.claim)

    def test_the_default_model_is_the_one_that_the_service_has(self, open_at, server):
        assert open_at(server.url).identity.name == "turning"
        assert open_at(server.url).identity.version == 10
        assert open_at(server.url, "turning/2").identity.version == 2

    @pytest.mark.slow
    def test_batches_are_as_large_as_the_service_takes(self, open_at, listen, repository, audit):
        with listen(repository, max_batch_size=5) as small:
            under_test = open_at(small.url)
            assert under_test.batch_size == 5
            report = audit(under_test, 24, exhaustive_images=1)
        assert report.exhaustive_angles
        assert not report.exhaustive_angles.by_symmetry

    @pytest.mark.slow
    def test_a_key_is_asked_for_and_taken(self, open_at, listen, repository, tmp_path, audit):
        keys = tmp_path / "keys"
        keys.write_text(f"auditor infer {KEY}\n")
        with listen(repository, api_keys=keys) as locked:
            with pytest.raises(RemoteError, match=r"/models answers 401: "):
                open_at(locked.url)
            report = audit(open_at(locked.url, key=KEY), 20)
        assert KEY not in report.model_dump_json()

    @pytest.mark.slow
    def test_kept_answers_are_those_of_one_service_and_one_version(
        self, server, listen, repository, open_at, images, tmp_path
    ):
        asked = []
        with listen(repository) as other:
            for url, model in [
                (server.url, "turning/10"),
                (server.url, "turning/2"),
                (other.url, "turning/10"),
                (server.url, "turning/10"),
            ]:
                under_test = open_at(url, model)
                with Journal(tmp_path / "answers") as journal:
                    got = under_test.recorded(journal).classify(images[:7])
                    asked.append(journal.asked)
                assert np.array_equal(got, under_test.classify(images[:7]))
        assert asked == [7, 7, 7, 0]

    @pytest.mark.parametrize(
        ("model", "sentence"),
        [
            ("nobody", "/models/nobody answers 404: There is no model 'nobody'"),
            ("turning/3", "/models/turning/versions/3 answers 404: "),
        ],
    )
    def test_what_the_service_refuses_is_handed_on(self, open_at, server, model, sentence):
        with pytest.raises(RemoteError) as refused:
            open_at(server.url, model)
        assert sentence in str(refused.value)
        assert "\n" not in str(refused.value)


Handle = Callable[[str], tuple[int, dict[str, str], bytes | Iterator[bytes]] | None]


@contextmanager
def answering(handle: Handle) -> Iterator[str]:
    """A server that answers what it is told to; None breaks the connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            answer = handle(self.path)
            if answer is None:
                self.close_connection = True
                return
            status, headers, body = answer
            self.send_response(status)
            whole = isinstance(body, bytes)
            length = len(body) if whole else 1_000_000
            for name, value in {**headers, "content-length": str(length)}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):
                for part in [body] if whole else body:
                    self.wfile.write(part)

        do_POST = do_GET  # noqa: N815 - as the library calls it

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class TestConnection:
    def test_a_service_that_is_busy_is_waited_for(self, connect):
        answers = [(503, {"retry-after": "7"}, b"")] * 3 + [(200, {}, b"{}")]
        waited: list[float] = []
        with answering(lambda path: answers.pop(0)) as url:
            assert connect(url, wait=waited.append).call("GET", "/x").json() == {}
        assert waited == [7, 7, 7]

    @pytest.mark.slow
    def test_and_not_for_ever(self, connect):
        waited: list[float] = []
        with (
            answering(lambda path: (503, {"retry-after": "900"}, b'{"error": "Busy."}')) as url,
            pytest.raises(RemoteError, match="answers 503: Busy"),
        ):
            connect(url, wait=waited.append).call("GET", "/x")
        assert waited == [30] * 20

    def test_one_that_does_not_say_when_is_not_waited_for(self, connect):
        with (
            answering(lambda path: (503, {}, b'{"error": "It ends."}')) as url,
            pytest.raises(RemoteError, match="It ends"),
        ):
            connect(url, wait=lambda seconds: pytest.fail("waited")).call("GET", "/x")

    def test_a_connection_that_broke_is_made_again_once(self, connect):
        answers: list[Any] = [None, (200, {}, b"{}")]
        with answering(lambda path: answers.pop(0)) as url:
            assert connect(url).call("GET", "/x").json() == {}
        with (
            answering(lambda path: None) as url,
            pytest.raises(RemoteError, match="cannot be asked"),
        ):
            connect(url).call("GET", "/x")

    @pytest.mark.slow
    def test_calls_of_several_threads_go_one_after_the_other(self, connect):
        under_way = threading.Lock()

        def handle(path: str) -> Any:
            assert under_way.acquire(blocking=False)
            time.sleep(0.002)
            under_way.release()
            return 200, {}, json.dumps(path).encode()

        with answering(handle) as url, ThreadPoolExecutor(8) as threads:
            call = connect(url).call
            answers = threads.map(lambda i: call("GET", f"/{i}").json(), range(16))
            assert list(answers) == [f"/{i}" for i in range(16)]

    def test_nobody_there_is_said(self, connect):
        with answering(lambda path: None) as url:
            pass
        with pytest.raises(RemoteError, match="cannot be asked: Connection refused"):
            connect(url).call("GET", "/x")

    def test_what_is_no_service_of_this_project_is_said(self, open_at):
        for body, sentence in [
            (b"<html>", "answers with no JSON"),
            (b'{"card": {}}', "is no description of a model with its card"),
            (b"[]", "is no description of a model with its card"),
            (b"[" * 200_000, "answers with no JSON"),
        ]:
            with (
                answering(lambda path, body=body: (200, {}, body)) as url,
                pytest.raises(RemoteError, match=sentence),
            ):
                open_at(url, "turning")

    @pytest.mark.parametrize(
        "body", [b'{"models": ["turning"]}', b'{"models": null}', b'{"models": [{"default": 1}]}']
    )
    def test_nor_has_it_a_default_model(self, open_at, body):
        with (
            answering(lambda path: (200, {}, body)) as url,
            pytest.raises(RemoteError, match="has no default model"),
        ):
            open_at(url, "")

    def test_an_answer_without_end_is_not_kept(self, connect, monkeypatch):
        monkeypatch.setattr("service.audits.targets.connection._MOST_BYTES", 10)
        with (
            answering(lambda path: (200, {}, bytes(11))) as url,
            pytest.raises(RemoteError, match="answers with more than 10 bytes"),
        ):
            connect(url).call("GET", "/x")

    @pytest.mark.parametrize("headers", [{}, {"connection": "close"}])
    def test_an_answer_that_comes_byte_by_byte_is_not_waited_for(
        self, connect, monkeypatch, headers
    ):
        """Each byte is in time."""
        monkeypatch.setattr("service.audits.targets.connection._LONGEST_ANSWER", 0.2)
        ended = threading.Event()

        def drip() -> Iterator[bytes]:
            while not ended.wait(0.02):
                yield b" "

        try:
            with (
                answering(lambda path: (200, headers, drip())) as url,
                pytest.raises(RemoteError, match="no whole answer within"),
            ):
                connect(url).call("GET", "/x")
        finally:
            ended.set()


class TestDishonest:
    """A service in between that changes what the true one says."""

    @pytest.fixture
    def between(self, server, connect):
        @contextmanager
        def changing(change: Callable[[str, dict[str, str], bytes], bytes]) -> Iterator[str]:
            true = connect(server.url)

            def handle(path: str) -> tuple[int, dict[str, str], bytes]:
                if path.endswith("/infer"):
                    values = np.zeros((4, 4), np.float32).tobytes()
                    headers = {"inference-header-content-length": "2"}
                    return 200, headers, change(path, headers, b"{}" + values)
                return 200, {}, change(path, {}, true.call("GET", path).body)

            with answering(handle) as url:
                yield url

        return changing

    def test_too_few_numbers_are_refused(self, open_at, between, images):
        with between(lambda path, headers, body: body) as url:
            under_test = open_at(url, "turning")
            assert under_test.classify(images[:4]).shape == (4, 4)
            with pytest.raises(RemoteError, match="answers 3 images with 64 bytes of logits"):
                under_test.classify(images[:3])

    def test_a_length_that_is_no_number_to_be_read_is_refused(self, open_at, between, images):
        def change(path: str, headers: dict[str, str], body: bytes) -> bytes:
            headers["inference-header-content-length"] = "9" * 5000
            return body

        with between(change) as url, pytest.raises(RemoteError, match="with 0 bytes of logits"):
            open_at(url, "turning").classify(images[:4])

    @pytest.mark.parametrize("most", ["8", 1.5, -1, None, [1]])
    def test_a_batch_size_that_is_none_is_passed_over(self, open_at, between, images, most):
        def change(path: str, headers: dict[str, str], body: bytes) -> bytes:
            if not path.endswith("/config"):
                return body
            return json.dumps({"max_batch_size": most}).encode()

        with between(change) as url:
            assert open_at(url, "turning").classify(images[:4]).shape == (4, 4)

    def test_another_model_than_was_asked_for_is_refused(self, open_at, between):
        def change(path: str, headers: dict[str, str], body: bytes) -> bytes:
            return body.replace(b'"name":"turning"', b'"name":"another"')

        with between(change) as url, pytest.raises(RemoteError, match="of 'another'; the model"):
            open_at(url, "turning")

    def test_a_model_that_is_exchanged_meanwhile_is_noticed(self, open_at, between):
        later = []

        def change(path: str, headers: dict[str, str], body: bytes) -> bytes:
            if not later or path.endswith("/config"):
                return body
            document = json.loads(body)
            document["digest"] = "sha256:" + "1" * 64
            document["card"]["sha256"] = "1" * 64
            return json.dumps(document).encode()

        with between(change) as url:
            under_test = open_at(url, "turning")
            under_test.confirm()
            later.append(True)
            with pytest.raises(RemoteError, match="is another than at the beginning"):
                under_test.confirm()

    def test_a_digest_that_is_not_the_cards_is_refused(self, open_at, between):
        def change(path: str, headers: dict[str, str], body: bytes) -> bytes:
            return body.replace(b'"digest":"sha256:', b'"digest":"sha256:f', 1)

        with between(change) as url, pytest.raises(RemoteError, match="says the digest"):
            open_at(url, "turning")


class TestAddress:
    @pytest.mark.parametrize(
        ("text", "model", "url", "path"),
        [
            ("http://a:1", "m", "http://a:1", "/models/m"),
            ("http://a:1/", "m/3", "http://a:1", "/models/m/versions/3"),
            ("https://a/models/m", None, "https://a", "/models/m"),
            ("https://a/b/models/m/versions/3/", "m/3", "https://a/b", "/models/m/versions/3"),
        ],
    )
    def test_it_is_read(self, text, model, url, path):
        address = Address.parse(text, model)
        assert (address.url, address.path) == (url, path)
        assert Address.parse(str(address)) == address

    @pytest.mark.parametrize(
        ("text", "model", "sentence"),
        [
            ("ftp://a", None, "is no address of a service"),
            ("http://", None, "is no address of a service"),
            ("http://a:b", None, "is no address of a service"),
            ("http://a?x=1", None, "is no address of a service"),
            ("http://me:secret@a", None, "holds a user or a password"),
            ("http://a/models/m", "n", "names the model 'm' and --model 'n'"),
        ],
    )
    def test_or_refused(self, text, model, sentence):
        with pytest.raises(ValueError, match=sentence) as refused:
            Address.parse(text, model)
        assert "secret" not in str(refused.value)


def changed(graph: bytes, change: Callable[[onnx.ModelProto], None]) -> bytes:
    model = onnx.load_from_string(graph)
    change(model)
    return bytes(model.SerializeToString())


def renamed(model: onnx.ModelProto) -> None:
    """Call the ends otherwise, and give no probabilities."""
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "image" else name for name in node.input]
        node.output[:] = ["scores" if name == "logits" else name for name in node.output]
    del model.graph.node[-1], model.graph.output[1]
    model.graph.input[0].name, model.graph.output[0].name = "pixels", "scores"


class TestFile:
    @pytest.fixture
    def opened(self, tmp_path):
        def write_and_open(graph: bytes) -> Any:
            path = tmp_path / "some-net.onnx"
            path.write_bytes(graph)
            return open_file(path, Settings(device="cpu", threads=1))

        return write_and_open

    def test_a_file_by_itself_is_audited_as_its_version_is(
        self, opened, repository, turning, audit
    ):
        under_test, spec, group = opened(turning)
        report = audit(under_test)
        version = load_version(repository / "turning" / "10", select("cpu"), 1)
        inside = audit(version_under_test(version))
        version.session.close()
        for part in ("verdict", "figures", "worst", "noise_floor", "self_test", "execution"):
            assert getattr(report, part) == getattr(inside, part)
        assert report.model.sha256 == inside.model.sha256
        assert (report.model.name, report.model.group) == ("some-net", "trivial")
        assert (spec.channels, spec.fit.size, group) == (1, 8, "C4")

    def test_one_that_ends_the_process_is_refused(self, opened):
        with pytest.raises(RefusedError, match="ends the process that opens and runs the file"):
            opened(ending())

    def test_no_proof_counts_where_the_runtime_makes_another_function_of_it(self, opened):
        found, _, _ = opened(normalising(np.ones(8, np.float32)))
        said = found.prove("C4")
        assert said.outcome is None
        assert said.reasons[0].startswith("The runtime rewrites the graph")
        found, _, _ = opened(normalising(np.ones((8, 8), np.float32)))
        assert found.prove("C4").outcome == "NOT PROVED"

    def test_its_proof_asks_the_runtime_for_constants(
        self, opened, turning, audit, doubtful, monkeypatch
    ):
        """Of a file as of a version."""
        under_test, _, _ = opened(doubtful(turning))
        assert under_test.prove("C4").quarters(0.5).rounding == 0.5
        assert audit(under_test, 20).proof == under_test.prove("C4")
        monkeypatch.setenv("ORBITSERVE_PROOF_TIMEOUT", "1e-6")
        under_test, _, _ = opened(doubtful(turning))
        proof = under_test.prove("C4")
        assert proof.outcome is None and proof.quarters(0.5) is None
        assert "takes more than the 1e-06 s" in proof.reasons[0]

    def test_its_ends_may_have_other_names(self, opened, turning, audit):
        under_test, _, _ = opened(changed(turning, renamed))
        assert audit(under_test).verdict == "PASS"

    def test_it_is_told_from_one_that_is_not_invariant(self, opened, plain, audit):
        assert audit(opened(plain)[0]).verdict == "FAIL"

    def test_its_metadata_say_what_it_is(self, opened, turning):
        def describe(model: onnx.ModelProto) -> None:
            helper.set_model_props(model, {"name": "n", "group": "D4", "precision": "int8"})

        under_test, _, group = opened(changed(turning, describe))
        identity = under_test.identity
        assert (identity.name, identity.group, identity.precision) == ("n", "D4", "int8")
        assert group == "D4"

    def test_half_precision_is_not_tolerated_of_who_only_says_so(self, opened, turning):
        def claim(model: onnx.ModelProto) -> None:
            entries = {entry.key: entry.value for entry in model.metadata_props}
            onnx.helper.set_model_props(model, entries | {"precision": "fp16"})

        def store(model: onnx.ModelProto) -> None:
            claim(model)
            half = onnx.numpy_helper.from_array(np.zeros(1, np.float16), "half")
            model.graph.initializer.append(half)

        def read(model: onnx.ModelProto) -> None:
            claim(model)
            stored = next(t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT)
            cast = onnx.helper.make_node("Cast", ["half"], [stored.name], to=TensorProto.FLOAT)
            halves = numpy_helper.to_array(stored).astype(np.float16)
            stored.CopyFrom(numpy_helper.from_array(halves, "half"))
            model.graph.node.insert(0, cast)

        for change, precision in ((claim, "fp32"), (store, "fp32"), (read, "fp16")):
            under_test, _, _ = opened(changed(turning, change))
            assert under_test.identity.precision == precision

    def test_without_a_convolution_the_mutant_is_made_around_it(self, opened, audit):
        weights = numpy_helper.from_array(
            np.random.default_rng(5).normal(size=(64, 4)).astype(np.float32), "w"
        )
        nodes = [
            helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        ]
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 1, 8, 8])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 4])
        graph = helper.make_graph(nodes, "linear", [image], [logits], [weights])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        report = audit(opened(model.SerializeToString())[0])
        assert report.verdict == "FAIL"
        assert report.self_test
        assert report.self_test.mutation == "told up from down"
        assert report.self_test.passed

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ("float", "takes 'image' FLOAT [?, 1, 8, 8]; one input of uint8"),
            ("fixed", "takes 'image' UINT8 [2, 1, 8, 8]; one input of uint8"),
            ("open", "takes 'image' UINT8 [?, 1, 8, ?]; one input of uint8"),
            ("channels", "takes 'image' UINT8 [?, 2, 8, 8]; one input of uint8"),
            ("outputs", "one output of float32 [N, K]"),
            ("no model", "tf2onnx wrote is accepted"),
        ],
    )
    def test_what_it_cannot_take_is_refused_in_a_sentence(self, opened, turning, change, sentence):
        def spoil(model: onnx.ModelProto) -> None:
            kind = model.graph.input[0].type.tensor_type
            axes = kind.shape.dim
            if change == "float":
                kind.elem_type = TensorProto.FLOAT
            elif change == "fixed":
                axes[0].dim_value = 2
            elif change == "open":
                axes[3].dim_param = "W"
            elif change == "channels":
                axes[1].dim_value = 2
            else:
                renamed(model)
                del model.graph.output[0]

        graph = b"no model" if change == "no model" else changed(turning, spoil)
        with pytest.raises(ValueError, match="file") as refused:
            opened(graph)
        assert sentence in str(refused.value)
        assert "\n" not in str(refused.value)
