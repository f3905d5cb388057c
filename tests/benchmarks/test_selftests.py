"""The table of self-tests says what they said, and the docs have the same."""

from pathlib import Path

import pytest

from artifact.audit_set import AuditSet, load_audit_set, save_audit_set
from artifact.card import load_card
from benchmarks import selftests


@pytest.mark.slow
def test_the_docs_have_every_line() -> None:
    guide = Path("docs/automation.md").read_text()
    for line in selftests.lines(selftests.REPOSITORY):
        assert line in guide


def test_images_that_show_nothing_are_found_out(tmp_path: Path) -> None:
    """On blank images no mutant fails, and the table says so."""
    folder = selftests.REPOSITORY / "rotmnist-c4-int8" / "1"
    images = load_audit_set(folder / "audit.npz").images[:8]
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    save_audit_set(tmp_path / "audit.npz", AuditSet(images))
    card = load_card(folder / "card.json")
    name, *verdicts = selftests.tested(tmp_path, card)
    assert name == "`rotmnist-c4-int8`, C4"
    assert verdicts == ["FAIL", "FAIL", "INCONCLUSIVE", "FAIL", "INCONCLUSIVE", "exact"]
    save_audit_set(tmp_path / "audit.npz", AuditSet(images * 0))
    _, *verdicts = selftests.tested(tmp_path, card)
    assert "FAIL" not in verdicts
