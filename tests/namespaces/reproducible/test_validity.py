"""A namespace that looks at no value: the bits of one that looks, or a flag raised."""

import math

import numpy as np
import pytest

from pluggable_mlp import reproducible, to_native
from tests.emulated_card import counting
from tests.together import together

DTYPES = ("float32", "float64")
LARGEST = {"float32": 2.0**127, "float64": 2.0**429}
SMALLEST = {"float32": 2.0**-126, "float64": 2.0**-429}


def numbers(shape, dtype, seed=0):
    """Of every magnitude that has a fast path; zeros, a row and a column of them, among these."""
    rng = np.random.default_rng(seed)
    low, high = math.log2(SMALLEST[dtype]), math.log2(LARGEST[dtype])
    x = rng.choice([-1.0, 0.0, 1.0], size=shape) * 2.0 ** rng.uniform(low, high, size=shape)
    x[rng.uniform(size=shape) < 0.5] = rng.normal()
    x[3, :] = 0.0
    x[:, 3] = 0.0
    return x.astype(dtype)


FORMULAS = {
    "matmul": lambda xp, x, y: x @ y,
    "outer product": lambda xp, x, y: x[:, :1] @ y[:1, :],
    "affine": lambda xp, x, y: xp.affine(x, y, y[0, :]),
    "transposed": lambda xp, x, y: y.mT @ x.mT,
    "few columns": lambda xp, x, y: x @ y[:, :5],
    "stacked": lambda xp, x, y: xp.stack([x, x]) @ xp.stack([y, y]),
    "nothing": lambda xp, x, y: x[:, :0] @ y[:0, :],
    "sum": lambda xp, x, y: xp.sum(x, axis=0),
    "sum of all": lambda xp, x, y: xp.sum(x),
    "mean": lambda xp, x, y: xp.mean(y, axis=-1),
}


def both(backend, formula, *arrays):
    """The bits by looking, those without, and whether the flag is raised."""
    looking = reproducible(backend.xp)
    blind = reproducible(backend.xp, None).speculating()
    there = [backend.asarray(x) for x in arrays]
    with np.errstate(all="ignore"):
        results = [
            backend.to_numpy(to_native(formula(xp, *map(xp.asarray, there))))
            for xp in (looking, blind)
        ]
    return (*results, not bool(blind.all_valid(there[0])))


@together("dtype", DTYPES)
@together("name", FORMULAS)
def test_the_fast_path_gives_the_bits_of_the_careful_one(backend, name, dtype):
    x, y = numbers((12, 40), dtype), numbers((40, 30), dtype, seed=1)
    careful, fast, raised = both(backend, FORMULAS[name], x, y)
    assert not raised
    assert careful.tobytes() == fast.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_pixels_need_no_flag(backend, dtype):
    pixels = np.random.default_rng(0).integers(0, 256, size=(12, 40), dtype=np.uint8)

    def product(xp, pixels):
        x = xp.astype(pixels, getattr(xp, dtype)) * 0.5
        return x @ x.mT

    careful, fast, raised = both(backend, product, pixels)
    assert not raised
    assert careful.tobytes() == fast.tobytes()


SPECIAL = [math.nan, math.inf, -math.inf]
EXTREME = [2.0**440, -(2.0**440), 2.0**-440]


@together("dtype", DTYPES)
@together("side", ["left", "right"])
@together("name", ["matmul", "affine", "outer product"])
def test_what_the_fast_path_gets_wrong_raises_the_flag(backend, name, side, dtype):
    """In matrices so large that a maximum of JAX loses NaN, and at the end of a row of zeros."""
    for value in (*SPECIAL, *(EXTREME if dtype == "float64" else [])):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(90, 70)).astype(dtype), rng.normal(size=(70, 80)).astype(dtype)
        row = x[-1, :] if side == "left" else y[:, -1]
        row[:] = 0.0
        row[0] = value
        xp = reproducible(backend.xp, None).speculating()
        a, b = (xp.wrap(backend.asarray(array)) for array in (x, y))
        with np.errstate(all="ignore"):
            if name == "affine":
                xp.affine(a, b, xp.zeros((80,), dtype=a.dtype, device=a.device))
            else:
                FORMULAS[name](xp, a, b)
        assert not bool(xp.all_valid(a.native)), value


def test_sums_raise_it_in_float64(backend):
    for value in (*SPECIAL, *EXTREME):
        x = np.zeros((70, 80))
        x[1, 2] = value
        for name in ("sum", "sum of all"):
            assert both(backend, FORMULAS[name], x, x)[2], value


def test_sums_of_float32_have_one_path(backend):
    x = np.ones((70, 80), dtype=np.float32)
    x[1, 2], x[4, 5], x[4, 6], x[7, 7] = math.nan, math.inf, -math.inf, math.inf
    careful, fast, raised = both(backend, FORMULAS["sum"], x, x)
    assert not raised
    assert careful.tobytes() == fast.tobytes()


def test_nothing_waits_for_the_device(cupy_backend):
    base = reproducible(cupy_backend.xp, None)

    def layer(xp):
        x, W, b = (xp.wrap(array) for array in arrays)
        y = xp.sigmoid(xp.affine(x, W, b))
        return xp.sum(x.mT @ (y * (1.0 - y) / 3.0), axis=0)

    for dtype in DTYPES:
        shapes = (40, 30), (30, 200), (200,)
        arrays = [cupy_backend.asarray(np.ones(shape, dtype=dtype)) for shape in shapes]
        layer(base)  # tables are made, products of the device tried
        xp = base.speculating()
        with counting() as counts:
            layer(xp)
            raised = ~xp.all_valid(arrays[0])
        assert not counts.waits
        assert not bool(raised)


def test_nothing_is_valid(backend):
    xp = reproducible(backend.xp).speculating()
    flag = xp.all_valid(backend.asarray([1.0]))
    assert flag.shape == ()
    assert bool(flag)


def test_namespaces_do_not_share_their_flags(backend):
    base = reproducible(backend.xp)
    one, other = base.speculating(), base.speculating()
    nan = one.asarray(backend.asarray([[math.nan]]))
    with np.errstate(all="ignore"):
        nan @ nan
    assert not bool(one.all_valid(nan.native))
    assert bool(other.all_valid(nan.native))
    with pytest.raises(TypeError, match="expected one namespace"):
        nan * other.wrap(nan.native)
