"""Memory over reloads: what is printed, and what is held against the bar."""

from benchmarks.reloads import report


def test_memory_is_held_against_that_after_the_first_reloads() -> None:
    """The first ones warm what all later ones use again."""
    lines, met = report({0: 100 * 2**20, 100: 200 * 2**20, 200: 210 * 2**20})
    assert met
    assert lines[0] == "0 reloads: 100 MiB resident"
    assert lines[-1].endswith("of that after 100 reloads: 1.050, at most 1.05 accepted: met")
    assert not report({0: 200 * 2**20, 100: 200 * 2**20, 200: 211 * 2**20})[1]
