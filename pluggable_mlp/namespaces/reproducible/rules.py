"""The functions with a rule of their own, bound to a library: they take and return its arrays.

They use only what IEEE 754 fixes: + - *, elementwise reciprocals, comparisons, selections,
conversions, gathers, integer operations; and `matmul` and `sum` of slices so short that every
partial sum is exact, so that their order does not matter.  They know no denormal numbers and no
negative zeros.  `products.py` and `sums.py` have the exact sums, the other modules a function
each.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from pluggable_mlp.arrays import Array, DType, Namespace, library_of
from pluggable_mlp.executor import RunAll, one_by_one
from pluggable_mlp.namespaces.reproducible import products, sums
from pluggable_mlp.namespaces.reproducible.error_function import erf
from pluggable_mlp.namespaces.reproducible.exactness import ArithmeticUnavailable
from pluggable_mlp.namespaces.reproducible.exponential import exp
from pluggable_mlp.namespaces.reproducible.flags import Flags
from pluggable_mlp.namespaces.reproducible.logarithm import log, log1p
from pluggable_mlp.namespaces.reproducible.roots import reciprocal, rsqrt, sqrt
from pluggable_mlp.namespaces.reproducible.rounding import SMALLEST_NORMAL, keep_nan, zero_below
from pluggable_mlp.namespaces.reproducible.sigmoid import sigmoid, softplus, tanh
from pluggable_mlp.namespaces.reproducible.tiling import in_blocks

__all__ = ["Rules"]

Elementwise = Callable[[Namespace, Array], Array]


def _rule(function: Elementwise) -> Callable[[Any, Array], Array]:
    def apply(rules: "Rules", x: Array) -> Array:
        return rules.elementwise(function, x)

    apply.__doc__ = function.__doc__
    return apply


class Rules:
    """The same bits on every array library, from its own arrays.

    Parameters
    ----------
    xp
        An array API namespace with float64.
    run_all
        Who runs the tiles of a product; None where operations are not to be cut into tiles and
        blocks, as on a device with a queue.
    flags
        Where to note whether the fast paths were right, instead of looking.

    Raises
    ------
    ArithmeticUnavailable
        If there is no float64.
    """

    def __init__(
        self, xp: Namespace, run_all: RunAll | None = one_by_one, flags: Flags | None = None
    ) -> None:
        if xp.result_type(xp.float64) != xp.float64:
            raise ArithmeticUnavailable(
                "reproducible",
                library_of(xp),
                "it makes float32 of float64 in this process",
                "have it keep 64 bits, as JAX does after "
                "jax.config.update('jax_enable_x64', True), or use the arithmetic 'native'",
            )
        self.xp = xp
        self._in_blocks = run_all is not None
        self.matmul = partial(products.matmul, xp, run_all=run_all, flags=flags)
        self.affine = partial(products.affine, xp, run_all=run_all, flags=flags)
        self.lost = partial(products.lost, xp)
        self.sum = partial(sums.sum, xp, flags=flags)
        self.mean = partial(sums.mean, xp, flags=flags)

    def elementwise(self, function: Elementwise, x: Array) -> Array:
        """Return function(xp, x), in blocks where operations are cut."""
        return in_blocks(function, self.xp, x) if self._in_blocks else function(self.xp, x)

    exp = _rule(exp)
    log = _rule(log)
    log1p = _rule(log1p)
    tanh = _rule(tanh)
    sigmoid = _rule(sigmoid)
    softplus = _rule(softplus)
    erf = _rule(erf)
    reciprocal = _rule(reciprocal)
    rsqrt = _rule(rsqrt)
    sqrt = _rule(sqrt)

    def flush(self, x: Array, dtype: DType | None = None) -> Array:
        """Return floats x in dtype, by default its own, without denormal numbers, -0 and other NaN.

        What would be denormal in dtype is +0 before the conversion: devices disagree on what
        rounds up to the smallest normal number.
        """
        xp, dtype = self.xp, x.dtype if dtype is None else dtype
        kinds = {"float32" if kind == xp.float32 else "float64" for kind in (x.dtype, dtype)}
        kept = zero_below(xp, x, max(SMALLEST_NORMAL[kind] for kind in kinds))
        kept = xp.astype(kept, dtype, copy=False)
        return keep_nan(xp, kept, kept)
