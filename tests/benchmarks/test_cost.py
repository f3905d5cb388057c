"""The picture of error against cost has every network, at the place that its card states."""

from pathlib import Path

from benchmarks.cost import LOWEST, PUBLISHED, Point, draw, shipped

REPOSITORY = Path(__file__).parents[2] / "model_repository"


def test_every_network_is_drawn_as_its_card_says():
    points = list(shipped(REPOSITORY))
    assert Point("rotmnist-cnn", 5_940_192, 1.872) in points
    assert Point("rotmnist-large-int8", 582_070_512, 0.778) in points
    assert Point("rotmnist-c4-distilled-int8", 21_271_168, 0.824) in points
    assert Point("rotmnist-c4-small-distilled-int8", 5_490_752, 0.986) in points
    assert not {"rotmnist-c4-int8", "rotmnist-c4-integer"} & {point.name for point in points}
    (axes,) = draw(points).axes
    drawn = {(float(line.get_xdata()[0]), line.get_ydata()[0]) for line in axes.lines}
    assert {(point.multiply_adds, point.error) for point in [*points, *PUBLISHED]} <= drawn
    names = " ".join(text.get_text() for text in axes.texts)
    assert all(point.name in names for point in [*points, *PUBLISHED])
    assert str(LOWEST) in names
