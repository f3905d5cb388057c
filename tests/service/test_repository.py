"""Only what is on the cards is served, and what is not served says why."""

import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest

from artifact.audit_set import AuditSet, save_audit_set
from artifact.card import Card, InputSpec, load_card
from imaging import FitPolicy
from service.engine import select
from service.repository import folder as folders
from service.repository import version as versions
from service.repository.folder import ModelRejectedError
from service.repository.startup import open_repository
from service.repository.version import load_version
from service.settings import ConfigurationError, Settings
from tests.digests import sha256_file
from tests.service.processes import npy

pytestmark = pytest.mark.anyio
CPU = select("cpu")


async def classify(client: httpx.AsyncClient, path: str = "/classify") -> httpx.Response:
    grey = npy(np.zeros((8, 8), np.uint8))
    return await client.post(path, content=grey, headers={"Content-Type": "application/x-npy"})


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(repository, tmp_path / "repository"))


def flip_a_bit(file: Path, place: float = 0.5) -> None:
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 1
    file.write_bytes(data)


def edit_card(folder: Path, **changes: Any) -> None:
    card = load_card(folder / "card.json").model_copy(update=changes)
    (folder / "card.json").write_text(card.model_dump_json())


def other_audit_set(folder: Path) -> None:
    images = np.zeros((500, 1, 9, 9), np.uint8)
    save_audit_set(folder / "audit.npz", AuditSet(images))
    info = load_card(folder / "card.json").audit_set
    digest = AuditSet(images).sha256()
    edit_card(folder, audit_set=info.model_copy(update={"sha256": digest}))


def other_graph(folder: Path, change: Callable[[onnx.ModelProto], object]) -> None:
    """Exchange the graph for one that is changed, and let the card name its digest."""
    file = folder / "model.onnx"
    model = onnx.load_model(file)
    change(model)
    file.write_bytes(model.SerializeToString())
    edit_card(folder, sha256=sha256_file(file))


def use_a_custom_operator(model: onnx.ModelProto) -> None:
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    (relu,) = (node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type, relu.domain = "Gelu", "com.microsoft"


def keep_weights_outside(model: onnx.ModelProto) -> None:
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "../weights.bin")


def cut_off(folder: Path) -> None:
    file = folder / "model.onnx"
    file.write_bytes(file.read_bytes()[:-100])
    edit_card(folder, sha256=sha256_file(file))


GRAPHS: list[tuple[Callable[[Path], Any], str]] = [
    (lambda folder: other_graph(folder, use_a_custom_operator), "operator 'com.microsoft.Gelu'"),
    (lambda folder: other_graph(folder, keep_weights_outside), "outside of itself, in '../weights"),
    (cut_off, "model.onnx is refused: The file is cut off"),
]


DAMAGES: list[tuple[Callable[[Path], Any], str]] = [
    (lambda folder: flip_a_bit(folder / "model.onnx"), "model.onnx has the SHA-256"),
    (lambda folder: flip_a_bit(folder / "model.onnx", 0), "model.onnx has the SHA-256"),
    (lambda folder: flip_a_bit(folder / "audit.npz"), "audit.npz has the SHA-256"),
    (lambda folder: (folder / "model.onnx").unlink(), "model.onnx cannot be read"),
    (lambda folder: (folder / "audit.npz").unlink(), "audit.npz cannot be read"),
    (lambda folder: (folder / "card.json").unlink(), "card.json"),
    (lambda folder: (folder / "card.json").write_text("{}"), "card.json"),
    (
        lambda folder: (folder / "model.onnx").write_text(
            "version https://git-lfs.github.com/spec/v1"
        ),
        "a git-lfs pointer",
    ),
    *GRAPHS,
    (lambda folder: edit_card(folder, name="other"), "'other'"),
    (lambda folder: edit_card(folder, version=3), "version 3"),
    (lambda folder: edit_card(folder, classes=("a", "b")), "2 classes"),
    (
        lambda folder: edit_card(folder, input=InputSpec(channels=1, fit=FitPolicy(9))),
        "[500, 1, 9, 9]",
    ),
    (other_audit_set, "[500, 1, 9, 9]"),
]


@pytest.mark.slow
async def test_versions_that_are_not_their_cards_are_refused(
    tmp_path: Path, write_version: Any, turning: bytes, open_client: Any
) -> None:
    write_version(tmp_path, "turning", 2, turning)
    for version, (damage, _) in enumerate(DAMAGES, start=10):
        damage(write_version(tmp_path, "turning", version, turning))
    async with open_client(tmp_path) as client:
        (listed,) = (await client.get("/models")).json()["models"]
        assert listed["versions"] == [2]
        failed = {each["version"]: each["reason"] for each in listed["failed"]}
        assert len(failed) == len(DAMAGES)
        for version, (_, names) in enumerate(DAMAGES, start=10):
            refused = await classify(client, f"/models/turning/versions/{version}/classify")
            assert refused.status_code == 503
            assert names in refused.json()["error"], version
            assert failed[version] in refused.json()["error"]


@pytest.mark.parametrize(("damage", "names"), GRAPHS)
def test_a_refused_graph_never_reaches_the_runtime(
    copy: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], Any], names: str
) -> None:
    def open_session(*_: Any) -> None:
        raise AssertionError("the runtime has seen the file")

    monkeypatch.setattr(versions, "Session", open_session)
    damage(copy / "turning" / "10")
    with pytest.raises(ModelRejectedError, match=re.escape(names)):
        load_version(copy / "turning" / "10", CPU, threads=1)
    with pytest.raises(AssertionError, match="the runtime"):
        load_version(copy / "turning" / "2", CPU, threads=1)


@pytest.mark.parametrize("file", ["model.onnx", "audit.npz"])
def test_without_the_digest_the_altered_file_would_have_been_served(
    copy: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: it is the comparison of digests, and nothing after it, that refuses."""
    folder = copy / "turning" / "10"
    flip_a_bit(folder / file, place=0.5)
    with pytest.raises(ModelRejectedError, match="SHA-256"):
        load_version(folder, CPU, threads=1)
    monkeypatch.setattr(folders, "_check_digest", lambda *_: None)
    if file == "model.onnx":
        load_version(folder, CPU, threads=1).session.close()


async def test_the_threads_end_with_the_application(repository: Path, open_client: Any) -> None:
    def inference_threads() -> set[threading.Thread]:
        return {each for each in threading.enumerate() if each.name.startswith("inference")}

    before = inference_threads()
    async with open_client(repository) as client:
        await classify(client)
        assert len(inference_threads()) > len(before)
    assert inference_threads() == before


async def test_where_the_latest_version_fails_the_one_before_it_answers(
    copy: Path, open_client: Any
) -> None:
    flip_a_bit(copy / "turning" / "10" / "model.onnx")
    async with open_client(copy) as client:
        assert (await classify(client)).json()["model"]["version"] == 2
        assert (await client.get("/readyz")).status_code == 200


async def test_without_a_default_model_the_service_lives_and_is_not_ready(
    copy: Path, open_client: Any
) -> None:
    for number in ("2", "10"):
        flip_a_bit(copy / "turning" / number / "model.onnx")
    async with open_client(copy) as client:
        assert (await client.get("/healthz")).status_code == 200
        unready = await client.get("/readyz")
        assert unready.status_code == 503
        assert "Version 10 of the model 'turning' failed to load" in unready.json()["error"]
        assert (await classify(client)).status_code == 503
        assert (await classify(client, "/models/plain/classify")).status_code == 200


async def test_a_file_that_changes_under_the_service_is_not_audited(
    copy: Path, open_client: Any
) -> None:
    async with open_client(copy) as client:
        flip_a_bit(copy / "turning" / "10" / "model.onnx")
        refused = await client.post("/models/turning/audit")
        assert refused.status_code == 503
        assert "SHA-256" in refused.json()["error"]
        assert (await classify(client)).status_code == 200


async def test_what_is_served_is_listed(client: httpx.AsyncClient) -> None:
    plain, turning = (await client.get("/models")).json()["models"]
    assert (plain["name"], plain["default"], plain["versions"]) == ("plain", False, [1])
    assert (turning["name"], turning["default"], turning["versions"]) == ("turning", True, [2, 10])
    assert turning["version"] == 10
    assert turning["group"] == "C4"
    assert turning["precision"] == "fp32"
    assert turning["proof"] is None
    assert turning["failed"] == []


async def test_a_model_is_described_with_its_card(
    client: httpx.AsyncClient, repository: Path
) -> None:
    latest = (await client.get("/models/turning")).json()
    assert latest == (await client.get("/models/turning/versions/10")).json()
    card = load_card(repository / "turning" / "10" / "card.json")
    assert Card.model_validate(latest["card"]) == card
    assert latest["digest"] == f"sha256:{card.sha256}"
    assert latest["runtime"]["device"] == "cpu"
    assert latest["runtime"]["providers"] == ["CPUExecutionProvider"]
    nodes = latest["runtime"]["nodes"]["CPUExecutionProvider"]
    assert sorted(node.split("(")[1] for node in nodes)[:2] == ["Cast)", "Conv)"]
    older = (await client.get("/models/turning/versions/2")).json()
    assert older["card"]["version"] == 2
    for path in ("/models/none", "/models/turning/versions/7"):
        assert (await client.get(path)).status_code == 404


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
async def test_auto_says_why_a_model_runs_on_the_cpu(repository: Path, open_client: Any) -> None:
    async with open_client(repository, device="auto") as client:
        runtime = (await client.get("/models/turning")).json()["runtime"]
    assert runtime["device"] == "cpu"
    assert re.match("the CPU is used because CUDA does not start: lib", runtime["note"])


def settings(repository: Path, **options: Any) -> Settings:
    return Settings(repository=repository, device="cpu", **options)


async def test_the_first_name_of_the_alphabet_is_the_default_model(repository: Path) -> None:
    opened = await open_repository(settings(repository))
    assert opened.default == "plain"
    await opened.close()


async def test_folders_that_are_no_versions_are_left_alone(copy: Path) -> None:
    for name in (".staging/1", "turning/.11-staging", "turning/011", "empty/notes"):
        (copy / name).mkdir(parents=True)
    for unspeakable in ("new\nline", "\x1b[31mred", "next\x85line"):  # in no path that is accepted
        (copy / unspeakable / "1").mkdir(parents=True)
    (copy / "turning" / "config.pbtxt").write_text("for another server")
    opened = await open_repository(settings(copy))
    found = {name: list(versions) for name, versions in opened.models.items()}
    await opened.close()
    assert found == {"plain": [1], "turning": [2, 10]}


async def test_a_repository_that_cannot_serve_is_a_configuration_error(
    repository: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"There is no folder /.*none; --repository"):
        await open_repository(settings(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="holds no model"):
        await open_repository(settings(tmp_path))
    with pytest.raises(ConfigurationError, match=r"'none' is not in .* plain, turning"):
        await open_repository(settings(repository, default_model="none"))
