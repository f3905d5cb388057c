"""Rounds that were never run: figures to hold bars and tables against."""

import pytest

from benchmarks.serving.rounds import BARE, LARGE, LARGE_CONNECTIONS, MEMORY, Case, Figure, Round
from benchmarks.serving.systems import JSON_LINES, LINES, NAIVE, OURS, TRITON


@pytest.fixture
def even() -> Round:
    """A round in which everything meets its bar, most by nothing."""
    return {
        Case(BARE, MEMORY, 1, 1): Figure(3000.0, 0.0003),
        Case(BARE, MEMORY, LARGE, 1): Figure(5000.0, 0.0064),
        Case(TRITON, "OIP binary", 1, 32): Figure(2800.0 / 1.2, 0.010),
        Case(OURS, "OIP binary", 1, 1): Figure(2000.0, 0.0005),
        Case(OURS, "OIP binary", 1, 32): Figure(2800.0, 0.011),
        Case(OURS, "OIP binary", LARGE, LARGE_CONNECTIONS): Figure(4500.0, 0.030),
        Case(OURS, "PNG", 1, 32): Figure(1960.0, 0.016),
        Case(LINES, "OIP binary", 1, 32): Figure(2660.0, 0.011),
        Case(JSON_LINES, "OIP binary", 1, 32): Figure(2660.0, 0.011),
        Case(NAIVE, "raw pixels", 1, 1): Figure(2000.0, 0.0005),
        Case(NAIVE, "raw pixels", 1, 32): Figure(2000.0, 0.016),
    }
