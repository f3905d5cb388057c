"""An audit that was interrupted goes on where it was, and its report does not show it."""

import errno
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifact.audit_set import AuditSet
from audit import (
    AnglePlan,
    Journal,
    ModelUnderTest,
    ResolvedOptions,
    Thresholds,
    evaluate_orbit,
    run_pipeline,
)
from imaging import RefusedError, grid_symmetries
from tests.disks import largest_file


class StoppedError(Exception):
    pass


class Asked:
    """Counts the batches that a classifier is asked about, and stops after some."""

    def __init__(self, classify: Any, stop: int | None = None) -> None:
        self.classify, self.stop, self.batches = classify, stop, 0
        self.lock = threading.Lock()

    def __call__(self, images: Any) -> Any:
        with self.lock:
            if self.batches == self.stop:
                raise StoppedError
            self.batches += 1
        return self.classify(images)


class Unsteady:
    """Never answers a batch twice alike."""

    def __init__(self, classify: Any) -> None:
        self.classify, self.times = classify, Counter[bytes]()

    def __call__(self, images: Any) -> Any:
        batch = images.tobytes()
        self.times[batch] += 1
        return self.classify(images) + np.float32(self.times[batch])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers"


@pytest.fixture
def audit(model, images) -> Any:
    def run(classify: Any, path: Path | None = None, pictures: Any = images[:40]) -> bytes:
        options = ResolvedOptions("C4", Thresholds(), AnglePlan(8, seed=1), exhaustive_images=1)
        under_test = ModelUnderTest(model, classify, batch_size=16)
        if path is None:
            report = run_pipeline(under_test, AuditSet(pictures), options, source="here")
        else:
            with Journal(path) as journal:
                recorded = under_test.recorded(journal)
                report = run_pipeline(recorded, AuditSet(pictures), options, source="here")
        return report.model_dump_json().encode()

    return run


@pytest.mark.slow
@pytest.mark.parametrize("part", [0.0, 0.5, 0.999])
def test_an_interrupted_audit_asks_what_is_left_and_reports_the_same(audit, plain, path, part):
    whole = Asked(plain)
    report = audit(whole)
    stop = int(part * whole.batches)
    with pytest.raises(StoppedError):
        audit(Asked(plain, stop), path)
    rest = Asked(plain)
    assert audit(rest, path) == report
    assert rest.batches == whole.batches - stop


@pytest.mark.slow
def test_answers_that_were_kept_are_those_that_were_given(audit, plain, path):
    """The noise floor of a model that drifts is not that of a file that does not."""
    report = audit(Unsteady(plain), path)
    again = Asked(plain)
    assert audit(again, path) == report
    assert again.batches == 0
    assert report == audit(Unsteady(plain))
    assert report != audit(plain)


def test_a_batch_that_is_asked_twice_is_answered_twice(plain, images, path):
    unsteady = Unsteady(plain)
    with Journal(path) as journal:
        orbit = evaluate_orbit(journal.remember("a", unsteady), images[:8], grid_symmetries("C4"))
    assert orbit.repeat_deviation > 0


def test_a_changed_image_is_noticed_and_only_its_batches_are_asked_anew(audit, plain, images, path):
    audit(plain, path)
    changed = images[:40].copy()
    changed[3, 0, 0, 0] ^= 255
    whole, some = Asked(plain), Asked(plain)
    assert audit(some, path, changed) == audit(whole, None, changed)
    assert 0 < some.batches < whole.batches


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "1" * 64},
        {"asked_at": "elsewhere"},
    ],
)
def test_another_model_is_asked_anew(model, plain, invariant, images, path, change):
    first = ModelUnderTest(model, plain)
    identity = model.model_copy(
        update={key: value for key, value in change.items() if key == "sha256"}
    )
    second = ModelUnderTest(identity, invariant, asked_at=change.get("asked_at", ""))
    for under_test in (first, second):
        with Journal(path) as journal:
            answers = under_test.recorded(journal).classify(images[:5])
        assert np.array_equal(answers, under_test.classify(images[:5]))


@pytest.mark.slow
def test_a_file_cut_off_anywhere_loses_its_last_record_and_nothing_else(plain, images, path):
    with Journal(path) as journal:
        ask = journal.remember("a", plain)
        first, second = ask(images[:3]), ask(images[3:6])
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        asked = Asked(plain)
        with Journal(path) as journal:
            ask = journal.remember("a", asked)
            assert np.array_equal(ask(images[:3]), first)
            assert np.array_equal(ask(images[3:6]), second)
        record = (len(data) - 21) // 2
        assert asked.batches == 2 - max(0, length - 21) // record
        assert path.read_bytes() == data


def test_a_byte_that_is_wrong_is_noticed(plain, images, path):
    with Journal(path) as journal:
        expected = journal.remember("a", plain)(images[:3])
    data = bytearray(path.read_bytes())
    for place in range(21, len(data)):
        data[place] ^= 16
        path.write_bytes(data)
        with Journal(path) as journal:
            assert np.array_equal(journal.remember("a", plain)(images[:3]), expected)
        data[place] ^= 16


def test_another_kind_of_file_is_refused_and_left_alone(path):
    path.write_bytes(b"something that somebody needs")
    with pytest.raises(ValueError, match="holds no answers of an audit"):
        Journal(path)
    assert path.read_bytes() == b"something that somebody needs"


def test_two_audits_do_not_write_one_file(path):
    with Journal(path), pytest.raises(ValueError, match="by another audit"):
        Journal(path)
    with Journal(path):
        pass


def test_a_disk_without_locks_is_said(path, monkeypatch):
    """It was said that another audit writes the file."""

    def lockless(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("audit.journal.fcntl.flock", lockless)
    with pytest.raises(RefusedError, match=f"{path} cannot be locked: No locks available"):
        Journal(path)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="cannot be used: Is a directory"):
        Journal(tmp_path)


def test_a_full_disk_is_said(plain, images, path, monkeypatch):
    with Journal(path) as journal:
        ask = journal.remember("a", plain)
        monkeypatch.setattr("audit.journal.os.write", lambda file, data: len(data) - 1)
        with pytest.raises(ValueError, match="disk is full"):
            ask(images[:3])


@pytest.mark.parametrize(("size", "said"), [(0, "File too large"), (9, "disk is full")])
def test_a_disk_that_was_full_before_is_said_and_the_file_goes_on(path, size, said):
    with largest_file(size), pytest.raises(RefusedError, match=rf"{path} cannot be .*{said}"):
        Journal(path)
    assert path.stat().st_size == size
    with Journal(path) as journal:
        assert journal.kept == 0
