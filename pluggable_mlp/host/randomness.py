"""Random numbers that are the same on every machine, addressed by (seed, purpose, step).

They are made from 64-bit words of Philox 4x64-10 (Salmon, Moraes, Dror, Shaw, "Parallel random
numbers: as easy as 1, 2, 3", SC 2011), a counter-based generator, which has no state.  Only the
raw words of NumPy's generator are used: its distributions may change between versions, and its
normal deviates use the system's libm.  Everything here is computed on the host, in float64, in
operations whose results IEEE 754 determines.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.elementary.powers import log, sqrt
from pluggable_mlp.fields import as_seed

# The purposes of words.  Numbers are never reused: old seeds must give old results.
PURPOSES = {"parameters": 0, "shuffle": 1, "split": 2, "validation": 3, "runs": 4, "blocks": 5,
            "quantiles": 6, "rows": 7, "members": 8}  # fmt: skip

Float64 = npt.NDArray[np.float64]


def words(seed: int, purpose: str, step: int, count: int) -> npt.NDArray[np.uint64]:
    """Return `count` words of 64 random bits, addressed by (seed, purpose, step).

    Parameters
    ----------
    seed : int
        From 0 to 2**64 - 1.
    purpose : str
        One of `PURPOSES`.  Streams of different purposes never overlap.
    step : int
        Which stream of that purpose, from 0 to 2**64 - 1, such as a layer or an epoch.
    count : int
        How many words.

    Raises
    ------
    ValueError
        If the seed is out of its range.
    """
    # Any: NumPy's types name its own seed sequences only.
    key: Any = _Key(np.asarray([as_seed(seed), PURPOSES[purpose]], dtype=np.uint64))
    # The generator counts in the first two words of the counter; the step stands above them.
    counter = np.asarray([0, 0, step, 0], dtype=np.uint64)
    return np.random.Philox(key, counter=counter).random_raw(count)


class _Key(np.random.bit_generator.ISeedSequence):
    """Gives a generator its key; as its argument `key`, NumPy would draw random bits besides."""

    def __init__(self, key: npt.NDArray[np.uint64]) -> None:
        self._key = key

    def generate_state(self, n_words: int, dtype: object = np.uint32) -> npt.NDArray[np.uint64]:
        """Return the key."""
        return self._key


def uniform(seed: int, purpose: str, step: int, shape: tuple[int, ...]) -> Float64:
    """Return uniform deviates in the open interval (0, 1), float64, of the given shape.

    They are (m + 1/2) 2^-52 for the upper 52 bits m of each word: exact, and never 0 or 1.
    """
    count = int(np.prod(shape, dtype=np.int64))
    upper = words(seed, purpose, step, count) >> np.uint64(12)
    return (upper.astype(np.float64) * 2.0**-52 + 2.0**-53).reshape(shape)


def permutation(
    seed: int | Sequence[int], purpose: str, step: int, count: int
) -> npt.NDArray[np.int64]:
    """Return a permutation of 0 … count - 1, the stable order of as many random words.

    With several seeds, it is a column for each: (count, seeds).
    """
    if isinstance(seed, Sequence):
        return np.stack([permutation(one, purpose, step, count) for one in seed], axis=-1)
    # Words with their places in their lowest bits are sorted in a quarter of the time, and in the
    # same order unless two words share the other bits.
    places = np.uint64(2 ** count.bit_length() - 1)
    ordered = words(seed, purpose, step, count)
    ordered &= ~places
    ordered |= np.arange(count, dtype=np.uint64)
    ordered.sort()
    if np.min(ordered[1:] ^ ordered[:-1], initial=~places) > places:
        ordered &= places
        return ordered.view(np.int64)
    return np.argsort(words(seed, purpose, step, count), kind="stable")


def choices(
    seed: int, purpose: str, step: int, below: int, shape: tuple[int, ...]
) -> npt.NDArray[np.int64]:
    """Return random integers from 0 up to `below`, of the given shape."""
    drawn = (uniform(seed, purpose, step, shape) * below).astype(np.int64)
    return np.minimum(drawn, below - 1)  # the product may have been rounded up to `below`


def simplex(seed: int, purpose: str, step: int, corners: int, count: int) -> Float64:
    """Return weights (corners, count) of random points, uniform on the simplex of these corners.

    They are the distances between sorted uniform deviates, and from 0 and to 1.
    """
    drawn = np.sort(uniform(seed, purpose, step, (corners - 1, count)), axis=0)
    return np.diff(drawn, axis=0, prepend=0.0, append=1.0)


def normal(seed: int, purpose: str, step: int, shape: tuple[int, ...]) -> Float64:
    """Return standard normal deviates, float64, of the given shape: quantiles of uniform ones."""
    return normal_quantile(uniform(seed, purpose, step, shape))


def normal_quantile(p: Float64) -> Float64:
    """Return the quantiles of the standard normal distribution for p in (0, 1), of any shape."""
    return normal_quantile_by(np, p, partial(sqrt, np), partial(log, np))


def normal_quantile_by(
    xp: Namespace, p: Array, sqrt: Callable[[Array], Array], log: Callable[[Array], Array]
) -> Array:
    """Return `normal_quantile` in float64 of any namespace, by its root and its logarithm.

    By Wichura's algorithm AS 241, routine PPND16 (Applied Statistics 37, 1988): relative accuracy
    about 1e-16.
    """
    q = p - 0.5
    r = 0.180625 - q * q
    central = q * _ratio(_CENTRAL, xp.maximum(r, xp.zeros_like(r)))
    # sqrt(-log of the smaller tail): 1.6 at |q| = 0.425, where the central region ends.
    tail = sqrt(-log(xp.minimum(p, 1.0 - p)))
    five = xp.full_like(tail, 5.0)
    outer = xp.where(
        tail <= 5.0,
        _ratio(_MIDDLE, xp.minimum(tail, five) - 1.6),
        _ratio(_FAR, xp.maximum(tail, five) - 5.0),
    )
    return xp.where(r >= 0.0, central, xp.where(q < 0.0, -outer, outer))


def zeros(shape: tuple[int, ...]) -> Float64:
    """Return zeros, float64, of the given shape, without drawing."""
    return np.zeros(shape)


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], r: Array) -> Array:
    """Return numerator(r) / denominator(r), each by Horner's rule from the highest power."""
    values = []
    for polynomial in coefficients:
        value = r * polynomial[-1] + polynomial[-2]
        for coefficient in reversed(polynomial[:-2]):
            value = value * r + coefficient
        values.append(value)
    return values[0] / values[1]


# AS 241's coefficients, from the constant term upwards: (numerator, denominator).
_CENTRAL = (
    (
        3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
        1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
        3.3430575583588128105e4, 2.5090809287301226727e3,
    ),
    (
        1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
        2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)  # fmt: skip
_MIDDLE = (
    (
        1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
        3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
        2.27238449892691845833e-2, 7.74545014278341407640e-4,
    ),
    (
        1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
        1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)  # fmt: skip
_FAR = (
    (
        6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
        2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
        2.71155556874348757815e-5, 2.01033439929228813265e-7,
    ),
    (
        1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
        7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)  # fmt: skip
