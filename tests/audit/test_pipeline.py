"""A model whose file is not at hand, and what a report on it says."""

from dataclasses import replace

import numpy as np
import pytest

from artifact.audit_set import AuditSet
from audit import (
    ModelUnderTest,
    ProofSummary,
    ResolvedOptions,
    Thresholds,
    run_pipeline,
)
from audit.render import render_text
from audit.selftest import self_test_unseen


@pytest.fixture
def audit(images):
    def run(under_test, group="C4"):
        options = ResolvedOptions(group, Thresholds(class_agreement=None))
        return run_pipeline(under_test, AuditSet(images), options, source="here")

    return run


@pytest.mark.parametrize("group", ["C2", "C4", "D1", "D2", "D4"])
def test_a_model_without_its_file_is_told_apart_and_its_mutant_named(
    audit, model, invariant, plain, group
):
    for classify, verdict in ((invariant, "PASS"), (plain, "FAIL")):
        report = audit(ModelUnderTest(model, classify), group)
        assert report.verdict == verdict
        assert report.self_test.mutation == "told up from down"
        assert report.self_test.passed
        assert "made to answer otherwise" in " ".join(render_text(report).split())


def test_images_that_show_no_direction_give_no_verdict(model, invariant):
    grey = np.full((400, 1, 8, 8), 99, np.uint8)
    report = run_pipeline(
        ModelUnderTest(model, invariant),
        AuditSet(grey),
        ResolvedOptions("C4", Thresholds(class_agreement=None)),
        source="here",
    )
    assert report.verdict == "INCONCLUSIVE"
    assert "(told up from down), was judged" in report.reasons[0]


def test_an_audit_that_rotates_nothing_fails_its_self_test(monkeypatch, invariant, images):
    """The mutant of the audit: every element is the identity."""
    monkeypatch.setattr("imaging.symmetries.GridSymmetry.__call__", lambda self, array: array)
    tested = self_test_unseen(
        invariant, images, group="C4", thresholds=Thresholds(class_agreement=None)
    )
    assert tested.mutant != "FAIL"
    assert not tested.passed


def test_a_proof_spares_no_angle_where_what_runs_was_seen_to_do_otherwise(
    images, model, invariant, plain
):
    """A runtime that does not compute what the file says: the other quarters are classified too."""
    proof = ProofSummary(
        outcome="PROVED", subgroup="C4", covers=True, exact_bits=True, runs_exactly=True, reasons=()
    )
    options = ResolvedOptions("C4", Thresholds(class_agreement=None), exhaustive_images=2)
    for classify, spared in ((invariant, True), (plain, False)):
        under_test = ModelUnderTest(model, classify, prove=lambda group: proof)
        report = run_pipeline(under_test, AuditSet(images), options, source="here")
        assert report.exhaustive_angles.by_symmetry == spared


def test_caveats_are_part_of_the_claim(audit, model, invariant):
    report = audit(ModelUnderTest(model, invariant, caveats=("It was asked from outside.",)))
    assert report.claim[-1] == "It was asked from outside."


def test_a_model_that_changed_meanwhile_gives_no_report(audit, model, invariant):
    def confirm():
        raise ValueError("it is another")

    with pytest.raises(ValueError, match="it is another"):
        audit(replace(ModelUnderTest(model, invariant), confirm=confirm))


def test_the_digest_of_a_large_set_is_that_of_its_file(monkeypatch, images):
    expected = AuditSet(images).sha256()
    monkeypatch.setattr("artifact.audit_set._IN_MEMORY", 100)
    assert AuditSet(images).sha256() == expected
