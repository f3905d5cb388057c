"""`orbitserve export`: what it reads the images of a folder by."""

from pathlib import Path

import pytest

from audit import RefusedError
from commands.export import export
from export.package import package


def test_images_are_read_by_the_white_level_on_the_card(finished_run, tmp_path, monkeypatch):
    package(finished_run("C4", white_level=4095), tmp_path / "repository", "toy")
    asked = []

    def read_folder(*arguments):
        asked.append(arguments)
        raise RefusedError("Enough is seen.")

    monkeypatch.setattr("models.sitting.read_folder", read_folder)
    with pytest.raises(RefusedError, match="Enough"):
        export("toy", "int8", repository=tmp_path / "repository", images=Path("cells"))
    assert asked == [(Path("cells"), "C4", 12, "pad", 4095)]
