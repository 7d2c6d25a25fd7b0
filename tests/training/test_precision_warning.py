"""Numbers of a range wider than the slices of a product: counted as it loses them, told once."""

import warnings

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, PrecisionWarning, get_backend, train
from pluggable_mlp.namespaces.reproducible.operand import fixed_point
from pluggable_mlp.namespaces.reproducible.products import lost
from tests.namespaces.reproducible.kernels import matmul
from tests.together import together

NUMPY = get_backend("numpy")
SIZES, COUNT = [20, 8, 3], 50


def of_wide_range(shape, sigma, dtype="float32"):
    """Log-normal numbers of either sign."""
    rng = np.random.default_rng(0)
    x = np.exp(sigma * rng.normal(size=shape)) * rng.choice([-1.0, 1.0], size=shape)
    return x.astype(dtype)


@together("side", ["left", "right"])
@together("pixels", [False, True])
@together("dtype", ["float32", "float64"])
def test_what_is_counted_is_lost_and_what_is_not_is_kept(backend, dtype, pixels, side):
    """A product with ones on the diagonal returns all that its slices hold."""
    x = of_wide_range((20, 20), {"float32": 8.0, "float64": 14.0}[dtype], dtype)
    x[:, 3] = 0.0
    # As the largest is a power of two, and no other number is near the edge, the count is exact.
    largest = 2.0 ** np.ceil(np.log2(np.abs(x).max()))
    x[:, 0] = largest
    unit = np.eye(20, dtype="uint8")
    one = fixed_point(backend.xp, backend.asarray(unit), 1.0, getattr(backend.xp, dtype))
    one = one if pixels else backend.asarray(unit.astype(dtype))
    if side == "left":
        there = backend.asarray(x)
        product = matmul(backend.xp, there, one)
        count = lost(backend.xp, there, -1, beside_fixed_point=pixels)
    else:
        there = backend.asarray(np.ascontiguousarray(x.T))
        product = matmul(backend.xp, one, there)
        count = lost(backend.xp, there, -2, beside_fixed_point=pixels)
    gone = (backend.to_numpy(product) == 0.0) & (backend.to_numpy(there) != 0.0)
    assert int(count) == gone.sum() > 20


def told(inputs, *, sizes=SIZES, **settings):
    """The warnings of three epochs of training."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        labels = np.arange(len(inputs)) % sizes[-1]
        settings = {"arithmetic": "reproducible", "epochs": 3, **settings}
        train(MLP(sizes), inputs, labels, backend=NUMPY, **settings)
    assert all(one.category is PrecisionWarning for one in caught)
    return [str(one.message) for one in caught]


def test_data_are_told_of_once():
    inputs = of_wide_range((COUNT, SIZES[0]), 6.0)
    count = int(lost(NUMPY.xp, inputs, -1))
    for settings in ({}, {"block_size": 20, "batch_size": 10}):
        (message,) = told(inputs, **settings)
        assert message.startswith(
            f"{count} of the 1,000 numbers of inputs ({count / 1000:.1%}) are so far below the "
            "largest of their row that reproducible products take them for 0: native ones are more "
            "accurate"
        )
    assert not told(inputs, arithmetic="native")


@pytest.mark.parametrize(
    ("pixels", "scale", "lost"),
    [
        (False, 1e-20, 0),  # in both layers, told of the first
        (False, 2.0**-33, 0),
        (True, 2.0**-33, 1),  # beside pixels slices are of 35 bits
    ],
)
def test_weights_are_told_of_once(pixels, scale, lost):
    parameters = MLP(SIZES).initialize(seed=0, backend=NUMPY)
    for layer in parameters:
        layer["W"][...] = 1.0
        layer["W"][::2] = scale
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 256, size=(COUNT, SIZES[0]), dtype="uint8")
    settings = {"parameters": parameters, "optimizer": SGD(1e-30), "scale": 1 / 256}
    if not pixels:
        inputs, settings["scale"] = inputs / 256, None
    (message,) = told(inputs, **settings)
    size = SIZES[lost] * SIZES[lost + 1]
    assert f"{size // 2} of the {size} numbers of parameters[{lost}]['W'] (50.0%)" in message
    assert "the largest of their column" in message
    for layer in parameters:
        layer["W"][...] = 1.0
        layer["W"][:, ::2] = scale  # columns for themselves, as slices are cut
    assert not told(inputs, **settings)


def test_ordinary_data_are_not_told_of():
    shape, rng = (COUNT, SIZES[0]), np.random.default_rng(0)
    assert not told(rng.normal(size=shape))
    assert not told(of_wide_range(shape, 2.0))
    assert not told(rng.integers(0, 256, size=shape, dtype="uint8"), scale=1 / 256)


def test_a_few_are_not_told_of():
    inputs = np.random.default_rng(0).normal(size=(150, SIZES[0])).astype("float32")
    inputs[0, 0], inputs[1, 1] = 1e-20, 1e-20
    assert not told(inputs)
    inputs[2, 2] = 1e-20
    (message,) = told(inputs)
    assert message.startswith("3 of the 3,000 numbers of inputs (0.1%)")
