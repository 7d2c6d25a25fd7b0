"""What is too small to keep becomes +0, at the thresholds and on every backend."""

import numpy as np
import pytest

from pluggable_mlp.backends import Backend
from pluggable_mlp.elementary.common import flush, flush_product, keep_nan
from tests.elementary.cases import INF, NAN, assert_bits

pytestmark = pytest.mark.quick_on("jax:cpu")

THRESHOLDS = {
    (flush, "float32"): 2.0**-126,
    (flush, "float64"): 2.0**-1022,
    (flush_product, "float32"): 2.0**-102,
    (flush_product, "float64"): 2.0**-969,
}


@pytest.mark.parametrize(("function", "dtype"), THRESHOLDS)
def test_flush_at_its_threshold(backend: Backend, function, dtype: str) -> None:
    threshold = np.asarray(THRESHOLDS[function, dtype], dtype)
    below = np.nextafter(threshold, np.asarray(0.0, dtype))
    x = np.array([threshold, -threshold, below, -below, 0.0, -0.0, 1.0, INF, -INF, NAN], dtype)
    expected = np.array([threshold, -threshold, 0, 0, 0, 0, 1.0, INF, -INF, NAN], dtype)
    assert_bits(backend.to_numpy(function(backend.xp, backend.asarray(x))), expected, x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_differences_of_kept_products_are_zero_or_normal(dtype: str) -> None:
    threshold = np.asarray(THRESHOLDS[flush_product, dtype], dtype)
    difference = np.nextafter(threshold, np.asarray(1.0, dtype)) - threshold
    assert difference >= np.finfo(dtype).smallest_normal


def test_the_nan_is_always_the_same(backend: Backend) -> None:
    x = np.array([NAN, -NAN, 1.0])
    y = keep_nan(backend.xp, backend.asarray(x), backend.asarray(np.array([-NAN, 2.0, 3.0])))
    assert_bits(backend.to_numpy(y), np.array([NAN, NAN, 3.0]), x)
