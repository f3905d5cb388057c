"""The pictures of a first lecture are drawn from the shipped models, and show what they say."""

from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from benchmarks import concepts

pytestmark = pytest.mark.slow


def words(picture: Path) -> list[str]:
    """Return what is written in a picture."""
    tree = ElementTree.parse(picture)
    return [each.text or "" for each in tree.iter("{http://www.w3.org/2000/svg}text")]


def test_the_pictures_of_the_docs_are_those_that_it_draws(tmp_path: Path) -> None:
    """By what is written in them: pixels differ in their last bits between machines."""
    page = Path("docs/concepts.md").read_text("utf-8")
    for name, draw in concepts.PICTURES.items():
        with matplotlib.rc_context(concepts.STYLE):
            draw().savefig(tmp_path / f"{name}.svg")
        picture = concepts.FOLDER / f"{name}.svg"
        assert words(tmp_path / f"{name}.svg") == words(picture)
        assert picture.stat().st_size < 60_000
        assert f"](concepts/{name}.svg)" in page


def test_a_model_that_does_not_show_it_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = concepts._field

    def moved(name: str, tensor: str, image: np.ndarray) -> np.ndarray:
        return np.roll(whole(name, tensor, image), 1, 1)

    fields = iter([whole, moved, whole, whole])
    monkeypatch.setattr(concepts, "_field", lambda *asked: next(fields)(*asked))
    with pytest.raises(ValueError, match="differ"):
        concepts.draw_lifting()
