"""The reproducible elementary functions in float32, against every one of the 2^32 inputs.

`python benchmarks/elementary_functions.py [FUNCTION ...]` runs them on NumPy, some minutes each,
and writes benchmarks/results/elementary_functions.json; functions that are not named keep their
recorded results.

The reference is NumPy's (SciPy's) function in float64, accurate to a few units of 2^-53; where that
cannot tell which float32 number is nearest, mpmath decides. Results below 2^-126 must be +0, and
denormal inputs count as 0, as the arithmetic promises.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import array_api_compat.numpy as xp
import mpmath as mp
import numpy as np
import scipy.special

from pluggable_mlp.namespaces.reproducible.error_function import erf
from pluggable_mlp.namespaces.reproducible.exponential import exp
from pluggable_mlp.namespaces.reproducible.logarithm import log, log1p
from pluggable_mlp.namespaces.reproducible.roots import reciprocal, rsqrt
from pluggable_mlp.namespaces.reproducible.sigmoid import sigmoid, softplus, tanh

mp.mp.prec = 200
RECORD = Path(__file__).parent / "results" / "elementary_functions.json"
BLOCK = 2**16
SMALLEST_NORMAL = 2.0**-126
MINUS_ZERO = np.uint32(2**31)
# Relative error of the float64 references that is allowed for; theirs is a few 2^-53.
DOUBT = 2.0**-48


class Function(NamedTuple):
    """One function, its references in float64 and in mpmath, and whether it never decreases."""

    ours: Callable[[Any, Any], Any]
    float64: Callable[[np.ndarray], np.ndarray]
    exact: Callable[[Any], Any]
    increasing: bool = True


def stable_softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


FUNCTIONS = {
    "exp": Function(exp, np.exp, mp.exp),
    "log": Function(log, np.log, mp.log),
    "log1p": Function(log1p, np.log1p, mp.log1p),
    "tanh": Function(tanh, np.tanh, mp.tanh),
    "sigmoid": Function(sigmoid, lambda x: 1 / (1 + np.exp(-x)), lambda x: 1 / (1 + mp.exp(-x))),
    "softplus": Function(softplus, stable_softplus, lambda x: mp.log1p(mp.exp(x))),
    "erf": Function(erf, scipy.special.erf, mp.erf),
    "reciprocal": Function(reciprocal, lambda x: 1 / x, lambda x: 1 / x, increasing=False),
    "rsqrt": Function(rsqrt, lambda x: 1 / np.sqrt(x), lambda x: 1 / mp.sqrt(x), increasing=False),
}


@dataclass
class Outcome:
    """What the run over all inputs found; `seconds` holds for this machine only."""

    worst_ulps: float = 0.5
    worst_argument: str = "(everywhere correctly rounded)"
    results: int = 0
    not_correctly_rounded: int = 0
    settled_by_mpmath: int = 0
    special_values_wrong: int = 0
    decreases: int = 0
    seconds: float = 0.0

    def note(self, error: float, x: np.float32) -> None:
        """Keep the error at `x`, in ulps, if it is the largest so far."""
        if error > self.worst_ulps:
            self.worst_ulps, self.worst_argument = error, float(x).hex()


def examine(function: Function) -> Outcome:
    """Return the outcome over all inputs, of both signs in the order of their magnitudes."""
    outcome = Outcome()
    started = time.perf_counter()
    for sign in (0, 1):
        last = np.empty(0, dtype=np.float32)
        for start in range(0, 2**31, BLOCK):
            bits = np.arange(start, start + BLOCK, dtype=np.uint32) + np.uint32(sign << 31)
            x = bits.view(np.float32)
            x[np.isnan(x)] = np.nan  # a signalling NaN would warn at its conversion
            with np.errstate(all="ignore"):
                y = function.ours(xp, x)
                judge(function, x, y, outcome)
            if function.increasing:
                sequence = np.concatenate([last, y])
                steps = sequence[1:] < sequence[:-1] if not sign else sequence[1:] > sequence[:-1]
                outcome.decreases += int(np.count_nonzero(steps))
                last = y[-1:]
    outcome.seconds = round(time.perf_counter() - started, 1)
    return outcome


def judge(function: Function, x: np.ndarray, y: np.ndarray, outcome: Outcome) -> None:
    """Compare the block of results `y` (BLOCK,) for `x` (BLOCK,) with the references."""
    argument = x.astype(np.float64)
    argument[np.abs(x) < SMALLEST_NORMAL] = 0.0
    reference = function.float64(argument)
    reference[np.abs(reference) < SMALLEST_NORMAL] = 0.0
    nearest = (reference * (1.0 - DOUBT)).astype(np.float32)
    doubtful = nearest != (reference * (1.0 + DOUBT)).astype(np.float32)
    doubtful &= ~np.isnan(nearest)
    ordinary = np.isfinite(nearest) & (nearest != 0.0)
    outcome.results += int(np.count_nonzero(ordinary))
    outcome.special_values_wrong += int(np.count_nonzero(y.view(np.uint32) == MINUS_ZERO))
    for i in np.flatnonzero(doubtful):
        exact = function.exact(mp.mpf(argument[i]))
        outcome.settled_by_mpmath += 1
        if not is_nearest(y[i], exact):
            outcome.not_correctly_rounded += 1
            error = abs(mp.mpf(float(y[i])) - exact) * mp.mpf(2) ** (24 - mp.frexp(exact)[1])
            outcome.note(float(error), x[i])
    # Where y is the nearest number, its error is at most 1/2; only the rest is looked into.
    wrong = (y != nearest) & ~doubtful & ~(np.isnan(y) & np.isnan(nearest))
    outcome.special_values_wrong += int(np.count_nonzero(wrong & ~ordinary))
    wrong &= ordinary
    outcome.not_correctly_rounded += int(np.count_nonzero(wrong))
    if np.any(wrong):
        exponent = np.frexp(reference[wrong])[1]
        errors = np.ldexp(np.abs(y[wrong] - reference[wrong]), 24 - exponent)
        worst = int(np.argmax(errors))
        outcome.note(float(errors[worst]), x[wrong][worst])


def is_nearest(y: Any, exact: Any) -> bool:
    """Return whether no neighbour of the float32 number `y` is nearer to `exact`."""
    neighbours = (np.nextafter(y, np.float32(end)) for end in (-np.inf, np.inf))
    distance = abs(mp.mpf(float(y)) - exact)
    return not any(abs(mp.mpf(float(other)) - exact) < distance for other in neighbours)


def main() -> None:
    """Examine the named functions, or all, and record what was found after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("functions", nargs="*", metavar="FUNCTION", help=", ".join(FUNCTIONS))
    names = parser.parse_args().functions or list(FUNCTIONS)
    if unknown := sorted(set(names) - set(FUNCTIONS)):
        parser.error(f"FUNCTION: got {', '.join(unknown)}, expected some of {', '.join(FUNCTIONS)}")
    # glibc keeps what is freed for reuse only up to the largest block that was ever freed (at most
    # 32 MiB); without this, most of the time goes into fresh pages for every temporary.
    np.empty(2**22 - 2**14)
    recorded = json.loads(RECORD.read_text())["functions"] if RECORD.exists() else {}
    machine = f"NumPy {np.__version__}, Python {platform.python_version()}, {platform.machine()}"
    for name in names:
        recorded[name] = asdict(examine(FUNCTIONS[name]))
        print(name, recorded[name], flush=True)
        ordered = {name: recorded[name] for name in FUNCTIONS if name in recorded}
        RECORD.write_text(json.dumps({"machine": machine, "functions": ordered}, indent=2) + "\n")


if __name__ == "__main__":
    main()
