"""The error function, in operations that IEEE 754 fixes."""

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.shortcuts import clip, sign
from pluggable_mlp.elementary.common import flush, horner, keep_nan, type_name
from pluggable_mlp.elementary.powers import exp

# benchmarks/polynomials.py: erf x = x P(x^2)/Q(x^2) for |x| <= 3.95, relative error below 2^-28.
ERF_UPPER = (
    3.1719312436955162e-09, 1.022854435918207e-06, 3.491944621261966e-05, 0.0006337174947619744,
    0.006570529064299544, 0.06352330343556906, 0.23243678413163607, 1.128379164847057,
)  # fmt: skip
ERF_LOWER = (
    8.67227112264927e-08, 7.0548721513358345e-06, 0.00015367662900202941, 0.0021855531358900733,
    0.021056461537547897, 0.13607136965372502, 0.5393250114321095, 1.0,
)  # fmt: skip

# fdlibm s_erf.c: erf x = x + x P(x^2)/Q(x^2) for |x| < 27/32.
SMALL = 0.84375
SMALL_UPPER = (
    -2.37630166566501626084e-05, -5.77027029648944159157e-03, -2.84817495755985104766e-02,
    -3.25042107247001499370e-01, 1.28379167095512558561e-01,
)  # fmt: skip
SMALL_LOWER = (
    -3.96022827877536812320e-06, 1.32494738004321644526e-04, 5.08130628187576562776e-03,
    6.50222499887672944485e-02, 3.97917223959155352819e-01, 1.0,
)  # fmt: skip

# fdlibm s_erf.c: erf x = ERF_OF_ONE + P(x - 1)/Q(x - 1) for 27/32 <= x < 5/4.
MEDIUM = 1.25
ERF_OF_ONE = 8.45062911510467529297e-01
MEDIUM_UPPER = (
    -2.16637559486879084300e-03, 3.54783043256182359371e-02, -1.10894694282396677476e-01,
    3.18346619901161753674e-01, -3.72207876035701323847e-01, 4.14856118683748331666e-01,
    -2.36211856075265944077e-03,
)  # fmt: skip
MEDIUM_LOWER = (
    1.19844998467991074170e-02, 1.36370839120290507362e-02, 1.26171219808761642112e-01,
    7.18286544141962662868e-02, 5.40397917702171048937e-01, 1.06420880400844228286e-01, 1.0,
)  # fmt: skip

# benchmarks/polynomials.py: erfc x = e^(-x^2) P(x)/Q(x) for 5/4 <= x <= 6, relative error 2^-52.6.
LARGE = 6.0
LARGE_UPPER = (
    0.0014848100925169614, 0.0178958591307727, 0.10936560666527018, 0.4190671974059373,
    1.0722796433335626, 1.825604041792955, 1.9282023638916175, 0.9999998401900239,
)  # fmt: skip
LARGE_LOWER = (
    0.0026317573701420093, 0.03171958416052484, 0.19516137853948526, 0.7586368647867214,
    1.996175989150931, 3.591294537168024, 4.274591630652284, 3.056580094774255, 1.0,
)  # fmt: skip


def erf(xp: Namespace, x: Array) -> Array:
    """Return the error function 2/sqrt(pi) times the integral of e^(-t^2) from 0 to `x`.

    `x`: float32 or float64, any shape; the result is exactly odd and within 1 ulp, except just
    above 1.25 in float64: within 1.2, as the relative errors of 1 - erf x count most there.
    """
    x = flush(xp, x)
    if type_name(xp, x) == "float32":
        term = xp.astype(clip(xp, x, -3.95, 3.95), xp.float64)
        square = term * term
        term *= horner(square, ERF_UPPER)
        term *= 1.0 / horner(square, ERF_LOWER)
        return keep_nan(xp, x, xp.astype(term, xp.float32))
    magnitude = xp.abs(x)
    y = _erf_of_medium(clip(xp, magnitude, SMALL, MEDIUM))
    y = xp.where(magnitude < MEDIUM, y, _erf_of_large(xp, clip(xp, magnitude, MEDIUM, LARGE)))
    y *= sign(xp, x)
    y = xp.where(magnitude < SMALL, _erf_of_small(clip(xp, x, -SMALL, SMALL)), y)
    return keep_nan(xp, x, y)


def fast_erf(xp: Namespace, x: Array) -> Array:
    """Return `erf`, within 8 ulp and within 1; that of float32 in half the time, in float32."""
    if type_name(xp, x) != "float32":
        return erf(xp, x)
    x = clip(xp, x, -3.825, 3.825)  # where the quotient is 1
    square = x * x
    x *= horner(square, ERF_UPPER)
    return clip(xp, x / horner(square, ERF_LOWER), -1.0, 1.0)


def _erf_of_small(x: Array) -> Array:
    square = x * x
    y = horner(square, SMALL_UPPER)
    y *= 1.0 / horner(square, SMALL_LOWER)
    # The scale keeps the product a normal number.
    x *= 2.0**60
    y *= x
    y += x
    y *= 2.0**-60
    return y


def _erf_of_medium(x: Array) -> Array:
    x -= 1.0
    y = horner(x, MEDIUM_UPPER)
    y *= 1.0 / horner(x, MEDIUM_LOWER)
    y += ERF_OF_ONE
    return y


def _erf_of_large(xp: Namespace, x: Array) -> Array:
    # Here erfc x < 0.08, so that its relative error of a few units hardly counts. The square is
    # taken of the leading 26 bits, exactly; the rest goes to second order.
    leading = x + 1.5 * 2.0**29
    leading -= 1.5 * 2.0**29
    rest = (leading - x) * (leading + x)
    rest += 0.5 * rest * rest
    y = exp(xp, -(leading * leading))
    y += rest * y
    y *= horner(x, LARGE_UPPER)
    y *= 1.0 / horner(x, LARGE_LOWER)
    return 1.0 - y
