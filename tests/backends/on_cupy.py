"""What tests on CuPy have in common."""

import numpy as np

from pluggable_mlp import get_backend

__all__ = ["assert_same_bits", "of_cupy"]


def assert_same_bits(found, expected):
    assert found.dtype == expected.dtype
    bits = f"u{found.dtype.itemsize}"
    same = (found.view(bits) == expected.view(bits)) | (np.isnan(found) & np.isnan(expected))
    assert same.all(), f"{np.sum(~same)} of {same.size} differ"


def of_cupy(*shape, seed=0, dtype="float32", device="cupy"):
    rng = np.random.default_rng(seed)
    return get_backend(device).asarray(rng.normal(0, 3, shape).astype(dtype))
