"""Functions that the array API standard lacks, or that benefit from a special case.

A function of the same name from a backend or from a namespace of this project is preferred: the
reproducible namespace rounds each once, and a library's own is a single kernel on a GPU.  The
portable implementations use functions of the standard and are stable for every finite input.
"""

import math
from collections.abc import Callable
from functools import partial

from pluggable_mlp.arrays import Array, Namespace, by_columns, transpose
from pluggable_mlp.arrays.shortcuts import in_one_kernel, own
from pluggable_mlp.elementary.common import COSINE, SINE, horner, type_name
from pluggable_mlp.elementary.error_function import fast_erf

__all__ = [
    "affine",
    "by_rows",
    "complementary_products",
    "cos_and_sin_of_turns",
    "erf",
    "exchanged",
    "lerp_and_difference",
    "matmul",
    "mean",
    "rsqrt",
    "sigmoid",
    "softmax",
    "softplus",
    "sum",
    "tanh_of_softplus",
    "times_transposed",
    "transposed_times",
]

# exp(87) is finite in float32 and exp(708) in float64; beyond, 1 + exp(-x) would overflow.
_LARGEST_EXPONENT = {"float32": 87.0, "float64": 708.0}
# exp(-60) and exp(-600) leave room for an example's share in the batch, and for small weights.
_SMALLEST_EXPONENT = {"float32": -60.0, "float64": -600.0}

# The sum and the mean of a single element, as in a batch of 1, is that element.
_ONLY_ELEMENT = {-1: (..., 0), -2: (..., 0, slice(None))}


def affine(xp: Namespace, x: Array, W: Array, b: Array) -> Array:
    """Return x W + b for x (…, batch, in), W (…, in, out), b (…, out)."""
    function = own(xp, "affine")
    if function is not None:
        return function(x, W, b)
    if by_columns(x.shape[-2], W.shape[-1]):
        y = transpose(own(xp, "matmul")(transpose(W), transpose(x)))
    else:
        y = matmul(xp, x, W)
    y += b if b.ndim == 1 else xp.expand_dims(b, axis=-2)
    return y


def matmul(xp: Namespace, a: Array, b: Array) -> Array:
    """Return a b for a (…, m, k) and b (…, k, n): by broadcasting, without BLAS, for k = 1."""
    return a * b if a.shape[-1] == 1 else own(xp, "matmul")(a, b)


def times_transposed(xp: Namespace, a: Array, b: Array) -> Array:
    """Return a bᵀ for a (…, m, k) and b (…, n, k)."""
    function = own(xp, "times_transposed")
    return matmul(xp, a, transpose(b)) if function is None else function(a, b)


def transposed_times(xp: Namespace, a: Array, b: Array) -> Array:
    """Return aᵀ b for a (…, k, m) and b (…, k, n)."""
    function = own(xp, "transposed_times")
    if function is None or a.shape[-2] == 1:
        return matmul(xp, transpose(a), b)
    return function(a, b)


def sum(xp: Namespace, x: Array, axis: int, *, keepdims: bool = False) -> Array:
    """Return the sum of x (…, m, n) along an axis."""
    if axis in _ONLY_ELEMENT and x.shape[axis] == 1:
        return x if keepdims else x[_ONLY_ELEMENT[axis]]
    return own(xp, "sum")(x, axis=axis, keepdims=keepdims)


def mean(xp: Namespace, x: Array, axis: int) -> Array:
    """Return the mean of x (…, m, n) along an axis."""
    if axis in _ONLY_ELEMENT and x.shape[axis] == 1:
        return x[_ONLY_ELEMENT[axis]]
    function = own(xp, "mean")
    return (
        own(xp, "sum")(x, axis=axis) / x.shape[axis] if function is None else function(x, axis=axis)
    )


def lerp_and_difference(xp: Namespace, x: Array, y: Array, a: Array) -> tuple[Array, Array]:
    """Return x + a (y - x), the linear interpolation, and y - x, for shapes that broadcast."""
    if function := own(xp, "lerp_and_difference"):
        mixed, difference = function(x, y, a)
        return mixed, difference
    difference = y - x
    return x + difference * a, difference


def complementary_products(xp: Namespace, x: Array, a: Array) -> tuple[Array, Array]:
    """Return x a, and x (1 - a) as x - x a, for shapes that broadcast."""
    if function := own(xp, "complementary_products"):
        product, rest = function(x, a)
        return product, rest
    product = x * a
    return product, x - product


def exchanged(xp: Namespace, x: Array) -> Array:
    """Return (…, n, m, features) of x (…, m, n, features)."""
    leading = range(x.ndim - 3)
    return xp.permute_dims(x, (*leading, x.ndim - 2, x.ndim - 3, x.ndim - 1))


def by_rows(xp: Namespace, x: Array, function: Callable[[Namespace, int, int], Array]) -> Array:
    """Return function(xp, first row, rows) (rows, m), which depends on the rows of x (…, n, m).

    A namespace whose arrays are divided among processes requests only its own rows.
    """
    own_rows = own(xp, "by_rows")
    return function(xp, 0, x.shape[-2]) if own_rows is None else own_rows(x, function)


def without_underflow(xp: Namespace, x: Array) -> Array:
    """Return x, but no less than -60 (-600 in float64): exp(x) / 10^12 is a normal number.

    Many processors multiply matrices with denormal numbers several times as slowly.  In
    reproducible arithmetic those numbers are zero, and the result is x.
    """
    return x if _is_reproducible(xp) else xp.maximum(x, _SMALLEST_EXPONENT[type_name(xp, x)])


def _is_reproducible(xp: Namespace) -> bool:
    """Return whether xp has a softplus that rounds almost once, which no library offers."""
    return own(xp, "softplus") is not None


def sigmoid(xp: Namespace, x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), of the shape of x, without overflow."""
    function = own(xp, "sigmoid")
    return in_one_kernel(xp, _sigmoid, x) if function is None else function(x)


def _sigmoid(xp: Namespace, x: Array) -> Array:
    y = xp.exp(xp.minimum(-x, _LARGEST_EXPONENT[type_name(xp, x)]))
    y += 1.0
    return 1.0 / y


def expm1(xp: Namespace, x: Array) -> Array:
    """Return exp(x) - 1 for x <= 0, of the shape of x.

    With t = tanh(x/2) it is 2 t / (1 - t), which is accurate where exp(x) is near 1.
    """
    function = own(xp, "expm1")
    if function is not None:
        return function(x)
    t = xp.tanh(x * 0.5)
    return (t + t) * (1.0 / (1.0 - t))


def softmax(xp: Namespace, x: Array) -> Array:
    """Return exp(x) / sum(exp(x)) over the last axis, of the shape of x, without overflow."""
    function = own(xp, "softmax")
    if function is not None:
        return function(x)
    exponentials = xp.exp(x - xp.max(x, axis=-1, keepdims=True))  # XLA may lose NaN: the sum has it
    return exponentials * (1.0 / sum(xp, exponentials, -1, keepdims=True))


def softplus(xp: Namespace, x: Array) -> Array:
    """Return log(1 + exp(x)) as max(x, 0) + log1p(exp(-|x|)), of the shape of x."""
    function = own(xp, "softplus")
    return in_one_kernel(xp, _softplus, x) if function is None else function(x)


def _softplus(xp: Namespace, x: Array) -> Array:
    y = xp.log1p(xp.exp(-xp.abs(x)))
    y += xp.maximum(x, 0.0)
    return y


def tanh_of_softplus(xp: Namespace, x: Array) -> tuple[Array, Callable[[], Array]]:
    """Return tanh(log(1 + exp(x))), of the shape of x, and a function () -> sigmoid(x).

    With e = exp(x) and n = e (e + 2) they are n / (n + 2) and e / (e + 1).
    """
    if _is_reproducible(xp):
        return xp.tanh(softplus(xp, x)), partial(sigmoid, xp, x)
    t, e = in_one_kernel(xp, _tanh_of_softplus, x)
    return t, lambda: e / (e + 1.0)


def _tanh_of_softplus(xp: Namespace, x: Array) -> tuple[Array, Array]:
    e = xp.exp(xp.minimum(x, 20.0))  # 1 to the last bit from there on
    n = e * (e + 2.0)
    return n / (n + 2.0), e


def erf(xp: Namespace, x: Array) -> Array:
    """Return the error function of x, of the shape of x, within 8 units in the last place."""
    return (own(xp, "erf") or partial(fast_erf, xp))(x)


def cos_and_sin_of_turns(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """Return cos(2 pi x) and sin(2 pi x), of the shape of x, to 2^-51 (2^-22 in float32).

    Whole turns, then quarters are taken away, exactly; |a| <= pi/4 is the rest.  With q quarters,
    from -2 to 2, cos(q pi/2) = 1 - |q| and sin(q pi/2) = q (2 - |q|), each 0, 1 or -1.
    """
    turns = x - xp.round(x)
    q = xp.round(turns * 4.0)
    a = (turns - q * 0.25) * (2.0 * math.pi)
    z = a * a
    s = a + a * z * horner(z, SINE)
    c = 1.0 - (z * 0.5 - z * z * horner(z, COSINE))
    size = xp.abs(q)
    cos_q, sin_q = 1.0 - size, q * (2.0 - size)
    return c * cos_q - s * sin_q, s * cos_q + c * sin_q


def where_positive(xp: Namespace, x: Array, a: Array, b: Array | None = None) -> Array:
    """Return `a` where x > 0, else `b` (0 without one): finite floats of the shape of x.

    Where x is NaN, the result without a `b` is `a` (the loss is NaN anyway).  Where `a` or `b` is
    infinite, it may be NaN, as if 0 times infinity were added.
    """
    function = own(xp, "where_positive")
    return xp.where(x <= 0.0, 0.0 if b is None else b, a) if function is None else function(x, a, b)


def rsqrt(xp: Namespace, x: Array) -> Array:
    """Return 1 / sqrt(x), of the shape of x."""
    function = own(xp, "rsqrt")
    return 1.0 / xp.sqrt(x) if function is None else function(x)
