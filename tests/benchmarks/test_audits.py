"""The comparison of audits with the bare session runs to its end."""

import sys

import pytest

from benchmarks import audits


@pytest.mark.slow
def test_a_short_run_prints_its_table_and_its_bars(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["--rounds", "1", "--seconds", "0.05", "--rate", "50", "--requests", "8"]
    monkeypatch.setattr(sys, "argv", ["audits", "rotmnist-c4-small-int8", *short])
    audits.main()
    printed = capsys.readouterr().out
    (row,) = [line for line in printed.splitlines() if line.startswith("| quarter turns |")]
    classified, *_ = [int(cell.replace(",", "")) for cell in row.split("|")[2:3]]
    assert classified >= 3 * 500  # upright, rotated and again, of 500 images and more
    assert "during: p50" in printed
    assert printed.count("bar: ") == 3
