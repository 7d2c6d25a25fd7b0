"""The coefficients of the reproducible elementary functions that come from no published source.

`python benchmarks/polynomials.py` computes them with mpmath and prints them, highest power first,
with the largest relative error of each approximation before its coefficients are rounded. A
polynomial or rational function is the interpolant at Chebyshev's nodes, close to the best
approximation of its degree.
"""

from collections.abc import Callable
from typing import Any

import mpmath as mp

mp.mp.prec = 300


def interpolate(
    function: Callable[[Any], Any], first: float, last: float, above: int, below: int
) -> tuple[list[Any], list[Any]]:
    """Return P (degree `above`) and Q (degree `below`, Q(0) = 1), P/Q close to `function`.

    The interval is [`first`, `last`].
    """
    size = above + below + 1
    middle, radius = (mp.mpf(first) + last) / 2, (mp.mpf(last) - first) / 2
    matrix, values = mp.matrix(size, size), mp.matrix(size, 1)
    for i in range(size):
        x = middle + radius * mp.cos(mp.pi * (2 * i + 1) / (2 * size))
        values[i] = function(x)
        for j in range(above + 1):
            matrix[i, j] = x**j
        for j in range(1, below + 1):
            matrix[i, above + j] = -values[i] * x**j
    solution = list(mp.lu_solve(matrix, values))
    return solution[above::-1], [*solution[:above:-1], mp.mpf(1)]


def even(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return z -> function(sqrt z)/sqrt z for an odd function, its limit at 0 included."""

    def quotient(z: Any) -> Any:
        root = mp.sqrt(z + mp.mpf(2) ** -200)
        return function(root) / root

    return quotient


APPROXIMATIONS: dict[str, tuple[Callable[[Any], Any], float, float, int, int]] = {
    "exp(x / 2^13), |x| <= 89": (lambda x: mp.exp(x / 2**13), -89.0, 89.0, 4, 0),
    "tanh(x)/x in x^2, |x| <= 4.51": (even(mp.tanh), 0.0, 4.51**2, 3, 4),
    "erf(x)/x in x^2, |x| <= 3.95": (even(mp.erf), 0.0, 3.95**2, 7, 7),
    "log1p(x)/x, x <= 1": (lambda x: mp.log1p(x) / x if x else mp.mpf(1), 0.0, 1.0, 3, 3),
    "erfc(x) exp(x^2), x <= 6": (lambda x: mp.erfc(x) * mp.exp(x * x), 1.25, 6.0, 7, 8),
}

if __name__ == "__main__":
    for name, (function, first, last, above, below) in APPROXIMATIONS.items():
        upper, lower = interpolate(function, first, last, above, below)
        worst = max(
            abs(mp.polyval(upper, x) / mp.polyval(lower, x) / function(x) - 1)
            for x in mp.linspace(first, last, 1001)
        )
        print(f"{name}: relative error 2^{float(mp.log(worst, 2)):.1f}")
        for coefficients in (upper, lower):
            if len(coefficients) > 1:
                print("    ", ", ".join(repr(float(c)) for c in coefficients))
