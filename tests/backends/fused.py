"""What tests of fused functions have in common, on the simulated CuPy."""

from functools import partial

import numpy as np

from pluggable_mlp import get_backend
from tests.simulated_cupy import counting, xp

__all__ = ["as_one", "assert_same_bits", "fused", "of_cupy"]


def assert_same_bits(found, expected):
    assert found.dtype == expected.dtype
    bits = f"u{found.dtype.itemsize}"
    same = (found.view(bits) == expected.view(bits)) | (np.isnan(found) & np.isnan(expected))
    assert same.all(), f"{np.sum(~same)} of {same.size} differ"


def fused(function, *arguments, namespace=xp):
    """Return what a compiled function returns when it is fused, and its launches."""
    call = get_backend("cupy").compile(partial(as_one(function), namespace))
    for _ in range(3):  # then it is known that it comes again
        call(*arguments)
    with counting() as counts:
        result = call(*arguments)
    assert not counts.waits
    return result, counts.launches


def as_one(function):
    """Return a function that `partial` does not take apart."""

    def call(*arguments):
        return function(*arguments)

    return call


def of_cupy(*shape, seed=0, dtype="float32"):
    rng = np.random.default_rng(seed)
    return get_backend("cupy").asarray(rng.normal(0, 3, shape).astype(dtype))
