"""Checks that a device has float64, and exact products if every partial sum is exact.

All other modules rely on this (see `splitting`); each device is tried once per process.  The
processor's BLAS follows IEEE 754.  A GPU's library may emulate float64 by narrower numbers, as
cuBLAS does if its environment asks for it (https://docs.nvidia.com/cuda/cublas, "Floating Point
Emulation"), or lack float64.
"""

from pluggable_mlp.arrays import Array, Device, Namespace, device_of, is_cpu, library_of, transpose
from pluggable_mlp.arrays.compiling import trusted
from pluggable_mlp.arrays.shortcuts import take_rows

# Widths of the slices in products: 2^width left 2^width right LENGTH is 2^53.
WIDTHS = ((29, 14), (21, 22))
LENGTH = 1024
_ROWS, _COPIES = 4, 256


class ArithmeticUnavailable(RuntimeError):  # noqa: N818 (beside `BackendUnavailable`)
    """Raised if a device cannot compute as an arithmetic promises.

    Attributes
    ----------
    arithmetic, device : str
        The names of both.
    reason : str
        What the device does instead.
    remedy : str
        What the user can do about it.

    See Also
    --------
    reproducible

    Examples
    --------
    >>> from pluggable_mlp import ArithmeticUnavailable
    >>> error = ArithmeticUnavailable(
    ...     "reproducible", "some:gpu", reason="it has no float64", remedy="use a processor"
    ... )
    >>> print(error)
    arithmetic reproducible is not available on some:gpu: it has no float64; use a processor
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


def traced() -> ArithmeticUnavailable:
    """Return the error for an operand whose values JAX does not reveal."""
    return ArithmeticUnavailable(
        "reproducible",
        "what JAX traces",
        "jit and vmap round otherwise than operation by operation, and grad takes no notice of "
        "rounding",
        "call it outside of the traced function, or use the arithmetic 'native' there",
    )


def require_float64(xp: Namespace) -> None:
    """Raise `ArithmeticUnavailable` if a library turns float64 into float32 in this process."""
    if xp.result_type(xp.float64) != xp.float64:
        raise ArithmeticUnavailable(
            "reproducible",
            library_of(xp),
            "it makes float32 of float64 in this process",
            "have it keep 64 bits, as JAX does after "
            "jax.config.update('jax_enable_x64', True), or use the arithmetic 'native'",
        )


def require_exact_products(xp: Namespace, x: Array) -> None:
    """Raise unless float64 products on the device of `x` (any shape) are exact.

    Nothing is tried for arrays on the host, for arrays without a device (within a function that
    JAX compiles), or on a device that was tried before.

    Raises
    ------
    ArithmeticUnavailable
        If the device lacks float64, or does not round its products as IEEE 754 does.
    """
    device = device_of(x)
    if device is not None:  # CuPy's cannot be hashed
        trusted((xp, str(device)), lambda: is_cpu(x) or all(_try(xp, device, *w) for w in WIDTHS))


def _try(xp: Namespace, device: Device, left: int, right: int) -> bool:
    """Multiply matrices (1024, 1024) of few distinct rows and columns; raise for other integers."""
    rows, columns = _extreme(left), _extreme(right)
    expected = [[sum(map(int.__mul__, row, column)) for column in columns] for row in rows]
    try:
        a, b, c = (
            xp.asarray([[*map(float, row)] for row in matrix], dtype=xp.float64, device=device)
            for matrix in (rows, columns, expected)
        )
    except (TypeError, ValueError) as error:  # PyTorch's for Apple's GPUs, array-api-strict's
        raise _unavailable(device, f"it has no float64 ({error})") from error
    if a.dtype != xp.float64:
        raise _unavailable(device, f"float64 arrays become {a.dtype} there")
    many = xp.asarray([*range(_ROWS)] * _COPIES, dtype=xp.int64, device=device)
    product = xp.matmul(take_rows(xp, a, many), transpose(take_rows(xp, b, many)))
    every = take_rows(xp, transpose(take_rows(xp, c, many)), many)  # by columns
    if not bool(xp.all(transpose(product) == every)):
        reason = (
            "its float64 products are not exact, although IEEE 754 makes them so "
            "(CUBLAS_EMULATE_DOUBLE_PRECISION, or another setting, may ask for a lower precision)"
        )
        raise _unavailable(device, reason)
    return True


def _extreme(width: int) -> list[list[int]]:
    """Return rows of integers close to 2^width: of one sign, and of alternating and mixed signs.

    Sums of products of the first rows come to nearly 2^53; of others, most cancels, and the rest
    lies in the last bits.
    """
    largest = 2**width
    steps = [[(7 * row + 1) * place * place % 61 for place in range(LENGTH)] for row in range(2)]
    one_sign = [[largest - step for step in row] for row in steps]
    signs = ([1, -1] * (LENGTH // 2), [1, -1, -1] * (LENGTH // 3) + [1])
    mixed = [list(map(int.__mul__, *pair)) for pair in zip(one_sign, signs, strict=True)]
    return one_sign + mixed


def without_float64(device: Device) -> ArithmeticUnavailable:
    """Return the error for a device without float64."""
    return _unavailable(device, "it has no float64")


def _unavailable(device: Device, reason: str) -> ArithmeticUnavailable:
    remedy = "use the arithmetic 'native' there (--arithmetic native), or another device"
    return ArithmeticUnavailable("reproducible", str(device), reason, remedy)
