"""What JAX compiles exactly has the bits of NumPy; what it compiles otherwise has not."""

import warnings

import numpy as np
import pytest

from pluggable_mlp import get_backend, reproducible, to_native
from pluggable_mlp.arrays import compiling
from tests.elementary.cases import every_kind

jax = pytest.importorskip("jax")

from pluggable_mlp.backends import jax_exact  # noqa: E402 (only if JAX is there)
from pluggable_mlp.backends.jax_exact import exact_jit, is_exact_on  # noqa: E402

JAX, NUMPY = get_backend("jax:cpu"), get_backend("numpy")
DTYPES = ("float32", "float64")


def of_probes(xp, probes):
    return [y for of_dtype in probes for y in jax_exact._formulas(xp, *of_dtype)]


def compiled_by(compiler):
    """Which of the formulas, in either dtype, differ from NumPy's where this compiles them."""
    host = jax_exact._probes()
    there = [[JAX.asarray(x) for x in of_dtype] for of_dtype in host]
    found = compiler(lambda probes: of_probes(jax.numpy, probes))(there)
    expected = of_probes(np, host)
    return [np.asarray(x).tobytes() != y.tobytes() for x, y in zip(found, expected, strict=True)]


def test_no_formula_differs_and_jit_changes_most():
    assert is_exact_on(JAX._device)
    assert not any(compiled_by(exact_jit))
    assert sum(compiled_by(jax.jit)) >= 20


NAMES = (
    "exp", "expm1", "log", "log1p", "log2", "log10", "tanh", "sqrt", "rsqrt", "reciprocal",
    "sigmoid", "softplus", "erf",
)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_elementary_functions_keep_their_bits(name, dtype):
    x = every_kind(dtype)
    host = reproducible(NUMPY.xp)
    expected = to_native(getattr(host, name)(host.asarray(x)))
    base = reproducible(JAX.xp, None)

    def apply(x):
        xp = base.for_tracing()
        return getattr(xp, name)(xp.asarray(x)).native

    found = np.asarray(exact_jit(apply)(JAX.asarray(x)))
    both_nan = np.isnan(found) & np.isnan(expected)
    assert np.where(both_nan, 0.0, found).tobytes() == np.where(both_nan, 0.0, expected).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_and_sums_keep_their_bits(dtype):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in ((70, 1100), (1100, 90), (90,))]

    def formula(xp, x, W, b):
        y = xp.affine(x, W, b)
        return [z.native for z in (y, xp.sum(y, axis=0), xp.mean(y), y.mT @ x, xp.std(W, axis=1))]

    host = reproducible(NUMPY.xp)
    expected = formula(host, *map(host.asarray, arrays))
    base = reproducible(JAX.xp, None)

    def apply(*arrays):
        xp = base.for_tracing()
        return formula(xp, *map(xp.asarray, arrays))

    found = exact_jit(apply)(*map(JAX.asarray, arrays))
    assert [np.asarray(x).tobytes() for x in found] == [x.tobytes() for x in expected]


@pytest.mark.parametrize(
    "formula",
    [
        lambda a, b: jax.numpy.square(a) + b,  # one rounding, or two
        lambda a, b: jax.numpy.sum(jax.numpy.sum(a.reshape(8, 8, 96), axis=1), axis=0),  # one sum
    ],
    ids=["square", "sums of sums"],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_squares_and_sums_are_those_of_single_operations(formula, dtype):
    arrays = np.random.default_rng(0).normal(size=(2, 64, 96)).astype(dtype)
    a, b = map(JAX.asarray, arrays)
    expected = np.asarray(formula(a, b))
    assert np.asarray(exact_jit(formula)(a, b)).tobytes() == expected.tobytes()
    assert np.asarray(jax.jit(formula)(a, b)).tobytes() != expected.tobytes()


def test_trees_numbers_and_what_is_used_up():
    def function(tree, number, nothing):
        return {"y": (tree["x"] * number + 0.1, nothing)}

    x = JAX.asarray([1.0, 2.0])
    compiled = exact_jit(function, (0,))
    result = compiled({"x": x}, 0.1, None)
    assert result["y"][1] is None
    assert np.asarray(result["y"][0]).tolist() == [1.0 * 0.1 + 0.1, 2.0 * 0.1 + 0.1]
    assert x.is_deleted()
    again = compiled({"x": JAX.asarray([1.0, 2.0])}, 0.3, None)
    assert np.asarray(again["y"][0]).tolist() == [1.0 * 0.3 + 0.1, 2.0 * 0.3 + 0.1]


def test_loops_that_round_run_operation_by_operation():
    def rounding(x):
        return jax.lax.fori_loop(0, 3, lambda _, y: y * 0.1 + 0.2, x)

    def counting(x):
        return jax.lax.fori_loop(0, 3, lambda _, y: y + 1, x)

    assert int(exact_jit(counting)(JAX.asarray(0))) == 3
    with pytest.raises(NotImplementedError, match="mul within"):
        exact_jit(rounding)(JAX.asarray(0.5))
    compiled = JAX.compile(rounding, exact=True)
    with pytest.warns(UserWarning, match="operation by operation"):
        assert float(compiled(JAX.asarray(0.5))) == float(rounding(JAX.asarray(0.5)))


@pytest.fixture
def tried_anew(monkeypatch):
    monkeypatch.setattr(compiling, "_trials", {})


@pytest.mark.parametrize(
    ("name", "broken", "reason"),
    [
        ("_ROUNDED", (), "its results differ"),
        ("_ROUNDED", jax_exact._ROUNDED[1:], "its results differ"),
        ("_from_bool", lambda equation: False, "its results differ"),
        ("_OPTIONS", {"xla_no_such_option": True}, "Error: "),
    ],
)
def test_where_bits_change_nothing_is_compiled_and_one_line_says_so(
    monkeypatch, tried_anew, name, broken, reason
):
    monkeypatch.setattr(jax_exact, name, broken)
    with pytest.warns(UserWarning, match=reason) as caught:
        assert JAX.compile(abs, exact=True) is None
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert JAX.compile(abs, exact=True) is None  # said once
