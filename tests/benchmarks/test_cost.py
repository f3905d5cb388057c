"""The picture of error against cost has every float network, at the place that its card states."""

from pathlib import Path

from benchmarks.cost import LOWEST, PUBLISHED, Point, draw, shipped

REPOSITORY = Path(__file__).parents[2] / "model_repository"


def test_every_float_network_is_drawn_as_its_card_says():
    points = list(shipped(REPOSITORY))
    assert Point("rotmnist-cnn", 5_940_192, 1.872) in points
    assert not any(point.name.endswith(("int8", "integer")) for point in points)
    (axes,) = draw(points).axes
    drawn = {(float(line.get_xdata()[0]), line.get_ydata()[0]) for line in axes.lines}
    assert {(point.multiply_adds, point.error) for point in [*points, *PUBLISHED]} <= drawn
    names = " ".join(text.get_text() for text in axes.texts)
    assert all(point.name in names for point in [*points, *PUBLISHED])
    assert str(LOWEST) in names
