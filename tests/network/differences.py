"""Derivatives by central differences, with a bound of their own error.  For the tests.

D(h) = (f(w + h) - f(w - h)) / 2h differs from f'(w) by

- the truncation error T = h² f'''(w) / 6 + O(h⁴).  D(2h) - D(h) = 3 T + O(h⁴) measures it: we
  allow |D(2h) - D(h)|, three times the estimate, so that O(h⁴) has room;
- rounding: with |computed f - f| <= e, D(h) errs by at most e / h, and the estimate of T by
  (e / h + e / 2h) / 3 = e / 2h.

With h near the cube root of u both are near u^(2/3): h = 2^-17 here.  The points w +- h and
w +- 2h are exact, because w lies on a grid of 2^-20 (`on_grid`) with |w| < 2^30.
"""

from collections.abc import Callable

import numpy as np

H = 2.0**-17


def on_grid(values: np.ndarray) -> np.ndarray:
    return np.round(values * 2.0**20) / 2.0**20


def central_differences(
    f: Callable[[np.ndarray], float], w: np.ndarray, f_error: float
) -> tuple[np.ndarray, np.ndarray]:
    """The derivative of f with respect to every element of w, and the bound of its error.

    `f_error` bounds |computed f - f| near w.
    """
    slopes, bounds = np.empty_like(w), np.empty_like(w)
    for index in np.ndindex(w.shape):
        values = []
        for step in (-2 * H, -H, H, 2 * H):
            moved = w.copy()
            moved[index] += step
            values.append(f(moved))
        near, far = (values[2] - values[1]) / (2 * H), (values[3] - values[0]) / (4 * H)
        slopes[index] = near
        bounds[index] = abs(far - near) + 1.5 * f_error / H
    return slopes, bounds
