"""A version is tried in a process of its own, and whatever becomes of that is one sentence."""

import asyncio
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.engine import ProviderCandidates, select
from service.engine.providers import CPU
from service.repository.folder import ModelRejectedError
from service.repository.loading import Loader
from service.repository.trials import ForkServer, Trials, Tried, attempt, server
from service.repository.trials.trials import _outcome, _read
from service.repository.version import load_version
from service.settings import Settings
from tests.service.test_hostile_versions import change_graph, take_half_a_gibibyte

pytestmark = pytest.mark.anyio
HERE = select("cpu")
AGAIN = "loading tries it again"
ON_A_DEVICE = ProviderCandidates((replace(CPU, memory=("cpu", 0)),))


class Does:
    """Stands for a native library: what it is told to do happens where it is unpickled."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> Any:
        return exec, (f"import os, signal, ctypes; {self.code}",)


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.kill()


def _rare(*case: str) -> Any:
    return pytest.param(*case, marks=pytest.mark.slow)


@pytest.fixture
def trials(repository: Path, fork_server: ForkServer) -> Trials:
    return Trials(Settings(repository=repository, device="cpu", load_timeout=60), fork_server)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("ctypes.string_at(0)", "crashed, with the signal SIGSEGV"),
        _rare("os.abort()", "crashed, with the signal SIGABRT"),
        _rare("os.kill(os.getpid(), signal.SIGKILL)", "was killed, as the kernel does when memory"),
        ("os._exit(7)", "crashed, with the status 7"),
        _rare("os.kill(os.getppid(), signal.SIGKILL)", "was killed; loading tries it again"),
        _rare("raise SystemExit(0)", "crashed, with the status 1"),
    ],
)
async def test_a_crash_is_a_sentence_and_the_next_version_is_tried(
    trials: Trials, repository: Path, code: str, sentence: str
) -> None:
    folder = repository / "turning" / "2"
    tried = await trials.attempt(folder, Does(code))  # type: ignore[arg-type]
    assert tried.verification is None
    assert tried.refused is not None and sentence in tried.refused
    async with asyncio.timeout(60):  # who forks may be dying still: loading tries it again
        while AGAIN in ((tried := await trials.attempt(folder, HERE)).refused or ""):
            pass
    assert tried.verification is not None


async def test_it_says_what_loading_here_says(trials: Trials, repository: Path) -> None:
    for name in ("turning/2", "turning/10", "plain/1"):
        folder = repository / name
        tried = await trials.attempt(folder, HERE)
        loaded = load_version(folder, HERE, os.cpu_count() or 1)
        loaded.session.close()
        assert tried.digest == loaded.card_sha256
        assert tried.verification == loaded.verification


@pytest.mark.slow
@pytest.mark.parametrize("candidates", [HERE, ON_A_DEVICE], ids=["cpu", "device"])
async def test_memory_is_bounded(
    write_version: Any,
    turning: bytes,
    tmp_path: Path,
    fork_server: ForkServer,
    candidates: ProviderCandidates,
) -> None:
    """On a device the limit is one that is looked after, since CUDA asks for more than there is."""
    folder = write_version(tmp_path, "huge", 1, turning)
    change_graph(folder, take_half_a_gibibyte)
    for memory, refused in ((300, True), (3000, False)):
        limits = {"load_memory": memory, "load_timeout": 100, "proof": "off"}
        settings = Settings(repository=tmp_path, device="cpu", max_batch_size=1, **limits)
        trials = Trials(settings, fork_server)
        tried = await trials.attempt(folder, candidates)
        assert (tried.refused is not None) == refused, tried.refused
        if tried.refused is not None:
            assert "more than the 300 MiB" in tried.refused


async def test_a_trial_that_is_cancelled_ends_its_process(
    trials: Trials, repository: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "child"
    code = f"open({str(mark)!r}, 'w').write(str(os.getpid())); signal.pause()"
    folder = repository / "turning" / "2"
    trying = asyncio.create_task(trials.attempt(folder, Does(code)))  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        while not mark.exists() or not mark.read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        child = Path("/proc") / mark.read_text()
        assert child.exists()
        trying.cancel()
        while child.exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    async with asyncio.timeout(60):  # who forks may be dying still: loading tries it again
        while AGAIN in ((tried := await trials.attempt(folder, HERE)).refused or ""):
            pass
    assert tried.verification is not None


async def test_a_version_that_vanishes_meanwhile_is_refused(
    trials: Trials, repository: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(repository, tmp_path / "copy")) / "turning" / "2"
    tried = await trials.attempt(folder, HERE)
    assert tried.refused is None
    shutil.rmtree(folder)
    tried = await trials.attempt(folder, HERE)
    assert tried.refused == "card.json cannot be read: No such file or directory."


async def test_a_defect_refuses_the_version_and_is_logged(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(attempt, "load_version", fails)
    monkeypatch.setattr(attempt, "_limit_memory", lambda *_: None)  # of this very process
    settings = Settings(repository=repository, device="cpu")
    folder = repository / "turning" / "2"
    tried = attempt.try_version(attempt.Attempt(folder, settings, HERE))
    assert tried.refused is not None
    assert "at an error of its own (ValueError: operands could not be" in tried.refused
    assert tried.defect is not None and 'raise ValueError("operands' in tried.defect

    async def answered(*_: object) -> Tried:
        return tried

    there = Trials(settings)
    monkeypatch.setattr(there, "attempt", answered)
    loader = Loader(settings, HERE, there)
    with capture_logs() as logged, pytest.raises(ModelRejectedError, match="an error of its own"):
        await loader.load(folder)
    assert [(line["log_level"], line["traceback"]) for line in logged] == [("error", tried.defect)]
    loader.close()


async def test_a_defect_while_opening_is_logged_too(
    trials: Trials, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr("service.repository.loading.open_tried", fails)
    loader = Loader(Settings(repository=repository, device="cpu"), HERE, trials)
    with capture_logs() as logged, pytest.raises(ModelRejectedError, match="an error of its own"):
        await loader.load(repository / "turning" / "2")
    assert [line["exc_info"] for line in logged] == [True]


async def test_a_trial_that_takes_long_says_how_far_it_is(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says before the end is logged, and no part of how it came out."""
    clock = iter((0.0, 1.0, 2.5, 3.0, 3.5, 8.0))  # begins, then each call
    monkeypatch.setattr(server, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours:
        with theirs:
            tell = server._Telling(theirs)
            for done in range(1, 5):
                tell("measuring", done, 24)
            tell("proving", 0, 1)
            theirs.sendall(Tried(refused="It is\x1e another.").model_dump_json().encode())
            theirs.sendall(server.STATUS.pack(0))
        with capture_logs() as logged:
            answer = await _read(ours, repository / "turning" / "2")
    found = [(line["stage"], line["done"], line["total"]) for line in logged]
    assert found == [("measuring", 2, 24), ("proving", 0, 1)]
    assert {(line["model"], line["version"]) for line in logged} == {("turning", "2")}
    outcome = _outcome(answer, Settings(repository=repository))
    assert outcome.refused == "It is\x1e another."


def test_no_status_ends_what_is_said_before_it() -> None:
    statuses = (*range(-64, 256), server.TOO_LARGE)
    assert not any(server.BEHIND_PROGRESS in server.STATUS.pack(each) for each in statuses)
