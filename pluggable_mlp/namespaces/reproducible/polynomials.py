"""Polynomials of arrays, in the one order of operations that fixes their bits."""

from pluggable_mlp.arrays import Array

__all__ = ["horner"]


def horner(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Return the polynomial of `x` (floats, any shape) by Horner's rule.

    There are at least two coefficients, the one of the highest power first.
    """
    y = x * coefficients[0]
    for coefficient in coefficients[1:-1]:
        y += coefficient
        y *= x
    y += coefficients[-1]
    return y
