"""The functions that the standard lacks: against mpmath, on every backend, in both arithmetics."""

import math

import mpmath
import numpy as np
import pytest

from pluggable_mlp import get_backend, special
from pluggable_mlp.namespaces import ARITHMETICS
from tests.consistency.libraries import InArithmetic

pytestmark = pytest.mark.quick_on("jax:cpu")

POINTS = [-700.0, -80.0, -3.5, -1.0, -1e-3, 0.0, 1e-3, 0.5, 1.25, 4.0, 30.0, 80.0, 700.0]
EXACT = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "erf": mpmath.erf,
    "expm1": mpmath.expm1,
    "rsqrt": lambda x: 1 / mpmath.sqrt(x),
}
# In units in the last place: four operations of at most 4 ulp each, or documented (erf: 8).
ULPS = 16


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("arithmetic", list(ARITHMETICS))
def test_value(backend, arithmetic, name, dtype):
    library = InArithmetic(arithmetic, backend)
    limits = np.finfo(dtype)
    points = np.asarray(POINTS, dtype=dtype)
    points = points[points > 0.0] if name == "rsqrt" else points
    points = points[points <= 0.0] if name == "expm1" else points
    with mpmath.workdps(60):
        exact = np.asarray([float(EXACT[name](mpmath.mpf(float(x)))) for x in points])
    got = library.to_numpy(getattr(special, name)(library.xp, library.asarray(points)))
    assert got.dtype == dtype
    # The portable sigmoid stops at exp(-87), float64 exp(-708): 1.4 smallest normal numbers.
    allowed = ULPS * limits.eps * np.abs(exact) + 2.0 * limits.smallest_normal
    assert (np.abs(got.astype(np.float64) - exact) <= allowed).all(), got


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("arithmetic", list(ARITHMETICS))
def test_infinity_and_nan(backend, arithmetic, dtype):
    library = InArithmetic(arithmetic, backend)
    x = library.asarray([-math.inf, math.inf, math.nan], dtype=dtype)
    for name, expected in (
        ("sigmoid", [0.0, 1.0, math.nan]),
        ("softplus", [0.0, math.inf, math.nan]),
        ("erf", [-1.0, 1.0, math.nan]),
    ):
        got = library.to_numpy(getattr(special, name)(library.xp, x))
        # The portable sigmoid stops at the smallest number whose reciprocal is finite.
        np.testing.assert_allclose(
            got, expected, atol=2.0 * np.finfo(dtype).smallest_normal, rtol=0.0, err_msg=name
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("arithmetic", list(ARITHMETICS))
def test_where_positive_chooses_by_the_sign(backend, arithmetic, dtype):
    library = InArithmetic(arithmetic, backend)
    tiny = float(np.finfo(dtype).smallest_normal)
    x = [math.inf, 1.0, tiny, 0.0, -0.0, -tiny, -1.0, -math.inf]
    a = [3.0, -2.5, 7.0, 4.0, 1e30, -1e30, 5.0, 6.0]
    x, a = (library.asarray(values, dtype=dtype) for values in (x, a))
    for b, otherwise in ((), [0.0] * 5), ((-a,), [-4.0, -1e30, 1e30, -5.0, -6.0]):
        chosen = library.to_numpy(special.where_positive(library.xp, x, a, *b))
        np.testing.assert_array_equal(chosen, np.asarray([3.0, -2.5, 7.0, *otherwise], dtype=dtype))
    nan = library.asarray([math.nan], dtype=dtype)
    chosen = special.where_positive(library.xp, nan, library.xp.ones_like(nan))
    assert library.to_numpy(chosen).tolist() == [1.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_reproducible_tanh_of_softplus_rounds_each_of_the_two(backend, dtype):
    """Its bits are published as those of Mish; other namespaces have one exponential."""
    library = InArithmetic("reproducible", backend)
    x = np.random.default_rng(0).normal(scale=5.0, size=200).astype(dtype)
    xp, x = library.xp, library.asarray(x)
    (one, _), two = special.tanh_of_softplus(xp, x), xp.tanh(special.softplus(xp, x))
    assert library.to_numpy(one).tobytes() == library.to_numpy(two).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("arithmetic", list(ARITHMETICS))
def test_cosines_and_sines_of_turns(backend, arithmetic, dtype):
    """Absolute: to 2^-51, or 2^-22 in float32, also of many turns, whose whole ones are exact."""
    library = InArithmetic(arithmetic, backend)
    edges = [0.0, 0.125, 0.25, 0.375, 0.5, -0.25, 0.75, 100.25, -3.5, 1000.625]
    points = [*edges, *np.random.default_rng(0).normal(scale=3.0, size=200)]
    points = np.asarray(points, dtype=dtype)
    got = special.cos_and_sin_of_turns(library.xp, library.asarray(points))
    with mpmath.workdps(40):
        angles = [2 * mpmath.pi * mpmath.mpf(float(x)) for x in points]
        exact = [np.asarray([float(f(a)) for a in angles]) for f in (mpmath.cos, mpmath.sin)]
    for ours, right in zip(got, exact, strict=True):
        host = library.to_numpy(ours)
        assert host.dtype == dtype
        allowed = 2.0**-51 if dtype == "float64" else 2.0**-22
        assert abs(host - right).max() <= allowed


PRODUCTS = {
    "matmul": lambda a, b: (a, b),
    "times_transposed": lambda a, b: (a, b.mT),
    "transposed_times": lambda a, b: (a.mT, b),
}


@pytest.mark.parametrize("k", [1, 2, 3, 70])  # aᵀ b of 70 rows or more is its transpose on PyTorch
@pytest.mark.parametrize("rows", [4, 70])
@pytest.mark.parametrize("networks", [(), (2,)])
@pytest.mark.parametrize("arithmetic", list(ARITHMETICS))
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_integers_are_exact(backend, arithmetic, name, networks, rows, k):
    library = InArithmetic(arithmetic, backend)
    rng = np.random.default_rng(k)
    shapes = (*networks, rows, k), (*networks, k, 5)
    a, b = (rng.integers(-9, 10, size=shape).astype("float32") for shape in shapes)
    operands = map(library.asarray, PRODUCTS[name](a, b))
    got = getattr(special, name)(library.xp, *operands)
    np.testing.assert_array_equal(library.to_numpy(got), a @ b)


@pytest.mark.parametrize("shape", [(5, 1), (1, 5), (2, 1, 3), (1, 1), (3, 4)])
@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("arithmetic", list(ARITHMETICS))
def test_sum_and_mean_of_integers_are_exact(backend, arithmetic, axis, shape):
    library = InArithmetic(arithmetic, backend)
    x = np.arange(float(math.prod(shape))).reshape(shape) * 12.0
    for name in ("sum", "mean"):
        got = getattr(special, name)(library.xp, library.asarray(x), axis=axis)
        np.testing.assert_array_equal(library.to_numpy(got), getattr(np, name)(x, axis=axis))


# Few columns beside many rows are stored by columns; the bias may have leading axes.
@pytest.mark.parametrize(("batch", "outputs"), [(3, 5), (100, 7), (40, 3), (1, 4)])
@pytest.mark.parametrize("networks", [(), (2,)])
@pytest.mark.parametrize("arithmetic", list(ARITHMETICS))
def test_affine_of_integers_is_exact(backend, arithmetic, networks, batch, outputs):
    library = InArithmetic(arithmetic, backend)
    rng = np.random.default_rng(batch)
    x, W, b = (
        rng.integers(-9, 10, size=(*networks, *size)).astype("float32")
        for size in ((batch, 6), (6, outputs), (outputs,))
    )
    got = special.affine(library.xp, *map(library.asarray, (x, W, b)))
    np.testing.assert_array_equal(library.to_numpy(got), x @ W + b[..., None, :])


def test_a_namespace_of_its_own_is_asked_first():
    class Own:
        beyond_standard = ("affine", "erf", "expm1", "rsqrt", "sigmoid", "softplus")

        def __getattr__(self, name):
            return lambda *_: f"own {name}"

    for name in ("sigmoid", "softplus", "erf", "expm1", "rsqrt"):
        assert getattr(special, name)(Own(), None) == f"own {name}"
    assert special.affine(Own(), None, None, None) == "own affine"


def test_functions_of_a_library_that_only_share_a_name_are_not_called(monkeypatch):
    xp = get_backend("numpy").xp
    x = np.asarray([[1.0, 2.0]])
    names = ("sigmoid", "softmax", "softplus", "erf", "rsqrt")
    expected = [getattr(special, name)(xp, x) for name in names]
    affine = special.affine(xp, x, x.T, x[0, :1])
    for name in (*names, "affine"):
        monkeypatch.setattr(xp, name, lambda *_: pytest.fail("it was called"), raising=False)
    for name, array in zip(names, expected, strict=True):
        np.testing.assert_array_equal(getattr(special, name)(xp, x), array)
    np.testing.assert_array_equal(special.affine(xp, x, x.T, x[0, :1]), affine)
