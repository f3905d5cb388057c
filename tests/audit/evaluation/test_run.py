"""One look at labelled images: what is asked, in which order, and what is told of it."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from artifact.audit_set import AuditSet
from artifact.identity import ModelIdentity
from audit import ModelUnderTest
from audit.evaluation import Asked, Evaluation, Unread, evaluate
from audit.statistics import clopper_pearson
from imaging import RefusedError

N, K = 100, 4


@pytest.fixture
def images():
    rng = np.random.default_rng(3)
    found = rng.integers(0, 256, (N, 1, 8, 8), dtype=np.uint8)
    found[:, 0, 0, 0] = np.arange(N)
    return found


@pytest.fixture
def table():
    return np.random.default_rng(4).normal(size=(N, K)).astype(np.float32) * 3


@pytest.fixture
def under_test(table):
    identity = ModelIdentity(
        name="m", version=2, sha256="ab" * 32, group="C4", precision="fp32", classes=tuple("abcd")
    )
    return ModelUnderTest(
        identity, lambda batch: table[batch[:, 0, 0, 0]], batch_size=7, caveats=("So.",)
    )


LABELS = np.arange(N) % K


def test_each_image_is_asked_about_once_and_keeps_its_place(under_test, images, table):
    labelled = AuditSet(images, LABELS, files=tuple(f"{i}.png" for i in range(N)))
    seen = []
    found = evaluate(
        under_test, labelled, Asked(), source="here", progress=lambda *done: seen.append(done)
    )
    assert seen[-1] == (N, N)
    assert [each.answered for each in found.answers] == table.argmax(axis=1).tolist()
    assert [each.expected for each in found.answers] == LABELS.tolist()
    assert [each.name for each in found.answers] == list(labelled.files)
    powers = np.exp(table.astype(np.float64))
    shares = powers / powers.sum(axis=1, keepdims=True)
    assert [each.probability for each in found.answers] == pytest.approx(shares.max(axis=1))
    due = shares[np.arange(N), LABELS]
    assert [each.expected_probability for each in found.answers] == pytest.approx(due)
    assert [each.rank for each in found.answers] == (shares >= due[:, None]).sum(axis=1).tolist()
    assert found.data.sha256 == labelled.sha256()
    assert found.claim[-1] == "So."
    assert Evaluation.model_validate_json(found.model_dump_json()) == found


def test_wrong_images_come_surest_first_with_the_first_ones_pictures(under_test, images):
    found = evaluate(under_test, AuditSet(images, LABELS), Asked(), source="here", pictures=5)
    wrong = [*found.wrong()]
    assert len(wrong) == N - found.figures.accuracy.count
    sure = [answer.probability for _, answer in wrong]
    assert sure == sorted(sure, reverse=True)
    assert [each.index for each in found.pictures] == [index for index, _ in wrong[:5]]
    for each in found.pictures:
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(each.png))))
        assert np.array_equal(shown, images[each.index, 0])


def test_without_pictures_there_are_none(under_test, images):
    assert not evaluate(under_test, AuditSet(images, LABELS), Asked(), source="here").pictures


def test_groups_are_counted_and_told(under_test, images):
    groups = (np.arange(N) // 10).astype(np.int64)
    found = evaluate(under_test, AuditSet(images, LABELS, groups), Asked(), source="here")
    assert found.data.units == 10
    assert "each group of images was drawn" in found.claim[0]
    single = evaluate(under_test, AuditSet(images, LABELS), Asked(), source="here")
    assert single.data.units is None
    assert "--group-by" in single.claim[1]


def test_images_that_come_again_say_nothing_new(under_test, images):
    right = np.array([each.answered for each in _alone(under_test, images)])
    few = np.tile(np.arange(4), 128)
    again = AuditSet(images[few], right[few])
    found = evaluate(under_test, again, Asked(at_least=0.95), source="here")
    assert found.figures.accuracy.rate == 1
    assert found.verdict == "INCONCLUSIVE"
    assert found.figures.accuracy.interval == clopper_pearson(4, 4, 0.95)
    assert found.data.units == 4
    assert "the 512 count as 4 groups" in found.claim[1]
    rotated = [np.rot90(images[:4], quarters, (2, 3)) for quarters in range(4)]
    invariant = replace(under_test, classify=lambda b: np.float32([[0, 1, 0, 0]] * len(b)))
    turned = AuditSet(np.concatenate(rotated * 32), np.ones(512, np.int64))
    assert evaluate(invariant, turned, Asked(), source="here").data.units == 4
    both = AuditSet(images[[0, 0, 1, 2]], right[[0, 0, 1, 2]], np.array([0, 1, 2, 2]))
    assert evaluate(under_test, both, Asked(), source="here").data.units == 2


def _alone(under_test, images):
    return evaluate(under_test, AuditSet(images, LABELS), Asked(), source="here").answers


def test_files_that_were_left_out_are_told(under_test, images):
    left = [Unread(name="x.png", expected=1, reason="It is broken.")]
    found = evaluate(under_test, AuditSet(images, LABELS), Asked(), source="here", unread=left)
    assert found.unread == tuple(left)
    assert any("1 files could not be read" in each for each in found.claim)


def test_probabilities_are_told(under_test, images, table):
    powers = np.exp(table)
    given = replace(
        under_test, classify=lambda b: (powers / powers.sum(1, keepdims=True))[b[:, 0, 0, 0]]
    )
    found, logits = (
        evaluate(each, AuditSet(images, LABELS), Asked(), source="x")
        for each in (given, under_test)
    )
    assert any("were read as probabilities" in each for each in found.claim)
    assert not any("were read as probabilities" in each for each in logits.claim)
    calibration = found.figures.calibration
    assert calibration.brier_score == pytest.approx(logits.figures.calibration.brier_score, 1e-5)


@pytest.mark.parametrize(
    ("labels", "answer", "sentence"),
    [
        (None, np.zeros((N, K), np.float32), "have no labels"),
        (LABELS + 1, np.zeros((N, K), np.float32), "The label of an image is 4"),
        (LABELS, np.full((N, K), np.nan, np.float32), "NaN or infinity"),
        (LABELS, np.zeros((N, 1), np.float32), r"logits \[N, K\]"),
    ],
)
def test_what_cannot_be_measured_is_refused(under_test, images, labels, answer, sentence):
    asked = replace(under_test, classify=lambda batch: answer[: len(batch)])
    with pytest.raises(RefusedError, match=sentence):
        evaluate(asked, AuditSet(images, labels), Asked(), source="here")


def test_a_model_that_changed_has_no_evaluation(under_test, images):
    def changed():
        raise RefusedError("It is another.")

    with pytest.raises(RefusedError, match="another"):
        evaluate(
            replace(under_test, confirm=changed), AuditSet(images, LABELS), Asked(), source="x"
        )
