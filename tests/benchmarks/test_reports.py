"""The table that lays audits side by side says what their reports say."""

import numpy as np
import pytest
from numpy.typing import NDArray

from artifact.identity import ModelIdentity
from audit import (
    AnglePlan,
    AngleThresholds,
    Report,
    Thresholds,
    audit_angles,
    audit_exhaustively,
    run_audit,
)
from benchmarks.reports import draw, table


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    images = np.random.default_rng(3).integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
    return [_report(name, tilt, images) for name, tilt in (("straight", 0), ("tilted", 1))]


def _report(name: str, tilt: int, images: NDArray[np.uint8]) -> Report:
    places = np.arange(8) - 3.5

    def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        light = np.einsum("nchw,w->n", images, places * tilt)
        return np.stack([light, -light, np.full_like(light, 1)], axis=1).astype(np.float32)

    model = ModelIdentity(name=name, version=1, sha256="0" * 64, group="C4", precision="fp32")
    labels = np.zeros(60, np.int64)
    report = run_audit(
        classify,
        images,
        labels,
        group="C4",
        thresholds=Thresholds(),
        model=model,
        source="noise",
    )
    angles = audit_angles(
        classify, images, labels, plan=AnglePlan(36), thresholds=AngleThresholds()
    )
    return report.joined(angles, audit_exhaustively(classify, images, [0, 7], symmetry=None))


def test_each_report_has_a_column_with_its_figures(reports: list[Report]) -> None:
    head, _, *rows = (line.strip("| ").split(" | ") for line in table(reports))
    assert head[-2:] == ["`straight`", "`tilted`"]
    told = {name: cells for name, *cells in rows}
    assert told["verdict on the exact orbit"] == [report.orbit_verdict for report in reports]
    assert told["keep their label under quarter turns"] == [
        f"{report.figures.agreeing_images} of 60" for report in reports
    ]
    assert told["keep it damped, and not rotated"] == [
        f"{report.angles.figures.damped_agreeing} of 60" for report in reports if report.angles
    ]
    assert told["one label at every angle, nearest neighbour"][0] == "2 of 2"


def test_all_pictures_have_one_scale(reports: list[Report]) -> None:
    drawn = dict(draw(reports))
    assert list(drawn) == ["straight", "tilted"]
    titles = {svg.split(b"<title>")[1].split(b"</title>")[0] for svg in drawn.values()}
    assert len(titles) == 1
