"""What the formulas may ask of an arithmetic: every operation a library may round in its own way.

`+ - abs max min where`, comparisons, gathers and conversions give the same bits on every
array library (IEEE 754 fixes them), so the formulas use them directly, from `arithmetic.xp`.
Whatever a library may round, reorder, contract or flush in its own way goes through this seam.
No implementation belongs here.
"""

from typing import Any, Protocol

from pluggable_mlp.arrays import Array, DType, Namespace

__all__ = ["Arithmetic", "ArithmeticUnavailable", "Factor"]


class ArithmeticUnavailable(RuntimeError):  # noqa: N818 (beside `BackendUnavailable`)
    """A device cannot compute as an arithmetic promises.

    Attributes
    ----------
    arithmetic, device : str
        Their names.
    reason : str
        What the device does otherwise.
    remedy : str
        What the user can do about it.
    """

    def __init__(self, arithmetic: str, device: str, reason: str, remedy: str) -> None:
        super().__init__(arithmetic, device, reason, remedy)
        self.arithmetic = arithmetic
        self.device = device
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return (
            f"arithmetic {self.arithmetic} is not available on {self.device}: {self.reason}; "
            f"{self.remedy}"
        )


class Factor(Protocol):
    """An operand of matrix products, prepared once and used in several of them.

    Under `native` it is the array itself; under `reproducible` it remembers how it was split.
    """

    @property
    def mT(self) -> Any:
        """The operand with its last two axes exchanged."""


class Arithmetic(Protocol):
    """How products, sums and transcendental functions are rounded, on one array namespace.

    Shapes: arrays are (…, batch, features); axes count from the end.
    """

    name: str
    xp: Namespace

    def factor(self, x: Array) -> Factor:
        """Prepare x, of shape (…, m, n), for matrix products; a factor comes back as it is."""

    def fixed_point(self, integers: Array, scale: float, dtype: DType) -> Factor:
        """Prepare integers * scale, scale a power of two, as a factor of floating dtype.

        `integers` (…, m, n) is of an 8-bit dtype, as the pixels of images are.
        """

    def values(self, x: Any) -> Array:
        """Return the array behind a factor; an array comes back as it is."""

    def matmul(self, a: Any, b: Any) -> Array:
        """Return the matrix product of a (…, m, k) and b (…, k, n), arrays or factors."""

    def affine(self, x: Any, W: Any, b: Array) -> Array:
        """Return x W + b for x (…, batch, in), W (…, in, out), b (…, out)."""

    def multiply(self, a: Array, b: Array | float) -> Array:
        """Return the elementwise product; b may be a Python scalar."""

    def flush(self, x: Array, dtype: DType | None = None) -> Array:
        """Return x in dtype, by default its own, as this arithmetic knows numbers.

        For what comes in, of a floating dtype.  It may be x itself; under `reproducible` what is
        too small for either dtype is +0, and all NaN are one.
        """

    def term(self, x: Array) -> Array:
        """Return x, which may be anything, as a term of plain sums; it may be x itself.

        Results of `multiply` are such terms already.
        """

    def lost(self, x: Array, axis: int, *, beside_fixed_point: bool = False) -> Array | None:
        """Return how many numbers of x (…, m, n), not 0, products take for 0: 0-d; None if none.

        x is the left operand (axis -1: each row for itself) or the right one (-2: each column),
        beside any array or, if so, beside what `fixed_point` made.
        """

    def sum(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        """Return the sum along one axis, or over all elements."""

    def mean(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        """Return the mean along one axis, or over all elements."""

    def exp(self, x: Array) -> Array:
        """Return e to the x."""

    def log(self, x: Array) -> Array:
        """Return the natural logarithm."""

    def log1p(self, x: Array) -> Array:
        """Return log(1 + x)."""

    def tanh(self, x: Array) -> Array:
        """Return the hyperbolic tangent."""

    def sigmoid(self, x: Array) -> Array:
        """Return 1 / (1 + exp(-x))."""

    def softplus(self, x: Array) -> Array:
        """Return log(1 + exp(x))."""

    def erf(self, x: Array) -> Array:
        """Return the error function."""

    def reciprocal(self, x: Array) -> Array:
        """Return 1 / x."""

    def sqrt(self, x: Array) -> Array:
        """Return the square root: IEEE 754 fixes it, but not every library keeps to it."""

    def rsqrt(self, x: Array) -> Array:
        """Return 1 / sqrt(x)."""
