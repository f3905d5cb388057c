"""The integers of one filter, whatever the size of its weights and of its bias."""

import numpy as np
import pytest

from export.quantize.network import LARGEST_BIAS, WEIGHT_LIMIT, Quantised, _integer_map


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bias", [0.0, 0.005, -1.0, 300.0])
@pytest.mark.parametrize("weight", [0.0, 1e-44, 1e-20, 1e-9, 1e-6, 0.1, 40.0])
def test_a_filter_means_what_it_meant(weight: float, bias: float) -> None:
    """Filters that training has let go of had a bias of -2^31, and those of zeros none."""
    filters = np.full((1, 2, 3, 3), weight) * np.linspace(-1, 1, 9).reshape(3, 3)
    given = Quantised(np.float32(0.02), 3)
    found = _integer_map(filters, np.array([bias]), given)
    unit = float(found.scales[0])
    assert unit > 0
    assert np.abs(found.weight).max() <= WEIGHT_LIMIT
    assert abs(found.bias[0]) <= LARGEST_BIAS + 1
    coarse = abs(bias) / LARGEST_BIAS / 0.02 + weight / WEIGHT_LIMIT + 1e-30
    assert np.abs(found.weight * unit - filters).max() <= coarse
    kept = found.bias[0] * unit * 0.02
    assert abs(kept - bias) <= max(1e-6 * abs(bias), 0.02 * weight / WEIGHT_LIMIT)
