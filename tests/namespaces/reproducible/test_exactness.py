"""A device whose float64 products are not exact is found out before anything is computed there."""

import pickle

import numpy as np
import pytest

from pluggable_mlp import get_backend
from pluggable_mlp.arrays import compiling
from pluggable_mlp.namespaces.reproducible import exactness, products
from pluggable_mlp.namespaces.reproducible.exactness import ArithmeticUnavailable
from tests.namespaces.reproducible.kernels import matmul


@pytest.fixture(autouse=True)
def _a_new_process(monkeypatch):
    monkeypatch.setattr(compiling, "_trials", {})


def cut_to(bits):
    """Return a function that keeps so many leading bits of a NumPy array's elements."""

    def cut(x):
        mantissa, exponent = np.frexp(x)
        return np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent)

    return cut


def product(convert, spoil=lambda result: result):
    """Return a product of matrices whose operands are converted, and whose result is spoilt."""

    def matmul(a, b):
        result = np.matmul(convert(a.get()), convert(b.get())).astype(np.float64)
        return get_backend("cupy").asarray(spoil(result))

    return matmul


def one_unit_off(result):
    if result.shape[0] > 500:  # where a library takes another kernel
        result[700, 900] = np.nextafter(result[700, 900], np.inf)
    return result


WRONG = {
    "float32": product(np.float32),
    "TF32": product(cut_to(11)),
    "three bfloat16": product(cut_to(24)),
    "28 bits": product(cut_to(28)),
    "sums of 52 bits": product(np.asarray, cut_to(52)),
    "one element of large products": product(np.asarray, one_unit_off),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_inexact_products_are_refused(monkeypatch, wrong, cupy_backend):
    xp, one = cupy_backend.xp, cupy_backend.asarray([[1.0]])
    monkeypatch.setattr(xp, "matmul", WRONG[wrong])
    with pytest.raises(ArithmeticUnavailable, match="products are not exact") as caught:
        matmul(xp, one, one)
    assert caught.value.device == "<CUDA Device 0>"
    assert "CUBLAS_EMULATE_DOUBLE_PRECISION" in caught.value.reason
    assert "use the arithmetic 'native' there" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def no_float64(*_, dtype, **__):
    raise TypeError("this device does not support float64")


def float32_instead(data, *, dtype, **_):
    return get_backend("cupy").asarray(np.asarray(data), dtype="float32")


@pytest.mark.parametrize(
    ("asarray", "said"),
    [
        (no_float64, r"it has no float64 \(this device does not support float64\)"),
        (float32_instead, "float64 arrays become float32 there"),
    ],
)
def test_a_device_without_float64_is_refused(monkeypatch, asarray, said, cupy_backend):
    xp, one = cupy_backend.xp, cupy_backend.asarray([[1.0]], dtype="float32")
    monkeypatch.setattr(xp, "asarray", asarray)
    with pytest.raises(ArithmeticUnavailable, match=said):
        products.matmul(xp, None, one, one)


def test_the_slices_are_those_of_products():
    floats = [products.WIDTHS[dtype, False, False] for dtype in ("float32", "float64")]
    assert tuple((left[0], right[0]) for left, right in floats) == exactness.WIDTHS
    assert exactness.LENGTH == products.BLOCK
    for left, right in exactness.WIDTHS:
        rows, columns = exactness._extreme(left), exactness._extreme(right)
        sums = [sum(map(int.__mul__, rows[0], columns[0])), 2 ** (left + right) * len(rows[0])]
        assert sums[1] == 2**53
        assert 0.99 < sums[0] / sums[1] < 1.0
