"""What the tests of the elementary functions share: samples, oracles, and the count of ulps.

The oracles are mpmath for float64 and NumPy's or mpmath's float64 for float32. No test stands here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np

from pluggable_mlp.backends import Backend

Function = Callable[[Any, Any], Any]
INF, NAN = float("inf"), float("nan")
SMALLEST = {"float32": 2.0**-126, "float64": 2.0**-1022}
PRECISION = 200


@dataclass(frozen=True)
class Case:
    """A function, its exact values by mpmath, and the intervals that are sampled in float64.

    `intervals` are uniform; `octaves` are intervals of log2|x|, sampled with the sign given.
    """

    function: Function
    exact: Callable[[Any], Any]
    intervals: Sequence[tuple[float, float]] = ()
    octaves: Sequence[tuple[float, float, int]] = ()


def points(case: Case, count: int = 600) -> np.ndarray:
    """Return `count` float64 arguments for each interval and each range of octaves."""
    generator = np.random.default_rng(7)
    parts = [generator.uniform(*interval, count) for interval in case.intervals]
    for first, last, sign in case.octaves:
        parts.append(sign * np.exp2(generator.uniform(first, last, count)))
    return np.concatenate(parts)


def every_kind(dtype: str) -> np.ndarray:
    """Return 30,000 arguments (n,) of all magnitudes and signs, NaN, infinities and denormals."""
    generator = np.random.default_rng(11)
    unsigned = {"float32": np.uint32, "float64": np.uint64}[dtype]
    bits = generator.integers(0, np.iinfo(unsigned).max, 12_000, dtype=unsigned)
    smallest, huge = SMALLEST[dtype], float(np.finfo(dtype).max)
    edges = [0.0, 0.25, 0.84375, 1.0, 1.25, 2.0, 20.0, smallest, smallest / 2, huge, INF, NAN]
    edges += [87.33654022216797, 88.72283172607422, 708.3964185322641, 709.782712893384]
    edges = np.array([*edges, *(-edge for edge in edges)], dtype)
    neighbours = np.concatenate([edges, np.nextafter(edges, dtype_of(dtype, 1.5))])
    moderate = generator.normal(0.0, 3.0, 12_000).astype(dtype)
    wide = generator.uniform(-760.0, 760.0, 30_000 - 24_000 - neighbours.size).astype(dtype)
    x = np.concatenate([bits.view(dtype), neighbours, moderate, wide])
    x[np.isnan(x)] = NAN  # a signalling NaN would warn as soon as it is touched
    return x


def dtype_of(dtype: str, value: float) -> Any:
    """Return `value` as a NumPy scalar of the type."""
    return np.dtype(dtype).type(value)


def ulps(computed: float, exact: Any, dtype: str = "float64") -> float:
    """Return |computed - exact| in units of the last place of `exact` in `dtype`."""
    bits, smallest = {"float32": (23, -126), "float64": (52, -1022)}[dtype]
    if exact == 0:
        return 0.0 if computed == 0.0 else INF
    exponent = max(int(mp.floor(mp.log(abs(exact), 2))), smallest)
    return float(abs(mp.mpf(computed) - exact) / mp.mpf(2) ** (exponent - bits))


def worst(case: Case, x: np.ndarray) -> tuple[float, float]:
    """Return the largest error in ulps over `x` (n,) (float32 or float64), and its argument.

    Where the exact value is below the smallest normal number, 0 is the only right answer.
    """
    dtype = str(x.dtype)
    results = case.function(np, x).tolist()
    largest, argument = 0.0, NAN
    with mp.workprec(PRECISION):
        for value, y in zip(x.tolist(), results, strict=True):
            exact = case.exact(mp.mpf(value))
            if abs(exact) < SMALLEST[dtype]:
                error = 0.0 if y == 0.0 else INF
            else:
                error = ulps(y, exact, dtype)
            if not error <= largest:
                largest, argument = error, value
    return largest, argument


def worst_float32(function: Function, reference: Callable[[Any], Any]) -> tuple[float, float]:
    """Return the largest error in ulps over 100,000 finite float32 arguments, and its argument.

    `reference` is a float64 function whose error of a few 2^-53 does not count here.
    """
    generator = np.random.default_rng(13)
    bits = generator.integers(0, 2**32, 50_000, dtype=np.uint64).astype(np.uint32)
    moderate = generator.normal(0.0, 4.0, 50_000).astype(np.float32)
    x = np.concatenate([bits.view(np.float32), moderate])
    x = x[np.isfinite(x)]
    y = function(np, x).astype(np.float64)
    with np.errstate(all="ignore"):
        exact = reference(np.where(np.abs(x) < 2.0**-126, 0.0, x).astype(np.float64))
        rounded = exact.astype(np.float32)
    exact = np.where(np.abs(exact) < 2.0**-126, 0.0, exact)
    special = ~np.isfinite(rounded) | (exact == 0.0)
    assert np.array_equal(y[special], np.where(exact == 0.0, 0.0, rounded)[special], equal_nan=True)
    # The ulp of the exact value's octave; the nearest float32 may already be in the next one.
    y, exact = np.where(special, 1.0, y), np.where(special, 1.0, exact)
    error = np.abs(y - exact) / np.exp2(np.floor(np.log2(np.abs(exact))) - 23)
    return float(error.max()), float(x[error.argmax()])


def check_values(function: Function, values: dict[float, float]) -> None:
    """Assert the given results, in both types, to the bit, also for the shape ().

    What is given for 0 must hold for -0.
    """
    pairs = [*values.items(), (-0.0, values[0.0])]
    for dtype in ("float32", "float64"):
        x = np.array([argument for argument, _ in pairs], dtype)
        assert_bits(function(np, x), np.array([expected for _, expected in pairs], dtype), x)
        for argument, expected in pairs:
            scalar = function(np, np.asarray(argument, dtype))
            assert_bits(np.asarray(scalar), np.asarray(expected, dtype), argument)


def check_backend(backend: Backend, function: Function) -> None:
    """Assert that the backend gives NumPy's bits, keeps type and shape, and has no -0."""
    for dtype, other_shape in (("float32", ()), ("float64", (0,))):
        x = every_kind(dtype).reshape(5, 10, 600)
        y = backend.to_numpy(function(backend.xp, backend.asarray(x)))
        assert_bits(y, function(np, x), x)
        assert not np.any(np.signbit(y) & (y == 0.0))
        assert not np.any((y != 0.0) & (np.abs(y) < SMALLEST[dtype]))
        small = backend.asarray(np.full(other_shape, 0.5, dtype))
        y = backend.to_numpy(function(backend.xp, small))
        assert (y.shape, str(y.dtype)) == (other_shape, dtype)


def assert_bits(y: np.ndarray, expected: np.ndarray, x: Any) -> None:
    """Assert that both arrays have one type and the same bytes; or name the first difference."""
    assert (y.dtype, y.shape) == (expected.dtype, expected.shape)
    if y.tobytes() == expected.tobytes():
        return
    unsigned = {4: np.uint32, 8: np.uint64}[y.dtype.itemsize]
    i = int(np.flatnonzero(y.ravel().view(unsigned) != expected.ravel().view(unsigned))[0])
    argument = np.asarray(x).ravel()[i]
    raise AssertionError(f"at {argument!r}: got {y.ravel()[i]!r}, expected {expected.ravel()[i]!r}")


def check_increasing(function: Function, starts: Sequence[float]) -> None:
    """Assert that results never decrease over 20,000 float32 neighbours from each start."""
    for start in starts:
        bits = np.asarray(abs(start), np.float32).view(np.int32) + np.arange(20_000, dtype=np.int32)
        x = np.sort(np.copysign(bits.view(np.float32), np.float32(start)))
        assert np.all(np.diff(function(np, x)) >= 0.0), start
