"""The reproducible arithmetic: the same bits on every array library, device and number of threads.

It uses only what IEEE 754 fixes: + - *, elementwise reciprocals, comparisons, selections,
conversions, gathers, integer operations; and `matmul` and `sum` of slices so short that every
partial sum is exact, so that their order does not matter.  It knows no denormal numbers and no
negative zeros.  `products.py` and `sums.py` have the exact sums, the other modules a function
each; here is what the formulas see of them.
"""

from functools import partial
from typing import Any

from pluggable_mlp.arithmetic.contract import ArithmeticUnavailable
from pluggable_mlp.arithmetic.reproducible import products, sums
from pluggable_mlp.arithmetic.reproducible.blocks import in_blocks
from pluggable_mlp.arithmetic.reproducible.error_function import erf
from pluggable_mlp.arithmetic.reproducible.exponential import exp
from pluggable_mlp.arithmetic.reproducible.factor import FixedPoint, fixed_point
from pluggable_mlp.arithmetic.reproducible.hyperbolic import tanh
from pluggable_mlp.arithmetic.reproducible.inverse import reciprocal, rsqrt
from pluggable_mlp.arithmetic.reproducible.logarithm import log, log1p
from pluggable_mlp.arithmetic.reproducible.rounding import (
    SMALLEST_NORMAL,
    SMALLEST_PRODUCT,
    flush_product,
    keep_from,
    keep_nan,
    type_name,
    zero_below,
)
from pluggable_mlp.arithmetic.reproducible.sigmoid import sigmoid, softplus
from pluggable_mlp.arithmetic.reproducible.square_root import sqrt
from pluggable_mlp.arithmetic.running import RunAll, one_by_one
from pluggable_mlp.arrays import Array, DType, Namespace, library_of

__all__ = ["Reproducible"]


class Reproducible:
    """The same bits on every array library; see `Arithmetic` for the methods.

    Parameters
    ----------
    xp
        An array API namespace with float64.
    run_all
        Who runs the tiles of a product.

    Raises
    ------
    ArithmeticUnavailable
        If there is no float64.
    """

    name = "reproducible"

    def __init__(self, xp: Namespace, run_all: RunAll = one_by_one) -> None:
        if xp.result_type(xp.float64) != xp.float64:
            raise ArithmeticUnavailable(
                self.name,
                library_of(xp),
                "it makes float32 of float64 in this process",
                "have it keep 64 bits, as JAX does after "
                "jax.config.update('jax_enable_x64', True), or use the arithmetic 'native'",
            )
        self.xp = xp
        self.matmul = partial(products.matmul, xp, run_all=run_all)
        self.affine = partial(products.affine, xp, run_all=run_all)
        self.lost = partial(products.lost, xp)
        self.sum = partial(sums.sum, xp)
        self.mean = partial(sums.mean, xp)
        self.exp = partial(in_blocks, exp, xp)
        self.log = partial(in_blocks, log, xp)
        self.log1p = partial(in_blocks, log1p, xp)
        self.tanh = partial(in_blocks, tanh, xp)
        self.sigmoid = partial(in_blocks, sigmoid, xp)
        self.softplus = partial(in_blocks, softplus, xp)
        self.erf = partial(in_blocks, erf, xp)
        self.reciprocal = partial(in_blocks, reciprocal, xp)
        self.rsqrt = partial(in_blocks, rsqrt, xp)
        self.sqrt = partial(in_blocks, sqrt, xp)

    def factor(self, x: Any) -> Any:
        """Return x (…, m, n): its rows are cut for one product, its columns for another."""
        return x

    def fixed_point(self, integers: Array, scale: float, dtype: DType) -> FixedPoint:
        """Return integers * scale as an operand that is one slice of 8 bits, known beforehand."""
        return fixed_point(self.xp, integers, scale, dtype)

    def values(self, x: Any) -> Array:
        """Return the array behind an operand; an array comes back as it is."""
        return x.values if isinstance(x, FixedPoint) else x

    def multiply(self, a: Array, b: Array | float) -> Array:
        """Return the elementwise product, +0 where it is below 2^-102 (float64: 2^-969).

        A Python scalar b that is no normal number of the dtype of a counts as 0.
        """
        if isinstance(b, float) and abs(b) < SMALLEST_NORMAL[type_name(self.xp, a)]:
            b = 0.0
        return flush_product(self.xp, a * b)

    def flush(self, x: Array, dtype: DType | None = None) -> Array:
        """Return x in dtype, by default its own, without denormal numbers, -0 and other NaN.

        What would be denormal in dtype is +0 before the conversion: devices disagree on what
        rounds up to the smallest normal number.
        """
        xp, dtype = self.xp, x.dtype if dtype is None else dtype
        kinds = {"float32" if kind == xp.float32 else "float64" for kind in (x.dtype, dtype)}
        kept = zero_below(xp, x, max(SMALLEST_NORMAL[kind] for kind in kinds))
        kept = xp.astype(kept, dtype, copy=False)
        return keep_nan(xp, kept, kept)

    def term(self, x: Array) -> Array:
        """Return x, 0 where it is below 2^-102 (2^-969): no sum with it can be denormal."""
        return keep_from(self.xp, x, SMALLEST_PRODUCT[type_name(self.xp, x)])
