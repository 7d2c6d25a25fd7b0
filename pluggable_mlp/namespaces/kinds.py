"""The functions of the array API standard by kind: the table for all three namespaces.

Each namespace treats a kind in its own way; functions without a kind or a rule there are missing.
"""

from collections.abc import Callable
from typing import Any

# fmt: off
CONSTANTS = ("e", "inf", "nan", "newaxis", "pi")
OF_DTYPES = ("can_cast", "finfo", "iinfo", "isdtype", "result_type")
LIKE = ("empty_like", "full_like", "ones_like", "zeros_like")

# Elementwise
COMPARING = ("equal", "greater", "greater_equal", "less", "less_equal", "not_equal")
LOGICAL = ("logical_and", "logical_not", "logical_or", "logical_xor")
OF_BITS = ("bitwise_and", "bitwise_invert", "bitwise_or", "bitwise_xor")
ASKING = ("isfinite", "isinf", "isnan")
ELEMENTWISE = (
    *COMPARING, *LOGICAL, *OF_BITS, *ASKING,
    "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_left_shift",
    "bitwise_right_shift", "ceil", "clip", "copysign", "cos", "cosh", "divide", "exp", "expm1",
    "floor", "floor_divide", "hypot", "log", "log10", "log1p", "log2", "logaddexp", "maximum",
    "minimum", "multiply", "negative", "positive", "pow", "reciprocal", "remainder", "round",
    "sign", "signbit", "sin", "sinh", "sqrt", "square", "subtract", "tan", "tanh", "trunc", "where",
)
ELEMENTWISE_BEYOND_STANDARD = ("erf", "rsqrt", "sigmoid", "softplus")

REDUCING = (
    "all", "any", "argmax", "argmin", "count_nonzero", "max", "mean", "min", "prod", "std", "sum",
    "var",
)
REARRANGING = (
    "broadcast_to", "expand_dims", "flip", "matrix_transpose", "moveaxis", "permute_dims", "repeat",
    "reshape", "roll", "squeeze", "take", "take_along_axis", "tile", "tril", "triu",
)
LINALG = ("diagonal", "matrix_transpose", "outer", "tensordot", "trace", "vecdot", "vector_norm")
# fmt: on


def by_name(*functions: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Return functions by the standard's names, which are their own."""
    return {function.__name__: function for function in functions}
