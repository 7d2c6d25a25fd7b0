"""Functions by what they do with an axis that is cut."""

# fmt: off
ELEMENTWISE = (
    "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and",
    "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "ceil", "clip", "copysign", "cos", "cosh", "divide", "equal", "exp", "expm1", "floor",
    "floor_divide", "greater", "greater_equal", "hypot", "isfinite", "isinf", "isnan", "less",
    "less_equal", "log", "log10", "log1p", "log2", "logaddexp", "logical_and", "logical_not",
    "logical_or", "logical_xor", "maximum", "minimum", "multiply", "negative", "not_equal",
    "positive", "pow", "reciprocal", "remainder", "round", "sign", "signbit", "sin", "sinh", "sqrt",
    "square", "subtract", "tan", "tanh", "trunc", "where",
)
REDUCING = (
    "all", "any", "argmax", "argmin", "count_nonzero", "max", "mean", "min", "prod", "std", "sum",
    "var",
)
LIKE = ("empty_like", "full_like", "ones_like", "zeros_like")
OF_DTYPES = ("can_cast", "finfo", "iinfo", "isdtype", "result_type")
LINALG = ("diagonal", "matrix_transpose", "outer", "tensordot", "trace", "vecdot", "vector_norm")
BEYOND_STANDARD = ("erf", "rsqrt", "sigmoid", "softplus")  # elementwise
# fmt: on
