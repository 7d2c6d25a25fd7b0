"""Polynomials of arrays, in the one order of operations that fixes their bits."""

from pluggable_mlp.arrays import Array

# fdlibm k_cos.c and k_sin.c (Sun Microsystems, 1993), on [-pi/4, pi/4]:
# cos x = 1 - z/2 + z^2 C(z) and sin x = x + x z S(z) with z = x^2, highest coefficient first.
COSINE = (
    -1.13596475577881948265e-11,
    2.08757232129817482790e-09,
    -2.75573143513906633035e-07,
    2.48015872894767294178e-05,
    -1.38888888888741095749e-03,
    4.16666666666666019037e-02,
)
SINE = (
    1.58969099521155010221e-10,
    -2.50507602534068634195e-08,
    2.75573137070700676789e-06,
    -1.98412698298579493134e-04,
    8.33333333332248946124e-03,
    -1.66666666666666324348e-01,
)


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
