"""A small model repository, real in every part, and the application over it.

`turning` is a network that is invariant under C4 by construction: its filters come in four
orientations, and it keeps the largest response over space and orientation. `plain` has as many
filters, unrelated to one another, and looks at each place separately.
"""

import io
import json
import logging
import struct
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import numpy.typing as npt
import onnx
import pytest
import structlog
import uvicorn
from fastapi import FastAPI
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from PIL import Image

import service.app
from artifact.audit_set import AuditSet, save_audit_set
from artifact.card import (
    AuditSetInfo,
    Card,
    InputSpec,
    Training,
)
from artifact.figures import (
    AuditFigures,
    Metric,
    NetworkSize,
    Parity,
)
from artifact.values import Interval
from imaging import FitPolicy
from service.app import create_app
from service.data_plane import DataPlane
from service.engine import ProviderCandidates, Signature
from service.metrics.logs import configure_logs
from service.repository.trials import ForkServer, Trials, Tried
from service.settings import Settings
from tests.digests import sha256_file
from tests.waiting import wait_until

SIZE, FILTERS, CLASSES = 8, 6, ("ant", "bee", "cat", "dog")
Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def _images() -> Images:
    return np.random.default_rng(3).integers(0, 256, (500, 1, SIZE, SIZE), dtype=np.uint8)


def _graph(filters: Floats, weights: Floats, bias: Floats, tail: str) -> bytes:
    """Build cast - scale - conv - relu - `tail` - gemm - softmax."""
    pool = {
        "max": [
            helper.make_node("GlobalMaxPool", ["active"], ["peaks"]),
            helper.make_node("Reshape", ["peaks", "by_orientation"], ["oriented"]),
            helper.make_node("ReduceMax", ["oriented", "last"], ["features"], keepdims=0),
        ],
        "flatten": [helper.make_node("Flatten", ["active"], ["features"])],
    }[tail]
    constants = {
        "scale": np.array(1 / 255, np.float32),
        "filters": filters,
        "weights": weights,
        "bias": bias,
        "by_orientation": np.array([0, -1, 4], np.int64),
        "last": np.array([2], np.int64),
    }
    used = {name for node in pool for name in node.input} | {"scale", "filters", "weights", "bias"}
    nodes = [
        helper.make_node("Cast", ["image"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["grey", "scale"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "filters"], ["responses"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["responses"], ["active"]),
        *pool,
        helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", len(CLASSES)])
        for name in ("logits", "probabilities")
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 1, SIZE, SIZE])
    graph = helper.make_graph(
        nodes,
        "tiny",
        [image],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name in used],
    )
    opset = helper.make_opsetid("", 20)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()


def _balanced(filters: Floats, weights: Floats, tail: str) -> bytes:
    """Choose the bias so that no class is the favourite on noise."""
    unbiased = _graph(filters, weights, np.zeros(len(CLASSES), np.float32), tail)
    logits, _ = ReferenceEvaluator(unbiased).run(None, {"image": _images()})
    return _graph(filters, weights, -logits.mean(axis=0), tail)


def _turning(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    base = random.standard_normal((FILTERS, 1, 3, 3)).astype(np.float32)
    bank = np.stack([np.rot90(base, k, (2, 3)) for k in range(4)], axis=1).reshape(-1, 1, 3, 3)
    weights = random.standard_normal((FILTERS, len(CLASSES))).astype(np.float32)
    return _balanced(bank, weights, "max")


@pytest.fixture(scope="session")
def turning() -> bytes:
    return _turning(seed=1)


@pytest.fixture(scope="session")
def plain() -> bytes:
    random = np.random.default_rng(2)
    bank = random.standard_normal((4 * FILTERS, 1, 3, 3)).astype(np.float32)
    inputs = 4 * FILTERS * SIZE * SIZE
    weights = random.standard_normal((inputs, len(CLASSES))).astype(np.float32)
    return _balanced(bank, weights, "flatten")


@pytest.fixture(scope="session")
def signature() -> Signature:
    return Signature(channels=1, size=SIZE, classes=len(CLASSES))


@pytest.fixture(scope="session")
def images() -> Images:
    """500 images of SIZE x SIZE pixels: enough for an interval that reaches 99 %."""
    return _images()


AUDIT = AuditFigures(
    group="C4",
    images=500,
    verdict="PASS",
    label_agreement=1.0,
    agreement_interval=Interval(0.992, 1.0),
    max_logit_deviation=0.0,
    max_probability_deviation=0.0,
    noise_floor=0.0,
)

WriteVersion = Callable[..., Path]


@pytest.fixture(scope="session")
def write_version(images: Images) -> WriteVersion:
    """Write a version directory with its card and audit set, as export does."""

    def write(root: Path, name: str, version: int, graph: bytes, **changes: Any) -> Path:
        folder = root / name / str(version)
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(graph)
        save_audit_set(folder / "audit.npz", AuditSet(images, None))
        card = Card(
            schema_version=1,
            name=name,
            version=version,
            description="A network of one convolution.",
            group="C4" if name == "turning" else "trivial",
            precision="fp32",
            classes=CLASSES,
            input=InputSpec(channels=1, fit=FitPolicy(SIZE)),
            sha256=sha256(graph).hexdigest(),
            proof=None,
            parity=Parity(max_abs_logits=0.0, images=500, runtime="onnxruntime"),
            metrics={"test": Metric(error_percent=50.0, count=500, data_set="noise")},
            size=NetworkSize(free_parameters=78, baked_parameters=240, multiply_adds=13824),
            audit_set=AuditSetInfo(
                sha256=sha256_file(folder / "audit.npz"),
                count=len(images),
                source="random numbers",
                licence="CC0-1.0",
            ),
            audit=AUDIT,
            training=Training(data_set="none", data_sha256="0" * 64, recipe={}, seed=1, epochs=0),
        )
        card = card.model_copy(update=changes)
        (folder / "card.json").write_text(card.model_dump_json(indent=2))
        return folder

    return write


@pytest.fixture(scope="session")
def repository(
    tmp_path_factory: pytest.TempPathFactory,
    write_version: WriteVersion,
    turning: bytes,
    plain: bytes,
) -> Path:
    """`turning` in the versions 2 and 10, which sort the other way round as text, and `plain`."""
    root = tmp_path_factory.mktemp("repository")
    write_version(root, "turning", 2, _turning(seed=4))
    write_version(root, "turning", 10, turning)
    write_version(root, "plain", 1, plain)
    return root


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


class _LastingServer(ForkServer):
    """One for all applications: starting it takes longer than most of what is tried here."""

    def end(self) -> None: ...

    def kill(self) -> None: ...


class _KnownTrials(Trials):
    """Tries the same files under the same settings once: most tests serve those of `repository`."""

    _known: ClassVar[dict[str, Tried]] = {}

    def __init__(self, settings: Settings, server: ForkServer) -> None:
        super().__init__(settings, server)
        self._asked = settings.model_dump(exclude={"repository"})

    async def attempt(self, folder: Path, candidates: ProviderCandidates) -> Tried:
        held = _held(folder)
        if held is None:
            return await super().attempt(folder, candidates)
        key = repr((held, self._asked, candidates))
        tried = self._known.get(key) or await super().attempt(folder, candidates)
        if tried.verification is not None:
            self._known[key] = tried
        return tried


def _held(folder: Path) -> object:
    """What a folder of small files holds; None of any other."""
    files = sorted(folder.glob("*"))
    if not all(file.is_file() and file.stat().st_size < 2**20 for file in files):
        return None
    return folder.parent.name, folder.name, [(file.name, sha256_file(file)) for file in files]


MakeApp = Callable[..., FastAPI]


@pytest.fixture(scope="session")
def make_app() -> Iterator[MakeApp]:
    """Make applications over a repository, which try versions in children of one process.

    Their routes hold nothing of an application, and most of the time to make one goes into them.
    """
    server = _LastingServer()

    def make(repository: Path, **options: Any) -> FastAPI:
        settings = Settings(repository=repository, **options)
        return create_app(settings, _KnownTrials(settings, server))

    with pytest.MonkeyPatch.context() as patch:
        for name in ("infer", "classify", "model", "job", "history", "ledger", "metrics", "oip"):
            routes = getattr(service.app, f"{name}_routes")
            patch.setattr(service.app, f"{name}_routes", cache(routes))
        yield make
    ForkServer.kill(server)


class AppClient(httpx.AsyncClient):
    """A client of an application in this process, whose server errors are answers."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://test"
        )
        self.app = app

    @property
    def data_plane(self) -> DataPlane:
        found: DataPlane = self.app.state.data_plane
        return found


Open = Callable[..., AbstractAsyncContextManager[AppClient]]


@pytest.fixture(scope="session")
def open_client(make_app: MakeApp) -> Open:
    """Start an application and talk to it when what is there is loaded."""

    @asynccontextmanager
    async def opened(repository: Path, **options: Any) -> AsyncIterator[AppClient]:
        options = {"device": "cpu", "default_model": "turning", **options}
        app = make_app(repository, **options)
        async with app.router.lifespan_context(app):
            await app.state.data_plane.repository.started.wait()
            async with AppClient(app) as client:
                yield client

    return opened


@pytest.fixture(scope="session")
async def client(open_client: Open, repository: Path) -> AsyncIterator[AppClient]:
    async with open_client(repository) as client:
        yield client


@dataclass(frozen=True)
class Listening:
    """An application that listens on a port of this machine, in a thread of this process."""

    address: str
    app: FastAPI

    @property
    def url(self) -> str:
        return f"http://{self.address}"


Listen = Callable[..., AbstractContextManager[Listening]]


@pytest.fixture(scope="session")
def listen(make_app: MakeApp) -> Listen:
    """Serve an application over real sockets; it ends with the context."""

    @contextmanager
    def listening(repository: Path, **options: Any) -> Iterator[Listening]:
        options = {"device": "cpu", "default_model": "turning", "threads": 1, **options}
        app = make_app(repository, **options)
        config = uvicorn.Config(app, port=0, log_config=None, lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            started = app.state.data_plane.repository.started
            wait_until(lambda: started.is_set() or not thread.is_alive())
            host, port = server.servers[0].sockets[0].getsockname()
            yield Listening(f"{host}:{port}", app)
        finally:
            server.should_exit = True
            thread.join(30)

    return listening


@pytest.fixture(scope="session")
def whole() -> Callable[[int], bytes]:
    """Make a network like `turning` of whole numbers: its logits do not depend on the batch.

    All sums stay below 2^24, so that float32 holds them exactly in whichever order they are taken.
    """

    def make(seed: int) -> bytes:
        model = onnx.load_from_string(_turning(seed))
        values = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        changes = {
            "scale": np.array(1, np.float32),
            "filters": np.rint(2 * values["filters"]),
            "weights": np.rint(2 * values["weights"]),
            "bias": np.rint(255 * values["bias"]),
        }
        for each in model.graph.initializer:
            if each.name in changes:
                each.CopyFrom(numpy_helper.from_array(changes[each.name], each.name))
        return model.SerializeToString()

    return make


@pytest.fixture(scope="session", autouse=True)
def plain_log() -> None:
    """Log without the drawings around tracebacks, which take a second each."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
    )


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Log as JSON, and return what was logged."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    root.handlers = []  # configuring closes those that it finds, and these are pytest's
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs("json", "info")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers, root.level = handlers, level
    structlog.configure(**before)


@pytest.fixture(scope="session")
def png() -> Callable[..., bytes]:
    """Encode an image [C, H, W] without loss."""

    def encode(image: Images, format: str = "PNG") -> bytes:  # noqa: A002
        file = io.BytesIO()
        Image.fromarray(np.moveaxis(image, 0, -1).squeeze()).save(file, format, lossless=True)
        return file.getvalue()

    return encode


@pytest.fixture(scope="session")
def png_announcing() -> Callable[[int], bytes]:
    """Make a PNG of a few bytes that announces any side, and lacks its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    def announce(side: int) -> bytes:
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)

    return announce


@pytest.fixture(scope="session")
def expected(turning: bytes) -> Callable[[Images], list[tuple[str, float]]]:
    """Labels and probabilities by ONNX's own reference implementation of the operators."""
    reference = ReferenceEvaluator(turning)

    def classify(images: Images) -> list[tuple[str, float]]:
        logits, probabilities = reference.run(None, {"image": images})
        labels = np.argmax(logits, axis=1)
        return [(CLASSES[k], float(p[k])) for k, p in zip(labels, probabilities, strict=True)]

    return classify


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def ours(keys: Path) -> Any:
    return _key(keys, "ours")


@pytest.fixture(scope="module")
def theirs(keys: Path) -> Any:
    return _key(keys, "theirs")


def _key(folder: Path, name: str) -> Any:
    from tests.service.signing import make_key  # needs what only some tests need

    return make_key(folder, name)
