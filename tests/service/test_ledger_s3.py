"""The ledger in an object store: S3 as moto plays it, over HTTP on this machine."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from audit.canonical import canonical_json
from service.ledger import LedgerError, TamperedError, check_ledger, open_ledger
from tests.service.test_ledger import report

pytestmark = pytest.mark.slow

URL = "s3://audits/ledger"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    moto = pytest.importorskip("moto.server", reason="moto is not installed with Flask")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import fsspec
    import s3fs

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anybody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": endpoint})
    store = s3fs.S3FileSystem(skip_instance_cache=True)
    store.mkdir("audits")
    yield store
    store.rm("audits", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


def test_writers_that_come_at_once_lose_nothing(bucket: Any) -> None:
    def append(version: int) -> None:
        ledger = open_ledger(URL)
        for _ in range(3):
            ledger.append(report(version=version))

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(append, (1, 2, 3)))
    page = open_ledger(URL).page(100)
    assert [entry.number for entry in page.entries] == list(range(9, 0, -1))
    assert sorted(entry.version for entry in page.entries) == sorted([1, 2, 3] * 3)
    assert page.faults == ()
    kept = bucket.cat_file(f"audits/ledger/reports/{page.entries[0].report}.json")
    assert hashlib.sha256(kept).hexdigest() == page.entries[0].report


def test_nothing_is_written_over(bucket: Any) -> None:
    ledger = open_ledger(URL)
    entry = ledger.append(report())
    before = bucket.cat_file("audits/ledger/entries/0000000001.json")
    assert not ledger._store.create("entries/0000000001.json", b"another")
    bucket.invalidate_cache()
    assert bucket.cat_file("audits/ledger/entries/0000000001.json") == before
    assert ledger.read(entry.report) == canonical_json(report())
    assert ledger.read("0" * 64) is None


def test_what_was_done_to_it_is_noticed(bucket: Any) -> None:
    ledger = open_ledger(URL)
    for _ in range(3):
        entry = ledger.append(report())
    bucket.pipe_file(f"audits/ledger/reports/{entry.report}.json", b"another")
    bucket.rm_file("audits/ledger/entries/0000000002.json")
    with pytest.raises(TamperedError):
        ledger.read(entry.report)
    assert ledger.page(10).faults == (
        "Entry 2 is missing.",
        f"The report of entry 3 was changed: {entry.report}.",
        f"The report of entry 1 was changed: {entry.report}.",
    )
    assert check_ledger(ledger).faults == ledger.page(10).faults


def test_an_empty_object_is_no_entry(bucket: Any) -> None:
    """A range of one is refused."""
    ledger = open_ledger(URL)
    ledger.append(report())
    bucket.pipe_file("audits/ledger/entries/0000000002.json", b"")
    assert ledger.page(100).faults == ("Entry 2 cannot be read.",)


def test_a_bucket_that_is_not_there_takes_no_report(bucket: Any) -> None:
    with pytest.raises(LedgerError, match="cannot be written"):
        open_ledger("s3://nobody-owns-this/ledger").append(report())
