"""The reproducible elementary functions in float32, against every one of the 2^32 inputs.

`python benchmarks/elementary_functions.py [FUNCTION ...]` runs them on NumPy, in blocks, and writes
benchmarks/results/elementary_functions.json and .md; functions that are not named keep their
recorded results. A function takes some minutes. SciPy is needed for erf.

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
from typing import Any

import array_api_compat.numpy as xp
import mpmath as mp
import numpy as np

from pluggable_mlp.namespaces.reproducible.error_function import erf
from pluggable_mlp.namespaces.reproducible.exponential import exp
from pluggable_mlp.namespaces.reproducible.logarithm import log, log1p
from pluggable_mlp.namespaces.reproducible.roots import reciprocal, rsqrt
from pluggable_mlp.namespaces.reproducible.sigmoid import sigmoid, softplus, tanh

mp.mp.prec = 200
RESULTS = Path(__file__).parent / "results"
BLOCK = 2**16
SMALLEST_NORMAL = 2.0**-126
MINUS_ZERO = np.uint32(2**31)
# Relative error of the float64 references that is allowed for; theirs is a few 2^-53.
DOUBT = 2.0**-48


def scipy_erf(x: np.ndarray) -> np.ndarray:
    """SciPy's error function; NumPy has none."""
    from scipy.special import erf as reference

    return np.asarray(reference(x))


@dataclass(frozen=True)
class Function:
    """One function, its references in float64 and in mpmath, and whether it never decreases."""

    ours: Callable[[Any, Any], Any]
    float64: Callable[[np.ndarray], np.ndarray]
    exact: Callable[[Any], Any]
    increasing: bool = True


FUNCTIONS = {
    "exp": Function(exp, np.exp, mp.exp),
    "log": Function(log, np.log, mp.log),
    "log1p": Function(log1p, np.log1p, mp.log1p),
    "tanh": Function(tanh, np.tanh, mp.tanh),
    "sigmoid": Function(
        sigmoid, lambda x: 1.0 / (1.0 + np.exp(-x)), lambda x: 1 / (1 + mp.exp(-x))
    ),
    "softplus": Function(
        softplus,
        lambda x: np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))),
        lambda x: mp.log1p(mp.exp(x)),
    ),
    "erf": Function(erf, scipy_erf, mp.erf),
    "reciprocal": Function(reciprocal, lambda x: 1.0 / x, lambda x: 1 / x, increasing=False),
    "rsqrt": Function(
        rsqrt, lambda x: 1.0 / np.sqrt(x), lambda x: 1 / mp.sqrt(x), increasing=False
    ),
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
        last = None
        for start in range(0, 2**31, BLOCK):
            bits = np.arange(start, start + BLOCK, dtype=np.uint32) + np.uint32(sign << 31)
            x = bits.view(np.float32)
            x[np.isnan(x)] = np.nan  # a signalling NaN would warn at its conversion
            with np.errstate(all="ignore"):
                y = function.ours(xp, x)
                judge(function, x, y, outcome)
            if function.increasing:
                sequence = y if last is None else np.concatenate([last, y])
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
    differ = np.flatnonzero((y != nearest) & ~doubtful)
    y, nearest, reference, x = y[differ], nearest[differ], reference[differ], x[differ]
    special = ~np.isfinite(nearest) | (nearest == 0.0)
    both_nan = np.isnan(y) & np.isnan(nearest)
    outcome.special_values_wrong += int(np.count_nonzero(special & ~both_nan))
    outcome.not_correctly_rounded += int(np.count_nonzero(~special))
    if not np.all(special):
        exponent = np.frexp(np.where(special, 1.0, reference))[1]
        error = np.where(special, 0.0, np.ldexp(np.abs(y - reference), 24 - exponent))
        worst = int(np.argmax(error))
        outcome.note(float(error[worst]), x[worst])


def is_nearest(y: Any, exact: Any) -> bool:
    """Return whether no neighbour of the float32 number `y` is nearer to `exact`."""
    neighbours = (np.nextafter(y, np.float32(end)) for end in (-np.inf, np.inf))
    distance = abs(mp.mpf(float(y)) - exact)
    return not any(abs(mp.mpf(float(other)) - exact) < distance for other in neighbours)


def table(functions: dict[str, dict[str, Any]], machine: str) -> str:
    """Return the Markdown page of the recorded results."""
    lines = [
        "# The reproducible elementary functions in float32, on all 2^32 inputs",
        "",
        "`python benchmarks/elementary_functions.py`. Errors are in units of the last place of the",
        "exact result; 0.5 is correct rounding. Not counted as results: NaN, infinity, zero, and",
        "what is below 2^-126 and must therefore be +0; these were all checked, too.",
        "",
        "| function | worst error | at | not correctly rounded | of results | special values wrong "
        "| neighbours out of order |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in functions.items():
        share = found["not_correctly_rounded"] / found["results"]
        order = found["decreases"] if FUNCTIONS[name].increasing else "-"
        lines.append(
            f"| {name} | {found['worst_ulps']:.7f} | {found['worst_argument']} "
            f"| {found['not_correctly_rounded']:,} ({share:.4%}) | {found['results']:,} "
            f"| {found['special_values_wrong']} | {order} |"
        )
    return "\n".join([*lines, "", machine, ""])


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
    path = RESULTS / "elementary_functions.json"
    recorded = json.loads(path.read_text())["functions"] if path.exists() else {}
    machine = f"NumPy {np.__version__}, Python {platform.python_version()}, {platform.machine()}"
    for name in names:
        recorded[name] = asdict(examine(FUNCTIONS[name]))
        print(name, recorded[name], flush=True)
        ordered = {name: recorded[name] for name in FUNCTIONS if name in recorded}
        RESULTS.mkdir(exist_ok=True)
        path.write_text(json.dumps({"machine": machine, "functions": ordered}, indent=2) + "\n")
        path.with_suffix(".md").write_text(table(ordered, machine))


if __name__ == "__main__":
    main()
