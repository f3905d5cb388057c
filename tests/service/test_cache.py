"""What was measured at an earlier start counts for the same files, code and machine alone."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import onnxruntime
import pytest
from structlog.testing import capture_logs

from artifact.layout import CARD_FILE
from imaging.process import fork
from service.engine import ProviderCandidates
from service.engine.providers import CPU
from service.repository import cache
from service.repository.cache import Cache
from service.repository.folder import ModelRejectedError, read_card
from service.repository.loading import Loader
from service.repository.trials import Tried
from service.repository.version import load_version
from service.settings import Settings
from tests.waiting import until

HERE = ProviderCandidates((CPU,))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    cache._surroundings.cache_clear()
    yield
    cache._surroundings.cache_clear()


@pytest.fixture
def settings(tmp_path: Path, repository: Path) -> Callable[..., Settings]:
    given = {"repository": repository, "device": "cpu", "threads": 1, "cache": tmp_path / "cache"}
    return lambda **more: Settings(**given | more)


@pytest.fixture(scope="module")
def folder(repository: Path) -> Path:
    return repository / "turning" / "2"


@pytest.fixture(scope="module")
def digests(folder: Path) -> dict[str, str]:
    return read_card(folder)[1]


@pytest.fixture(scope="module")
def tried(folder: Path, digests: dict[str, str]) -> Tried:
    model = load_version(folder, HERE, 1)
    model.session.close()
    return Tried(
        digest=digests[CARD_FILE], verification=model.verification, quick=model.session.graph.quick
    )


@pytest.fixture
def opened(settings: Callable[..., Settings]) -> Callable[..., Cache]:
    return lambda candidates=HERE, **more: Cache(settings(**more), candidates)


Find = Callable[..., Tried | None]


@pytest.fixture
def find(opened: Callable[..., Cache], digests: dict[str, str], tried: Tried) -> Find:
    """What is kept already, looked for under other conditions."""
    opened().keep(digests, tried)
    return lambda changed=MappingProxyType({}), **more: opened(**more).find({**digests, **changed})


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_what_is_kept_is_found_by_the_next_start(
    settings: Callable[..., Settings],
    opened: Callable[..., Cache],
    digests: dict[str, str],
    tried: Tried,
) -> None:
    assert opened().find(digests) is None
    opened().keep(digests, tried)
    found = opened().find(digests)
    assert found is not None and found.verification is not None and tried.verification is not None
    assert found.verification.measured is not None
    assert found.verification.model_copy(update={"measured": None}) == tried.verification
    assert (found.digest, found.quick) == (tried.digest, tried.quick)
    place = settings().cache
    assert isinstance(place, Path)
    assert place.stat().st_mode & 0o777 == 0o700
    (file,) = entries(place)
    assert file.stat().st_mode & 0o777 == 0o600


OTHERS: dict[str, dict[str, Any]] = {
    "threads": {"threads": 2},
    "batch": {"max_batch_size": 8},
    "mode": {"proof": "enforce"},
    "proof's time": {"proof_timeout": 7},
    "proof's memory": {"proof_memory": 7},
    "memory": {"load_memory": 77},
}


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_is_found_under_other_options(find: Find, name: str) -> None:
    assert find(**OTHERS[name]) is None


def test_nothing_is_found_with_other_providers(find: Find) -> None:
    other = replace(CPU, options={"CPUExecutionProvider": {"arena": "0"}})
    assert find(candidates=ProviderCandidates((other,))) is None


@pytest.mark.parametrize("name", ["card.json", "model.onnx", "audit.npz"])
def test_nothing_is_found_for_another_file(find: Find, name: str) -> None:
    assert find({name: "0" * 64}) is None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((onnxruntime, "__version__"), "0.0.1"),
        ((onnxruntime, "get_build_info"), lambda: "another build"),
        ((cache.onnx, "__version__"), "0.0.1"),
        ((cache.np, "__version__"), "0.0.1"),
        ((cache.scipy, "__version__"), "0.0.1"),
        ((cache.sys, "version"), "4.0"),
        ((cache.platform, "machine"), lambda: "abacus"),
        ((cache, "cpu_identity"), lambda: {"model name": ["another"]}),
        ((cache, "_code"), lambda: "0" * 64),
        ((cache, "product_version"), lambda: "9.9"),
    ],
)
def test_nothing_is_found_of_another_runtime_machine_or_code(
    find: Find, monkeypatch: pytest.MonkeyPatch, place: tuple[Any, str], value: Any
) -> None:
    cache._surroundings.cache_clear()
    assert find() is not None
    cache._surroundings.cache_clear()
    monkeypatch.setattr(*place, value)
    assert find() is None


def test_the_code_is_that_of_every_room_that_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cache._code()
    shutil.copytree(Path(cache.audit.__path__[0]), tmp_path / "audit")
    monkeypatch.setattr(cache.audit, "__path__", [str(tmp_path / "audit")])
    assert cache._code() == before
    with (tmp_path / "audit" / "proof" / "proof.py").open("a") as file:
        file.write("#")
    assert cache._code() != before


def test_an_entry_under_anothers_name_is_none(
    opened: Callable[..., Cache], find: Find, digests: dict[str, str], tried: Tried, tmp_path: Path
) -> None:
    """As whoever may rename files in the folder could have a file be taken for another."""
    other = {"model.onnx": "0" * 64}
    opened().keep(digests | other, tried)
    one, two = entries(tmp_path / "cache")
    one.write_bytes(two.read_bytes())
    assert sum(each is None for each in (find(), find(other))) == 1


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other", "folder", "fifo"])
def test_a_broken_file_is_measured_anew_and_said(
    opened: Callable[..., Cache],
    find: Find,
    digests: dict[str, str],
    tried: Tried,
    tmp_path: Path,
    damage: str,
) -> None:
    (file,) = entries(tmp_path / "cache")
    whole = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage == "fifo":
        os.mkfifo(file, 0o600)
    else:
        broken = {"cut": whole[:-9], "empty": b"", "text": b"\xff\x00", "other": b"{}"}
        file.write_bytes(broken[damage])
    with capture_logs() as lines:
        assert find() is None
    assert [line["event"] for line in lines] == ["cache not read"]
    opened().keep(digests, tried)
    assert (find() is not None) == (damage != "folder")


@pytest.mark.parametrize("place", ["under a file", "read-only", "nowhere"])
def test_a_folder_that_cannot_be_written_is_no_error(
    settings: Callable[..., Settings],
    digests: dict[str, str],
    tried: Tried,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    (tmp_path / "file").write_text("")
    asked = {"cache": tmp_path / "file" / "cache"}
    if place == "read-only":  # which root would not notice
        asked = {"cache": tmp_path}

        def refused(*_: object, **__: object) -> None:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(cache, "write_aside", refused)
    elif place == "nowhere":
        asked = {"cache": None}  # type: ignore[dict-item]
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.delenv("ORBITSERVE_CACHE", raising=False)
        monkeypatch.setattr(Path, "home", lambda: tmp_path / "file")
    kept = Cache(settings(**asked), HERE)
    kept.keep(digests, tried)
    assert kept.find(digests) is None


def test_the_default_is_the_users_cache(
    settings: Callable[..., Settings],
    digests: dict[str, str],
    tried: Tried,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ORBITSERVE_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    for given, expected in (
        (str(tmp_path / "xdg"), tmp_path / "xdg"),
        ("here", tmp_path / "home" / ".cache"),  # only an absolute one counts
        ("", tmp_path / "home" / ".cache"),
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        Cache(settings(cache=None), HERE).keep(digests, tried)
        assert len(entries(expected / "orbitserve")) == 1
        shutil.rmtree(expected)


@pytest.mark.parametrize("mode", [0o770, 0o702])
@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_others_may_write_is_not_read(
    find: Find, tmp_path: Path, what: str, mode: int
) -> None:
    place = tmp_path / "cache"
    place = place if what == "folder" else entries(place)[0]
    place.chmod(mode)
    with capture_logs() as lines:
        assert find() is None
    assert "others may write it" in lines[0]["event"]


def test_what_another_user_made_is_not_read(find: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert find() is None


def test_with_a_signing_key_only_who_has_it_makes_entries(
    settings: Callable[..., Settings],
    digests: dict[str, str],
    tried: Tried,
    tmp_path: Path,
    ours: Any,
    theirs: Any,
) -> None:
    forged = tmp_path / "cache"
    with_key = settings(signing_key=ours.private)
    for maker in (settings(), settings(signing_key=theirs.private)):
        Cache(maker, HERE).keep(digests, tried)
        assert Cache(with_key, HERE).find(digests) is None
    Cache(with_key, HERE).keep(digests, tried)
    assert Cache(with_key, HERE).find(digests) is not None
    (file,) = entries(forged)
    changed = file.read_text().replace('"differences":[]', '"differences":["x"]')
    assert changed != file.read_text()
    file.write_text(changed)
    assert Cache(with_key, HERE).find(digests) is None


@pytest.mark.parametrize("why", ["off", "proof off", "device", "unproved", "refused"])
def test_some_things_are_never_kept(
    settings: Callable[..., Settings],
    digests: dict[str, str],
    tried: Tried,
    tmp_path: Path,
    why: str,
) -> None:
    assert tried.verification is not None
    options: dict[str, Any] = {"off": {"cache": "off"}, "proof off": {"proof": "off"}}.get(why, {})
    candidates = HERE
    if why == "device":
        candidates = ProviderCandidates((replace(CPU, memory=("cpu", 0)), CPU))
    elif why == "unproved":
        short = tried.verification.model_copy(update={"unproved": "It took too long."})
        tried = tried.model_copy(update={"verification": short})
    elif why == "refused":
        tried = Tried(refused="It crashed.")
    Cache(settings(**options), candidates).keep(digests, tried)
    assert not (tmp_path / "cache").exists()


def test_the_folder_does_not_grow_for_ever(
    settings: Callable[..., Settings],
    digests: dict[str, str],
    tried: Tried,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache, "_MOST_ENTRIES", 2)
    for number in range(4):
        Cache(settings(), HERE).keep(digests | {"card.json": f"{number:064}"}, tried)
        for place, file in enumerate(entries(tmp_path / "cache")):
            os.utime(file, (place, place) if number < 3 else None)
        left = tmp_path / "cache" / ".left.partial"
        left.touch()  # by a process that was killed
        os.utime(left, (0, 0))
    Cache(settings(), HERE).keep(digests, tried)
    assert len(entries(tmp_path / "cache")) == 2
    assert not left.exists()


def test_a_clock_that_was_set_back_lets_no_new_entry_go(
    settings: Callable[..., Settings],
    digests: dict[str, str],
    tried: Tried,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache, "_MOST_ENTRIES", 2)
    kept = Cache(settings(), HERE)
    for number in range(2):
        kept.keep(digests | {"card.json": f"{number:064}"}, tried)
    for file in entries(tmp_path / "cache"):
        os.utime(file, (time.time() + 7200,) * 2)
    kept.keep(digests, tried)
    assert kept.find(digests) is not None
    assert len(entries(tmp_path / "cache")) == 2


# --- loading with it ------------------------------------------------------------------------------


class _Counting:
    """Stands for the processes that try versions."""

    def __init__(self, tried: Tried) -> None:
        self._tried, self.asked, self.rested, self.placed = tried, 0, 0, 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        self.placed += 1
        yield

    async def attempt(self, folder: Path, candidates: ProviderCandidates) -> Tried:
        self.asked += 1
        return self._tried

    def rest(self) -> None:
        self.rested += 1


@pytest.fixture
def copied(repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(repository / "turning" / "2", tmp_path / "r" / "turning" / "2"))


@pytest.mark.anyio
async def test_a_version_that_came_out_well_is_not_tried_again(
    settings: Callable[..., Settings], copied: Path, tried: Tried
) -> None:
    answers = []
    for expected in (1, 0):
        trials = _Counting(tried)
        loader = Loader(settings(), HERE, trials)  # type: ignore[arg-type]
        model = await loader.load(copied)
        assert trials.asked == expected
        assert trials.rested == 1 - expected
        answers.append(model.session.logits(model.audit_set().images[:9]).tobytes())
        assert (model.verification.measured is None) == bool(expected)
        model.session.close()
    assert answers[0] == answers[1]


@pytest.mark.anyio
async def test_what_another_worker_tries_is_waited_for_and_found(
    settings: Callable[..., Settings], copied: Path, tried: Tried
) -> None:
    """The other worker holds the version, keeps how it came out, and lets go."""
    told, held = os.pipe(), os.pipe()
    of_two = settings(workers=2)
    digests = read_card(copied)[1]
    other = fork()
    if other == 0:
        cache = Cache(of_two, HERE)
        with cache.claimed(digests) as claimed:
            os.write(held[1], b"1" if claimed else b"0")
            os.read(told[0], 1)
            cache.keep(digests, tried)
        os._exit(0)
    assert os.read(held[0], 1) == b"1"
    with Cache(of_two, HERE).claimed(digests) as claimed:
        assert not claimed
    trials = _Counting(tried)
    loading = asyncio.create_task(Loader(of_two, HERE, trials).load(copied))  # type: ignore[arg-type]
    await until(lambda: trials.placed > 1)
    assert not loading.done()
    os.write(told[1], b"1")
    (await loading).session.close()
    assert trials.asked == 0
    assert (await asyncio.to_thread(os.waitpid, other, 0))[1] == 0


@pytest.mark.anyio
@pytest.mark.parametrize("change", ["model.onnx", "audit.npz", "card.json"])
async def test_what_is_another_now_is_tried(
    settings: Callable[..., Settings], copied: Path, tried: Tried, change: str
) -> None:
    first = _Counting(tried)
    (await Loader(settings(), HERE, first).load(copied)).session.close()  # type: ignore[arg-type]
    with (copied / change).open("ab") as opened:
        opened.write(b"\n")
    trials = _Counting(Tried(refused="It is another file."))
    loader = Loader(settings(), HERE, trials)  # type: ignore[arg-type]
    with pytest.raises(ModelRejectedError, match="another file"):
        await loader.load(copied)
    assert trials.asked == 1


@pytest.mark.anyio
async def test_a_version_runs_on_as_many_threads_as_it_was_tried_with(
    settings: Callable[..., Settings], copied: Path, tried: Tried
) -> None:
    """Whether its graph is quick, and runs on one, is not measured a second time."""
    for quick in (True, False):
        trials = _Counting(tried.model_copy(update={"quick": quick}))
        for _ in range(2):  # the second is opened by what is kept
            loader = Loader(settings(max_batch_size=64 + quick), HERE, trials)  # type: ignore[arg-type]
            model = await loader.load(copied)
            assert model.session.graph.quick is quick
            model.session.close()
        assert trials.asked == 1
