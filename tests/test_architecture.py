"""The map of the house is what the code says now."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.architecture import (
    GUIDE,
    PICTURE,
    ROOMS,
    Step,
    draw,
    faults,
    floors,
    imported,
    journeys,
    rooms,
    rooms_of_the_service,
)

JOURNEYS = journeys(GUIDE.read_text("utf-8"))


def test_the_picture_is_what_the_imports_say() -> None:
    assert PICTURE.read_text("utf-8") == draw(), "python -m tests.architecture draws it anew"


def test_the_picture_names_every_room() -> None:
    words = {each.text for each in ElementTree.fromstring(draw()).iter() if each.text}
    assert {*ROOMS, *rooms_of_the_service()} <= words
    assert ", ".join(sorted(rooms()["service"])) in words


def test_no_rooms_import_each_other_in_a_circle() -> None:
    assert sum(map(len, floors(rooms()))) == len(ROOMS)
    assert floors(rooms())[0] == ["imaging"]
    assert floors(rooms_of_the_service())[-1] == ["server"]
    with pytest.raises(ValueError, match="circle"):
        floors({"a": frozenset("b"), "b": frozenset("a"), "c": frozenset()})


def test_there_are_the_three_journeys() -> None:
    assert {"A request", "A model", "An audit"} <= JOURNEYS.keys()
    rows = [line for line in GUIDE.read_text("utf-8").splitlines() if line.startswith("| 1 |")]
    assert len(rows) == len(JOURNEYS)
    assert min(len(steps) for steps in JOURNEYS.values()) > 5


@pytest.mark.parametrize("title", JOURNEYS)
def test_each_file_of_a_journey_reaches_the_next(title: str) -> None:
    assert [*faults(JOURNEYS[title])] == []


@pytest.mark.parametrize("title", JOURNEYS)
def test_a_file_that_is_left_out_or_gone_is_told(title: str) -> None:
    steps = JOURNEYS[title]
    assert [*faults([*steps[:2], Step(Path("audit/nowhere.py"), None, False)])]
    assert [*faults([steps[0], *steps[2:]])]


def test_imports_are_followed_through_packages() -> None:
    found = imported(Path("commands/audit/run.py"))
    assert Path("audit/report.py") in found
    assert Path("audit/__init__.py") not in found
