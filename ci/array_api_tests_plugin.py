"""What of the array API's test suite does not apply to the reproducible namespace, and why.

A pytest plugin for `ci/array_api_tests.sh`: it skips the tests whose ids match a row of `REASONS`,
and fails the run where a row matches none.
"""

import os
import re

import pytest

NO_RULE = (
    "acos acosh asin asinh atan atan2 atanh cos cosh hypot nextafter sin sinh tan conj imag real"
)
NO_LINALG = (
    "cholesky cross det eig eigh eigvals eigvalsh inv matrix_norm matrix_power matrix_rank pinv qr "
    "slogdet solve svd svdvals"
)


def _any_of(names: str) -> str:
    return f"({'|'.join(names.split())})"


REASONS = {
    rf"test_has_names\[(elementwise|set|manipulation)-{_any_of(NO_RULE)}\]": "it has no rule",
    rf"test_\w+_functions.py::test_{_any_of(NO_RULE)}$": "it has no rule",
    rf"test_(func_signature|unary|binary)\[{_any_of(NO_RULE)}[\](]": "it has no rule",
    rf"test_binary_with_scalars_real\[{_any_of(NO_RULE)}\]": "it has no rule",
    r"\bfft-|::test_\w*fft": "Fourier transforms have no rule",
    rf"\[linalg[.-]{_any_of(NO_LINALG)}\]|test_linalg.py::test_{_any_of(NO_LINALG)}$": (
        "it has no rule: decompositions are the library's own"
    ),
    r"\[(__i?pow__|pow)[(\]]|test_pow|\[__i?pow__\(x1, x2\)\]": (
        "powers of floats have a rule for Python integers and 0.5 alone"
    ),
    r"\[(__i?mod__|remainder|__i?floordiv__|floor_divide)[(\]]|test_(remainder|floor_divide)": (
        "remainders of floats have no rule"
    ),
    r"test_linalg.py::test_vector_norm$": "it has the orders 0, 1, 2, inf and -inf alone",
    r"real\(x_i\)|imag\(x_i\)|[+-] \S*j\]|vecdot_conj": "there are no complex dtypes",
    r"test_linalg.py::test_(linalg_)?vecdot$": "its oracle takes the complex conjugate",
    r"is -0|-> -0\]|is -NaN|-> -infinity\]|x2_i is \S*infinity\) -> -0": (
        "there is no negative zero and no NaN with a sign"
    ),
}

if "compat.torch" in os.environ["ARRAY_API_TESTS_MODULE"]:
    REASONS |= {
        r"test_unique_all": "PyTorch has none",
        r"TestBroadcastShapes::test_error": "PyTorch raises another kind of error",
        r"test_((cumulative_)?(sum|prod)|(linalg_)?trace)$": (
            "sums of unsigned integers are uint64, which the suite leaves out on PyTorch"
        ),
    }


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what does not apply."""
    matched = dict.fromkeys(REASONS, 0)
    for item in items:
        for pattern, reason in REASONS.items():
            if re.search(pattern, item.nodeid):
                matched[pattern] += 1
                item.add_marker(pytest.mark.skip(reason=reason))
                break
    if unused := [pattern for pattern, count in matched.items() if not count]:
        raise pytest.UsageError(f"no test matches {unused}")
