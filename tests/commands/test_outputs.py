"""In which format each thing is written that a command makes."""

from pathlib import Path

import pytest

from audit.render import FORMATS
from audit.render.evaluation import EVALUATION_FORMATS
from commands.outputs import Outputs
from imaging import RefusedError


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.HTML", "html"), ("b.json", "json"), ("c.csv", "csv"), ("d.txt", "text")],
)
def test_a_name_tells_the_format(tmp_path: Path, name: str, expected: str) -> None:
    outputs = Outputs.read(EVALUATION_FORMATS, [tmp_path / name], json=False)
    assert (outputs.printed, outputs.files) == ("text", [(tmp_path / name, expected)])


def test_the_longest_ending_counts(tmp_path: Path) -> None:
    paths = [tmp_path / "a.intoto.json", tmp_path / "b.cdx.json", tmp_path / "c.json"]
    outputs = Outputs.read(FORMATS, paths, json=True)
    assert outputs.printed == "json"
    assert [name for _, name in outputs.files] == ["in-toto", "cyclonedx", "json"]


def test_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"x\.xlsx tells no format; one that ends in \.txt, "):
        Outputs.read(EVALUATION_FORMATS, [tmp_path / "x.xlsx"], json=False)
