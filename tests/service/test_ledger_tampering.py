"""Whatever is done to a ledger's files is found and named, or is listed here as what cannot be."""

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from threading import Event, Thread, current_thread
from typing import Any

import pytest

pytest.importorskip("model_signing", reason="the extra `signing` is not installed")

from audit import Report
from audit.canonical import canonical_json, document_digest, report_digest
from audit.render import render
from service.ledger import Check, Ledger, LedgerError, TamperedError, check_ledger, open_ledger
from service.ledger.entry import Entry, seal
from service.ledger.store import Store
from service.signatures import open_signer
from service.signatures.keys import trust_key
from tests.service.signing import Key
from tests.service.test_ledger import entry_file, report, seal_file

pytestmark = pytest.mark.slow

OLD = Path(__file__).parent / "data" / "ledger-4"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is being sealed here, nor named."""
    monkeypatch.setattr("service.ledger.ledger._SEALING", 0.0)
    monkeypatch.setattr("service.ledger.check._NAMING", 0.0)


def filled(folder: Path, count: int, signer: Any = None) -> Path:
    ledger = open_ledger(str(folder), signer)
    for number in range(1, count + 1):
        ledger.append(report(seed=number, version=number))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return filled(tmp_path / "ledger", 3)


def check(folder: Path, **options: Any) -> Check:
    return check_ledger(open_ledger(str(folder), make=False), **options)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def listed(folder: Path) -> tuple[str, ...]:
    return open_ledger(str(folder), make=False).page(10).faults


def entry_of(folder: Path, number: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(entry_file(folder, number).read_bytes())
    return found


def names_of(folder: Path, path: Path) -> set[str]:
    """What a fault of a file may be called by: the number of an entry that names it, its digest."""
    if path.parent.name == "entries":
        return {str(int(path.name.partition(".")[0]))}
    numbers = (int(each.stem) for each in (folder / "entries").glob("*.json"))
    by = {str(n) for n in numbers if path.stem in entry_file(folder, n).read_text()}
    return by | {path.stem}


def assert_named(faults: tuple[str, ...], names: set[str]) -> None:
    assert faults
    words = {word.strip(".,:") for fault in faults for word in fault.split()}
    assert words & names, faults


# --- what is whole ----------------------------------------------------------------------------


def test_a_ledger_that_nobody_touched_is_whole(folder: Path) -> None:
    found = check(folder)
    assert (found.entries, found.faults, listed(folder)) == (3, (), ())
    newest = hashlib.sha256(entry_file(folder, 3).read_bytes()).hexdigest()
    assert found.head == newest == open_ledger(str(folder)).page(1).head
    for number in (1, 2, 3):
        held = hashlib.sha256(entry_file(folder, number).read_bytes()).hexdigest()
        assert check(folder, held=held).faults == ()


def test_checking_makes_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be read"):
        check(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_what_an_entry_says_of_how_it_was_asked_for_changes_no_evidence(tmp_path: Path) -> None:
    """Files of any content may be named by an entry that nobody signed."""
    made = report()
    evidence, digest = canonical_json(made), report_digest(made)
    deep = b'{"a":' + b"[" * 9999 + b"]" * 9999 + b"}"
    for number, asked in enumerate((b'{"verdict":"FAIL"}', b'{"data":1}', b"[1]", b"\xff", deep)):
        folder = tmp_path / str(number)
        ledger = open_ledger(str(folder))
        named = (digest, hashlib.sha256(asked).hexdigest())
        (folder / "reports" / f"{digest}.json").write_bytes(evidence)
        (folder / "circumstances" / f"{named[1]}.json").write_bytes(asked)
        entry_file(folder, 1).write_bytes(Entry.of(made, named, None, None).to_bytes())
        whole = ledger.read_whole(digest)
        assert whole is not None
        assert Report.model_validate_json(whole) == Report.model_validate_json(evidence)


def test_an_entry_that_has_a_name_twice_cannot_be_read(folder: Path) -> None:
    newest = entry_file(folder, 3)
    content = newest.read_bytes()
    changed = content.replace(b'"verdict":', b'"verdict":"INCONCLUSIVE","verdict":', 1)
    newest.write_bytes(changed)
    seal_file(folder, 3).write_bytes(seal(3, hashlib.sha256(changed).hexdigest()))
    assert check(folder).faults[0] == "Entry 3 cannot be read."


# --- one file ---------------------------------------------------------------------------------


def test_every_single_byte_of_every_file_counts(tmp_path: Path) -> None:
    """Of a ledger of two: all of the newest entry, which nothing follows, and of all others.

    Of reports, whose bytes are told apart by a digest of the whole alone, every sixteenth.
    """
    folder = filled(tmp_path / "ledger", 2)
    for path in files(folder):
        whole = path.read_bytes()
        names = names_of(folder, path)
        for at in range(0, len(whole), 16 if path.parent.name == "reports" else 1):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            assert_named(listed(folder), names)
        assert_named(check(folder).faults, names)
        path.write_bytes(whole)
    assert check(folder).faults == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: None,
        lambda whole: b"",
        lambda whole: whole[:-1],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole + b"\n",
        lambda whole: whole + b" ",
        lambda whole: b"\xff" * 9,
        lambda whole: b"{}",
    ],
    ids=["deleted", "emptied", "cut", "halved", "a line", "a space", "no text", "no entry"],
)
def test_every_file_that_is_deleted_or_cut_is_named(
    folder: Path, change: Callable[[bytes], bytes | None]
) -> None:
    for path in files(folder):
        whole, names = path.read_bytes(), names_of(folder, path)
        changed = change(whole)
        path.unlink() if changed is None else path.write_bytes(changed)
        assert_named(listed(folder), names)
        assert_named(check(folder).faults, names)
        path.write_bytes(whole)
    assert check(folder).faults == ()


@pytest.mark.timeout(30)  # a FIFO is waited for in vain
@pytest.mark.parametrize(
    "make",
    [
        *(os.mkfifo, Path.mkdir),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path),
    ],
    ids=["fifo", "folder", "endless device", "link to itself"],
)
def test_what_is_no_file_is_named_as_one_that_was_changed(
    folder: Path, make: Callable[[Path], object]
) -> None:
    for path in files(folder):
        kept, names = path.read_bytes(), names_of(folder, path)
        path.unlink()
        make(path)
        assert_named(listed(folder), names)
        assert_named(check(folder).faults, names)
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        path.write_bytes(kept)
    assert check(folder).faults == ()


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00", "2026-11-29T12:00:00"])
def test_an_entry_whose_clock_names_no_moment_is_named(folder: Path, when: str) -> None:
    """Without its seal it would be asked how old it is."""
    newest = entry_file(folder, 3)
    newest.write_text(json.dumps({**entry_of(folder, 3), "stored": when}))
    seal_file(folder, 3).unlink()
    assert listed(folder) == ("Entry 3 cannot be read.",)
    assert "Entry 3 cannot be read." in check(folder).faults


def test_a_report_that_is_nested_without_end_is_read_by_nobody(folder: Path) -> None:
    nested = b'{"x":' * 5000 + b"0" + b"}" * 5000
    digest = hashlib.sha256(nested).hexdigest()
    (folder / "reports" / f"{digest}.json").write_bytes(nested)
    newest = entry_file(folder, 3)
    newest.write_text(json.dumps({**entry_of(folder, 3), "report": digest}))
    was_sealed = "Entry 3 is not the one that was sealed: it or its seal was changed."
    assert was_sealed in listed(folder)
    assert was_sealed in check(folder).faults


def test_every_two_files_that_are_exchanged_are_named(folder: Path) -> None:
    for one, other in itertools.combinations(files(folder), 2):
        first, second = one.read_bytes(), other.read_bytes()
        names = names_of(folder, one) | names_of(folder, other)
        one.write_bytes(second)
        other.write_bytes(first)
        assert_named(listed(folder), names)
        assert_named(check(folder).faults, names)
        one.write_bytes(first)
        other.write_bytes(second)


def test_other_entries_and_reports_remain_readable(folder: Path) -> None:
    newest = entry_file(folder, 3)
    newest.write_bytes(newest.read_bytes().replace(b'"INCONCLUSIVE"', b'"PASS"'))
    (folder / "reports" / f"{report_digest(report(seed=2, version=2))}.json").unlink()
    ledger = open_ledger(str(folder))
    page = ledger.page(10)
    assert [entry.number for entry in page.entries] == [3, 2, 1]
    assert page.faults == (
        "Entry 3 is not the one that was sealed: it or its seal was changed.",
        "Entry 3 is not what it was: it does not say what its report says.",
        f"The report of entry 2 is missing: {page.entries[1].report}.",
    )
    assert ledger.read(page.entries[2].report) is not None
    with pytest.raises(TamperedError, match="was stored as entry 2, and was taken out"):
        ledger.read(page.entries[1].report)


def test_the_newest_entry_is_looked_at_on_every_page(folder: Path) -> None:
    seal_file(folder, 3).unlink()
    ledger = open_ledger(str(folder))
    assert ledger.page(10, before=2).faults == ("The seal of entry 3 is missing.",)


def test_a_ledger_goes_on_behind_what_was_done_to_it(folder: Path) -> None:
    """Its numbers too: what was taken out stays missing."""
    entry_file(folder, 3).unlink()
    assert open_ledger(str(folder)).append(report(seed=4)).number == 4
    assert listed(folder) == ("Entry 3 is missing.",)
    assert check(folder).faults[0] == "Entry 3 is missing."


@pytest.mark.parametrize("content", [b"", b"no digest\n"])
@pytest.mark.parametrize("number", [3, 7, 9_999_999_999])
def test_a_seal_that_is_none_stops_no_writer(folder: Path, number: int, content: bytes) -> None:
    """Nothing was appended any more: what lies there was no entry's digest, and no entry's."""
    entry_file(folder, number).unlink(missing_ok=True)
    seal_file(folder, number).write_bytes(content)
    appended = [open_ledger(str(folder)).append(report(seed=n)).number for n in (4, 5)]
    assert appended == [number + 1, number + 2]
    assert f"Entry {number} is missing." in check(folder).faults
    assert not any(f"ntry {each}" in fault for fault in check(folder).faults for each in appended)


@pytest.mark.parametrize("digits", [16, 19, 20, 248, 250])
def test_a_file_of_a_number_that_no_entry_has_stops_nobody(folder: Path, digits: int) -> None:
    """The name of the entry after it was too long, so that nothing was appended any more."""
    (folder / "entries" / f"{'9' * digits}.json").write_bytes(b"{}")
    ledger = open_ledger(str(folder))
    assert [ledger.append(report(seed=n)).number for n in (4, 5)] == [4, 5]
    assert ledger.page(10).faults == check(folder).faults == ()


def test_after_the_greatest_number_nothing_is_said_to_be_stored(folder: Path) -> None:
    entry_file(folder, 10**15 - 2).write_bytes(b"{}")
    ledger = open_ledger(str(folder))
    assert ledger.append(report(seed=4)).number == 10**15 - 1
    assert ledger.newest() == 10**15 - 1
    for _ in range(2):
        with pytest.raises(LedgerError, match=r"entry 9{15}, after which there is no number\.$"):
            ledger.append(report(seed=5))


@pytest.mark.timeout(60)
def test_a_file_of_a_great_number_does_not_keep_whoever_checks(folder: Path) -> None:
    """One empty file, and every number below it was looked for: for ever, or until memory ends."""
    entry_file(folder, 9_999_999_999).touch()
    entry_file(folder, 5_000_000).touch()
    faults = check(folder).faults
    assert "The entries 5000001 to 9999999998 are missing." in faults
    assert "The entries 4 to 4999999 are missing." in faults
    assert len(faults) == 4
    # Nor whoever lists it, a page behind the other, as a model's history does.
    ledger, before, listed_faults = open_ledger(str(folder)), None, dict[str, None]()
    numbers, pages = list[int](), 0
    while pages == 0 or before is not None:
        page = ledger.page(1, before)
        numbers += [entry.number for entry in page.entries]
        listed_faults |= dict.fromkeys(page.faults)
        before, pages = page.before, pages + 1
    assert numbers == [3, 2, 1]
    assert tuple(listed_faults) == faults
    assert ledger.read_whole(report_digest(report(seed=1, version=1))) is not None
    shutil.rmtree(folder / "entries")
    (folder / "entries").mkdir()
    entry_file(folder, 100).touch()
    assert "The entries 1 to 99 are missing." in check(folder).faults
    assert "The entries 1 to 99 are missing." in open_ledger(str(folder)).page(1).faults


def test_what_is_missing_at_the_end_of_a_page_is_told_on_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = filled(tmp_path / "ledger", 7)
    for number in (2, 3, 4, 5):
        entry_file(folder, number).unlink()
        seal_file(folder, number).unlink()
    monkeypatch.setattr("service.ledger.ledger._LOOKED_AT", 2)
    ledger, before, faults = open_ledger(str(folder)), None, set[str]()
    for _ in range(3):
        page = ledger.page(10, before)
        faults |= {*page.faults}
        before = page.before
    assert before is None
    assert faults == {f"Entry {number} is missing." for number in (2, 3, 4, 5)}


def test_a_folder_that_was_taken_away_takes_every_report(folder: Path) -> None:
    shutil.rmtree(folder / "reports")
    shutil.rmtree(folder / "circumstances")
    assert sum("is missing" in fault for fault in check(folder).faults) == 6


# --- several files ----------------------------------------------------------------------------


def of_entry(folder: Path, number: int) -> frozenset[Path]:
    """All files that an entry brought into the ledger."""
    entry = entry_of(folder, number)
    return frozenset(
        [
            entry_file(folder, number),
            seal_file(folder, number),
            folder / "reports" / f"{entry['report']}.json",
            folder / "circumstances" / f"{entry['circumstances']}.json",
        ]
    )


def test_of_all_ways_to_delete_files_only_a_clean_cut_is_not_found_and_a_head_finds_it(
    tmp_path: Path,
) -> None:
    folder = filled(tmp_path / "ledger", 2)
    everything = files(folder)
    assert len(everything) == 8
    head, clean = check(folder).head, of_entry(folder, 2)
    for size in range(1, 9):
        for some in itertools.combinations(everything, size):
            kept = {path: path.read_bytes() for path in some}
            for path in some:
                path.unlink()
            assert bool(check(folder).faults) == (frozenset(some) != clean), some
            assert check(folder, held=head).faults
            for path, content in kept.items():
                path.write_bytes(content)
    assert check(folder, held=head).faults == ()


def rewritten(folder: Path, number: int, **changes: Any) -> None:
    """Change an entry and its seal, and all that follows, so that everything fits again."""
    before = None
    for each in itertools.count(1):
        file = entry_file(folder, each)
        if not file.exists():
            return
        entry = entry_of(folder, each)
        if each >= number:
            entry |= changes if each == number else {}
            entry["previous"] = before
            file.write_text(json.dumps(entry, separators=(",", ":")))
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            seal_file(folder, each).write_bytes(seal(each, digest))
        before = hashlib.sha256(file.read_bytes()).hexdigest()


LATER = {"stored": "2020-01-01T00:00:00Z"}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_chain_that_was_written_anew_is_found_by_who_holds_a_head(
    folder: Path, number: int
) -> None:
    head = check(folder).head
    rewritten(folder, number, **LATER)
    assert check(folder).faults == ()  # as the guide says
    (fault,) = check(folder, held=head).faults
    assert fault.startswith(f"No entry has the digest {head} any more")


@pytest.mark.parametrize(
    "changes", [{"verdict": "PASS"}, {"model": "n"}, {"version": 9}, {"group": "D4"}]
)
def test_an_entry_cannot_say_what_its_report_does_not(folder: Path, changes: Any) -> None:
    rewritten(folder, 3, **changes)
    told = "Entry 3 is not what it was: it does not say what its report says."
    assert check(folder).faults == listed(folder) == (told,)


def test_a_head_of_an_earlier_time_stays_good_as_the_ledger_grows(folder: Path) -> None:
    head = check(folder).head
    open_ledger(str(folder)).append(report(seed=9))
    assert check(folder, held=head).faults == ()
    assert check(folder, held="0" * 64).faults


# --- signatures -------------------------------------------------------------------------------


@pytest.fixture
def signed(tmp_path: Path, ours: Key) -> Path:
    return filled(tmp_path / "signed", 3, open_signer(ours.private))


def test_a_signed_ledger_is_whole_to_who_knows_the_key(
    signed: Path, ours: Key, theirs: Key
) -> None:
    found = check(signed, trust=trust_key(ours.public))
    assert (found.entries, found.signed, found.faults) == (3, 3, ())
    faults = check(signed, trust=trust_key(theirs.public)).faults
    assert [fault.partition(":")[0] for fault in faults] == [
        f"The signature of entry {number} does not verify" for number in (3, 2, 1)
    ]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_signed_chain_cannot_be_written_anew(signed: Path, ours: Key, number: int) -> None:
    rewritten(signed, number, **LATER)
    trust = trust_key(ours.public)
    faults = check(signed, trust=trust).faults
    assert any(f"signature of entry {number} does not verify" in fault for fault in faults)
    page = open_ledger(str(signed), trust=trust).page(10)
    assert page.faults == faults
    assert len(page.entries) == 3


def test_a_signature_that_was_taken_off_is_missed(signed: Path, ours: Key, theirs: Key) -> None:
    trust = trust_key(ours.public)
    rewritten(signed, 3, signature=None)
    assert "Entry 3 is not signed, though entry 2 is." in listed(signed)
    assert "The newest entry is not signed." in check(signed, trust=trust).faults
    for number in (2, 1):
        rewritten(signed, number, signature=None)
    assert check(signed).faults == ()
    assert check(signed, trust=trust).faults == ("The newest entry is not signed.",)


def test_an_entry_by_another_key_is_named(signed: Path, ours: Key, theirs: Key) -> None:
    open_ledger(str(signed), open_signer(theirs.private)).append(report(seed=4))
    (fault,) = check(signed, trust=trust_key(ours.public)).faults
    assert fault.startswith("The signature of entry 4 does not verify: It is not signed by the key")


def test_a_signature_that_begins_later_covers_what_was_before(folder: Path, ours: Key) -> None:
    trust = trust_key(ours.public)
    open_ledger(str(folder), open_signer(ours.private)).append(report(seed=4))
    found = check(folder, trust=trust)
    assert (found.signed, found.faults) == (1, ())
    rewritten(folder, 2, **LATER)
    assert check(folder, trust=trust).faults


def test_every_byte_of_a_signed_entry_counts(tmp_path: Path, ours: Key) -> None:
    folder = filled(tmp_path / "ledger", 1, open_signer(ours.private))
    path = entry_file(folder, 1)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert listed(folder)


# --- mutants ----------------------------------------------------------------------------------


def newest_changed(folder: Path) -> None:
    entry = entry_file(folder, 3)
    entry.write_bytes(entry.read_bytes().replace(b'"stored":"20', b'"stored":"19'))


def report_deleted(folder: Path) -> None:
    (folder / "reports" / f"{entry_of(folder, 1)['report']}.json").unlink()


MUTANTS = {
    "seals are not looked at": ("service.ledger.chain.ChainChecker._wrong_seal", newest_changed),
    "reports are not looked at": ("service.ledger.ledger.Ledger.wrong_contents", report_deleted),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_ledger_that_looks_at_less_would_be_noticed(
    folder: Path, mutant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, harm = MUTANTS[mutant]
    harm(folder)
    assert listed(folder)
    monkeypatch.setattr(place, lambda *arguments: iter(()))
    assert listed(folder) == ()


# --- while it is written ----------------------------------------------------------------------


def test_a_seal_that_is_on_its_way_is_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.ledger.ledger._SEALING", 60.0)
    line = seal_file(folder, 3).read_bytes()
    seal_file(folder, 3).unlink()
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            seal_file(folder, 3).write_bytes(line)

    monkeypatch.setattr("service.ledger.ledger.time.sleep", sleep)
    assert listed(folder) == ()
    assert len(looks) == 3


def test_it_is_waited_for_whatever_clock_its_writer_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2001, 2, 3, tzinfo=tz)

    monkeypatch.setattr("service.ledger.entry.datetime", Late)
    test_a_seal_that_is_on_its_way_is_waited_for(filled(tmp_path, 3), monkeypatch)


def test_a_seal_that_was_taken_is_waited_for_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.ledger.ledger._SEALING", 0.2)
    seal_file(folder, 2).unlink()
    ledger, looks = open_ledger(str(folder)), list[float]()
    monkeypatch.setattr("service.ledger.ledger.time.sleep", looks.append)
    faults = ("The seal of entry 2 is missing.",)
    assert ledger.page(10).faults == faults
    first = len(looks)
    assert ledger.page(10).faults == faults
    assert 0 < first == len(looks)


def test_an_entry_whose_writer_was_killed_is_sealed_by_the_next_one(folder: Path) -> None:
    """A ledger that nobody touched was not whole for ever."""
    line = seal_file(folder, 3).read_bytes()
    seal_file(folder, 3).unlink()
    assert listed(folder) == ("The seal of entry 3 is missing.",)
    open_ledger(str(folder)).append(report(seed=4))
    assert seal_file(folder, 3).read_bytes() == line
    assert check(folder).faults == ()


def test_also_where_the_next_one_is_killed_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Store.create

    def killed(store: Store, name: str, content: bytes) -> bool:
        if name == "entries/0000000004.sha256":
            raise KeyboardInterrupt
        return create(store, name, content)

    seal_file(folder, 3).unlink()
    with monkeypatch.context() as patched:
        patched.setattr(Store, "create", killed)
        with pytest.raises(KeyboardInterrupt):
            open_ledger(str(folder)).append(report(seed=4))
    assert check(folder).faults == ("The seal of entry 4 is missing.",)
    open_ledger(str(folder)).append(report(seed=5))
    assert check(folder).faults == ()


@pytest.mark.parametrize("changed", ["entry", "report", "before"])
def test_one_with_which_more_is_wrong_is_not(folder: Path, changed: str) -> None:
    entry = entry_of(folder, 3)
    seal_file(folder, 3).unlink()
    if changed == "entry":
        entry_file(folder, 3).write_text(json.dumps({**entry, "model": "another"}))
    elif changed == "report":
        (folder / "reports" / f"{entry['report']}.json").unlink()
    else:
        entry_file(folder, 3).write_text(json.dumps({**entry, "previous": "0" * 64}))
    open_ledger(str(folder)).append(report(seed=4))
    assert "The seal of entry 3 is missing." in check(folder).faults


@pytest.mark.parametrize("place", ["create", "names"])
def test_what_is_stored_while_a_ledger_is_checked_is_no_fault(
    folder: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its report is there before its entry is, however long that takes."""
    monkeypatch.setattr("service.ledger.check._NAMING", 60.0)
    whole, own = open_ledger(str(folder)), getattr(Store, place)
    begun, goes_on = Event(), Event()

    def late(store: Store, name: str, *rest: Any, **options: Any) -> Any:
        if current_thread() is writer and name.startswith("entries"):
            begun.set()
            goes_on.wait(30)
        return own(store, name, *rest, **options)

    def sleep(seconds: float) -> None:
        goes_on.set()
        writer.join(30)

    writer = Thread(target=whole.append, args=(report(seed=9),))
    monkeypatch.setattr(Store, place, late)
    monkeypatch.setattr("service.ledger.check.time.sleep", sleep)
    writer.start()
    assert begun.wait(30)
    assert check(folder).faults == ()
    assert goes_on.is_set()


# --- ledgers of before ------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Two entries by the program before entries had seals: reports of schema 4, with `replay`."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def old_reports(ledger: Ledger) -> Iterator[tuple[str, bytes]]:
    for entry in ledger.page(10).entries:
        content = ledger.read(entry.report)
        assert content is not None
        yield entry.report, content


def test_reports_of_before_keep_their_digests_and_forms(old: Path) -> None:
    assert check(old).faults == ()
    for digest, content in old_reports(open_ledger(str(old))):
        assert hashlib.sha256(content).hexdigest() == digest == document_digest(json.loads(content))
        read = Report.model_validate_json(content)
        assert (read.schema_version, report_digest(read)) == (4, digest)
        assert read.replay is not None
        assert digest.encode() in render(read, "html")


def test_a_ledger_of_before_goes_on_and_is_sealed_from_then_on(old: Path, ours: Key) -> None:
    assert check(old).faults == listed(old) == ()
    open_ledger(str(old), open_signer(ours.private)).append(report(seed=3))
    found = check(old, trust=trust_key(ours.public))
    assert (found.entries, found.faults) == (3, ())
    entry = entry_file(old, 2)
    entry.write_bytes(entry.read_bytes().replace(b'"stored":"20', b'"stored":"19'))
    assert listed(old) == ("Entry 2 is not the one that entry 3 was written behind.",)


def test_a_new_entry_cannot_pass_for_one_of_before(folder: Path) -> None:
    entry = entry_of(folder, 3)
    del entry["circumstances"], entry["signature"]
    entry_file(folder, 3).write_text(json.dumps(entry))
    seal_file(folder, 3).unlink()
    (fault,) = listed(folder)
    assert fault.startswith("Entry 3 has no seal, though entry 2 has one")
