import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from models.equivariance import equivariance_error
from models.geometry import SizeError, output_size
from models.groups import Group
from models.layers import GroupMaxPool2d

windows = st.tuples(
    st.integers(4, 14), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2)
).filter(lambda window: 2 * window[3] <= window[1])


@given(windows)
def test_the_rule_holds_exactly_where_pooling_commutes(window):
    n, kernel, stride, padding = window
    # Where the last window ends short of the border by less than a pixel of the pooled image, the
    # rotated image pools other pixels: distinct values show it.
    assume(stride <= kernel)
    x = torch.randperm(4 * n * n).reshape(1, 1, 4, n, n).float()
    commutes = equivariance_error(GroupMaxPool2d(kernel, stride, padding), Group(4), x) == 0
    try:
        side = output_size(n, kernel, stride, padding, "pooling")
    except SizeError:
        assert not commutes
    else:
        assert commutes
        assert side == GroupMaxPool2d(kernel, stride, padding)(x).shape[-1]


def test_the_error_names_layer_size_and_the_nearest_sizes():
    with pytest.raises(SizeError, match=r"layer 2 .* 7 pixels .* are 6 and 8\.") as error:
        output_size(7, 2, 2, 0, "layer 2 (max_pooling)")
    for size in (6, 8):
        output_size(size, 2, 2, 0, "")
    assert "\n" not in str(error.value)


def test_a_window_larger_than_the_image_is_refused():
    with pytest.raises(SizeError, match="needs 5 pixels or more"):
        output_size(4, 5, 1, 0, "layer 1")
