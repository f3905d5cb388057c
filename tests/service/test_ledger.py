"""What a ledger keeps is what was stored, in the order in which it was stored, or it says so."""

import hashlib
import json
import multiprocessing
import os
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from artifact.identity import ModelIdentity
from audit import Report, Thresholds, run_audit
from audit.canonical import canonical_json, circumstances_json, report_digest
from service.ledger import Ledger, LedgerError, open_ledger
from service.ledger.entry import read_entry
from service.ledger.store import MOST_REPORT, Store

MODEL = ModelIdentity(name="m", version=1, sha256="0" * 64, group="C4", precision="fp32")


def report(seed: int = 0, **changes: Any) -> Report:
    images = np.random.default_rng(seed).integers(0, 256, (3, 1, 4, 4), dtype=np.uint8)

    def classify(batch: Any) -> Any:
        grey = batch.mean(axis=(1, 2, 3), dtype=np.float32)
        return np.stack([grey, -grey], axis=1)

    return run_audit(
        classify,
        images,
        None,
        group="C4",
        thresholds=Thresholds(),
        model=MODEL.model_copy(update=changes),
        source=f"noise {seed}",
    )


def without_circumstances(whole: Report) -> Report:
    data = whole.data.model_copy(update={"source": "", "files": ()})
    return whole.model_copy(update={"data": data, "replay": None})


@pytest.fixture(params=["folder", "file url", "memory", "below a folder"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield {
        "folder": str(tmp_path / "new" / "ledger"),
        "file url": f"file://{tmp_path}/ledger",
        "memory": "memory://ledger",
        "below a folder": f"dir::file://{tmp_path}",
    }[request.param]
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(str(tmp_path))


def entries(ledger: Ledger) -> list[Any]:
    return list(ledger.page(500).entries)


def test_what_is_stored_is_the_canonical_json_under_its_digest(url: str) -> None:
    first, second = report(1), report(2)
    for each in (first, second):
        open_ledger(url).append(each)
    ledger = open_ledger(url)
    for each in (first, second):
        content = ledger.read(report_digest(each))
        assert content == canonical_json(each)
        assert hashlib.sha256(content).hexdigest() == report_digest(each)
        assert Report.model_validate_json(content) == without_circumstances(each)
        whole = ledger.read_whole(report_digest(each))
        assert whole is not None
        assert Report.model_validate_json(whole) == each
    assert ledger.read("0" * 64) is None
    page = ledger.page(10)
    assert [entry.report for entry in page.entries] == [report_digest(second), report_digest(first)]
    assert page.faults == ()


def test_a_file_system_without_empty_folders_will_do() -> None:
    """As S3 has none: a folder is there as soon as a file is."""
    ledger = open_ledger("memory://bucket")
    MemoryFileSystem().rm("/bucket", recursive=True)
    try:
        assert ledger.page(10).entries == ()
        assert ledger.append(report()).number == 1
        assert open_ledger("memory://bucket").append(report()).number == 2
    finally:
        MemoryFileSystem.store.clear()


def test_a_folder_that_vanished_is_no_empty_ledger(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "entries").rmdir()
    with pytest.raises(LedgerError, match="cannot be read"):
        ledger.page(10)
    with pytest.raises(LedgerError):
        ledger.append(report())


def test_in_a_folder_the_files_are_where_the_guide_says(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(report())
    digest = report_digest(report())
    assert (tmp_path / "reports" / f"{digest}.json").read_bytes() == canonical_json(report())
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json"))
    asked = hashlib.sha256(circumstances_json(report())).hexdigest()
    assert files == [
        f"circumstances/{asked}.json",
        "entries/0000000001.json",
        f"reports/{digest}.json",
    ]
    line = (tmp_path / "entries" / "0000000001.sha256").read_text()
    entry = (tmp_path / "entries" / "0000000001.json").read_bytes()
    assert line == f"{hashlib.sha256(entry).hexdigest()}  0000000001.json\n"
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_the_same_report_is_stored_once_and_listed_every_time(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.append(report())
    listed = entries(ledger)
    assert [entry.number for entry in listed] == [3, 2, 1]
    assert len({entry.report for entry in listed}) == 1
    assert listed[0].stored > listed[1].stored > listed[2].stored


def test_the_time_of_storing_is_not_the_reports(ledger: Ledger) -> None:
    entry = ledger.append(report())
    content = ledger.read(entry.report)
    assert content is not None
    assert str(entry.stored.year).encode() not in content
    assert entry.stored.utcoffset() is not None


# --- pages ------------------------------------------------------------------------------------


def test_pages_show_everything_once_newest_first(ledger: Ledger) -> None:
    for number in range(10):
        ledger.append(report(version=number + 1))
    seen, before = [], None
    while True:
        page = ledger.page(3, before)
        assert page.faults == ()
        seen += [entry.version for entry in page.entries]
        before = page.before
        if before is None:
            break
        assert len(page.entries) == 3
    assert seen == list(range(10, 0, -1))


@pytest.mark.slow
def test_a_page_holds_what_is_wanted_however_far_it_is(ledger: Ledger) -> None:
    for number in range(150):  # more than are read at a time
        ledger.append(report(name="rare" if number in (2, 140) else "common"))
    page = ledger.page(5, wanted=lambda entry: entry.model == "rare")
    assert [entry.number for entry in page.entries] == [141, 3]
    assert page.before is None


def test_a_page_has_an_end_though_nothing_is_found(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.ledger.ledger._LOOKED_AT", 4)
    for _ in range(10):
        ledger.append(report())
    looked, before, pages = [], None, 0
    while pages == 0 or before is not None:
        page = ledger.page(5, before, lambda entry: bool(looked.append(entry.number)))
        assert page.entries == ()
        before, pages = page.before, pages + 1
    assert pages > 1
    assert looked == list(range(10, 0, -1))


@pytest.mark.parametrize("before", [1, 2, 4, 5, 1000])
def test_a_page_can_begin_anywhere(ledger: Ledger, before: int) -> None:
    for _ in range(3):
        ledger.append(report())
    expected = [number for number in (3, 2, 1) if number < before]
    page = ledger.page(10, before)
    assert [entry.number for entry in page.entries] == expected
    assert page.before is None
    assert page.head == ledger.page(10).head


def test_an_empty_ledger_has_an_empty_page(ledger: Ledger) -> None:
    page = ledger.page(10)
    assert (page.entries, page.head, page.before, page.faults) == ((), None, None, ())


# --- what was done to it ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:-1],
        lambda content: content.replace(b"INCONCLUSIVE", b"PASS"),
        lambda content: b"",
        lambda content: content + b" ",
    ],
    ids=["cut", "another verdict", "emptied", "a space"],
)
def test_a_report_that_was_changed_is_never_shown(
    ledger: Ledger, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    entry = ledger.append(report())
    file = tmp_path / "reports" / f"{entry.report}.json"
    assert change(file.read_bytes()) != file.read_bytes()
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(LedgerError, match="was changed after it was stored"):
        ledger.read(entry.report)
    with pytest.raises(LedgerError, match="was changed"):
        ledger.append(report())
    assert len(entries(ledger)) == 1


def fill(ledger: Ledger) -> None:
    for number in range(5):
        ledger.append(report(version=number + 1))


def entry_file(folder: Path, number: int) -> Path:
    return folder / "entries" / f"{number:010}.json"


def seal_file(folder: Path, number: int) -> Path:
    return folder / "entries" / f"{number:010}.sha256"


def test_an_entry_that_was_changed_is_noticed(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger)
    file = entry_file(tmp_path, 2)
    file.write_bytes(file.read_bytes().replace(b'"INCONCLUSIVE"', b'"PASS"'))
    broken = "Entry 2 is not the one that entry 3 was written behind."
    told = "Entry 2 is not what it was: it does not say what its report says."
    assert ledger.page(10).faults == (broken, told)
    # Also where a page ends just before it.
    assert ledger.page(10, before=3).faults == (broken, told)


def test_a_file_that_is_none_of_its_own_is_left_alone(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger)
    for name in ("README.txt", "7.json", "x.json", ".0000000009.json"):
        (tmp_path / "entries" / name).write_text("other")
    assert ledger.append(report()).number == 6


def test_what_a_killed_writer_left_is_removed_once_nobody_can_be_writing_it(
    tmp_path: Path,
) -> None:
    ledger = open_ledger(str(tmp_path))
    fill(ledger)
    whole = sorted(tmp_path.rglob("*"))
    for folder in ("entries", "reports", "circumstances"):
        left, fresh = (tmp_path / folder / name for name in (".old1.partial", ".new1.partial"))
        for file in (left, fresh):
            file.write_text("{")
        os.utime(left, (0, 0))
        whole.append(fresh)
    open_ledger(str(tmp_path), make=False)  # which only reads
    assert len(list(tmp_path.rglob(".old1.partial"))) == 3
    open_ledger(str(tmp_path))
    assert sorted(tmp_path.rglob("*")) == sorted(whole)
    assert ledger.page(10).faults == ()


# --- several that append ----------------------------------------------------------------------


def append_some(folder: str, start: Any, version: int) -> None:
    ledger = open_ledger(folder)
    start.wait(30)
    for _ in range(8):
        ledger.append(report(version=version))


@pytest.mark.slow
def test_processes_that_append_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    workers = [
        context.Process(target=append_some, args=(str(tmp_path), start, version))
        for version in (1, 2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    page = open_ledger(str(tmp_path)).page(500)
    assert [entry.number for entry in page.entries] == list(range(16, 0, -1))
    assert sorted(entry.version for entry in page.entries) == [1] * 8 + [2] * 8
    assert page.faults == ()


def test_an_entry_whose_writing_was_repeated_is_there_once(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try was well, and its answer was lost: the second one finds a file."""
    create = Store.create

    def repeated(store: Store, name: str, content: bytes) -> bool:
        create(store, name, content)
        return create(store, name, content)

    ledger = open_ledger(url)
    ledger.append(report(1))
    monkeypatch.setattr(Store, "create", repeated)
    assert ledger.append(report(2)).number == 2
    page = ledger.page(10)
    assert ([entry.number for entry in page.entries], page.faults) == ([2, 1], ())


def test_threads_that_append_at_once_lose_nothing(url: str) -> None:
    if url.startswith("dir"):
        pytest.skip("a file system that cannot refuse to overwrite; the guide says so")
    ledgers = [open_ledger(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda ledger: [ledger.append(report()) for _ in range(6)], ledgers))
    page = ledgers[0].page(500)
    assert len(page.entries) == 24
    assert page.faults == ()


@pytest.mark.parametrize(("url", "most"), [("{}", 2**24), ("dir::file://{}", 2**28 + 2**26)])
def test_files_that_nobody_stored_take_no_memory(tmp_path: Path, url: str, most: int) -> None:
    """Files with a hole take no disk: a page of entries of 1 GiB took 64 at once."""
    ledger = open_ledger(url.format(tmp_path))
    stored = [ledger.append(report(seed=i)) for i in range(2)]
    (entry,) = tmp_path.rglob("0000000001.json")
    (kept,) = tmp_path.rglob(f"{stored[1].report}.json")
    os.truncate(entry, 2**29)
    os.truncate(kept, 2**30)
    tracemalloc.start()
    faults = ledger.page(500).faults
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < most
    assert faults == (
        "Entry 1 cannot be read.",
        f"The report of entry 2 was changed: {stored[1].report}.",
    )


def test_a_large_report_that_lies_elsewhere_is_read_whole(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.ledger.store._REPORTS_AT_ONCE", MOST_REPORT // 100)
    ledger = open_ledger(url)
    for seed in (1, 2, 1):
        ledger.append(report(seed))
    assert ledger.page(500).faults == ()


def test_an_empty_file_is_no_entry(url: str) -> None:
    ledger = open_ledger(url)
    ledger.append(report())
    Store(url).create("entries/0000000002.json", b"")
    assert ledger.page(500).faults == ("Entry 2 cannot be read.",)


def test_a_name_of_a_ledger_is_no_pattern(tmp_path: Path) -> None:
    ledger = open_ledger(f"dir::file://{tmp_path}/a[1]*")
    ledger.append(report())
    assert [entry.number for entry in ledger.page(500).entries] == [1]


# --- where it cannot be -----------------------------------------------------------------------


def test_a_ledger_that_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"cannot be opened: Protocol not known: nowhere\.$"):
        open_ledger("nowhere://bucket")
    (tmp_path / "file").write_text("a file, no folder")
    with pytest.raises(LedgerError, match=r"cannot be written \(Not a directory\)"):
        open_ledger(str(tmp_path / "file"))


@pytest.mark.parametrize("chain", ["simplecache::", "filecache::", "dir::simplecache::"])
def test_a_cache_takes_no_entry_and_shows_none(tmp_path: Path, chain: str) -> None:
    """It wrote over an entry that another writer had just added, and showed old copies."""
    for make in (True, False):
        with pytest.raises(LedgerError, match=r"through (simple|file)cache: .* URL behind it"):
            open_ledger(f"{chain}file://{tmp_path}", make=make)
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_replaces_files_takes_no_entry() -> None:
    with pytest.raises(LedgerError, match="kept by http, which replaces files"):
        open_ledger("http://127.0.0.1:1/ledger")


def test_a_ledger_that_fails_does_not_tell_its_address(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("imaging.writing.os.link", full)
    with pytest.raises(LedgerError) as refused:
        ledger.append(report())
    assert str(tmp_path) not in str(refused.value)
    monkeypatch.undo()
    assert entries(ledger) == []
    assert not list((tmp_path / "reports").iterdir())


def test_moments_are_those_of_utc(ledger: Ledger) -> None:
    document = json.loads(ledger.append(report()).to_bytes())
    for stored, shown in (
        ("2026-01-01T01:30:00+02:00", "2025-12-31T23:30:00+00:00"),
        ("0001-01-01T00:00:00+02:00", None),  # before the first year of UTC
    ):
        entry = read_entry(json.dumps(document | {"stored": stored}).encode())
        assert (entry and entry.stored.isoformat()) == shown
