"""Check the elementary functions of `reproducible(numpy)` on all 2^32 float32 numbers.

    python ci/all_float32.py [FUNCTION ...]

takes one to eight minutes a function on an idle processor, and writes what it finds of each into
ci/all_float32.json as soon as it is known; functions that are not named keep their records.

The reference is the function of NumPy (SciPy) in float64, which is trusted to 32 units in its last
place; where that cannot tell which float32 number is nearest, mpmath decides, and mpmath
measures the largest error again.  Denormal numbers count as 0, among inputs and results, as the
namespace promises.  Exit code 1: a special value is wrong, or an error above its bound.
"""

import argparse
import hashlib
import json
import platform
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import array_api_compat.numpy
import mpmath as mp
import numpy as np
import scipy.special

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # to find the package

from pluggable_mlp import reproducible, to_native

__all__ = ["BLOCKS", "FUNCTIONS", "RECORD", "Finding", "examine", "results_of", "sample"]

mp.mp.prec = 200
RECORD = Path(__file__).with_suffix(".json")
BLOCK = 2**16  # inputs whose temporaries stay in a cache
BLOCKS = 2**32 // BLOCK
SMALLEST_NORMAL = 2.0**-126
OVERFLOW = np.float64(2.0**128)
SMALLEST_PRODUCT = 2.0**-102
# Of the bits of a float64 number: those beyond float32, where these tie, and how near is doubtful.
_BEYOND_FLOAT32, _MIDPOINT, _DOUBT = 2**29 - 1, 2**28, 2**5
_MINUS_ZERO = np.uint32(2**31)
SPECIAL = ("0", "-0", "0x1p-149", "-0x1p-149", "1", "-1", "inf", "-inf", "nan")

xp = reproducible(array_api_compat.numpy)


class Function(NamedTuple):
    """A function, its references in float64 and in mpmath, and what is promised of its results.

    `bound`: on their errors, in units in the last place of the exact value; 0.5 if all are
    correctly rounded.  `increasing`: a larger argument never gives a smaller one.  `smallest`:
    nearer to 0 there is only 0.
    """

    ours: Callable[[Any], Any]
    float64: Callable[[np.ndarray], np.ndarray]
    exact: Callable[[Any], Any]
    bound: float = 1.0
    increasing: bool = True
    smallest: float = SMALLEST_NORMAL


def softplus(x: np.ndarray) -> np.ndarray:
    """Return log(1 + e^x) without overflow."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


FUNCTIONS = {
    "exp": Function(xp.exp, np.exp, mp.exp),
    "expm1": Function(xp.expm1, np.expm1, mp.expm1, bound=0.52),
    "log": Function(xp.log, np.log, mp.log),
    "log1p": Function(xp.log1p, np.log1p, mp.log1p),
    "log2": Function(xp.log2, np.log2, lambda x: mp.log(x) / mp.log(2), bound=0.51),
    "log10": Function(xp.log10, np.log10, lambda x: mp.log(x) / mp.log(10), bound=0.51),
    "tanh": Function(xp.tanh, np.tanh, mp.tanh),
    "sigmoid": Function(xp.sigmoid, lambda x: 1 / (1 + np.exp(-x)), lambda x: 1 / (1 + mp.exp(-x))),
    "softplus": Function(xp.softplus, softplus, lambda x: mp.log1p(mp.exp(x))),
    "erf": Function(xp.erf, scipy.special.erf, mp.erf),
    "sqrt": Function(xp.sqrt, np.sqrt, mp.sqrt, bound=0.5),
    "rsqrt": Function(
        xp.rsqrt, lambda x: 1 / np.sqrt(x), lambda x: 1 / mp.sqrt(x), increasing=False
    ),
    "reciprocal": Function(
        xp.reciprocal, lambda x: 1 / x, lambda x: 1 / x, bound=0.5, increasing=False
    ),
    "x**3": Function(
        lambda x: x**3, lambda x: x * x * x, lambda x: x**3, bound=3, smallest=SMALLEST_PRODUCT
    ),
    "x**-3": Function(
        lambda x: x**-3,
        lambda x: 1 / (x * x * x),
        lambda x: 1 / x**3,
        bound=3,
        increasing=False,
    ),
}


@dataclass
class Finding:
    """What was found over some inputs.

    Attributes
    ----------
    largest_error : float
        In units in the last place of the exact value; 0.5 where all are correctly rounded.
    at : str or None
        The argument of the largest error above 0.5, in hexadecimal.
    results : int
        How many exact values round to numbers that are finite and not 0.
    not_correctly_rounded, settled_by_mpmath : int
        How many of these results are other numbers; where the reference left doubt.
    special_values_wrong : int
        Wrong results where NaN, an infinity or 0 is right; wrong NaN, infinities, negative zeros.
        Infinities of a function whose bound is above 1 are errors of their size instead.
    decreases : int
        Of a function that never decreases: pairs of neighbours whose results do.
    special : dict
        The results of NaN, infinities, zeros, denormal numbers and ones.
    sha256, sample_sha256 : str
        Of the results, little-endian, by the bits of the inputs from 0 on; of those of `sample`.
    seconds : float
        What it took.
    """

    largest_error: float = 0.5
    at: str | None = None
    results: int = 0
    not_correctly_rounded: int = 0
    settled_by_mpmath: int = 0
    special_values_wrong: int = 0
    decreases: int = 0
    special: dict[str, str] = field(default_factory=dict)
    sha256: str = ""
    sample_sha256: str = ""
    seconds: float = 0.0


@np.errstate(all="ignore")
def results_of(function: Function, bits: np.ndarray) -> np.ndarray:
    """Return the results (n,) for the float32 numbers of bits (n,)."""
    x = bits.view(np.float32)
    x = np.where(np.isnan(x), np.float32(np.nan), x)  # a signalling NaN warns where it is used
    return np.asarray(to_native(function.ours(xp.asarray(x))))


def sample() -> np.ndarray:
    """Return the bits of 65,536 float32 numbers, of each sign, exponent and 7 further bits one."""
    return np.arange(2**16, dtype=np.uint32) * np.uint32(2**16 + 1)


@np.errstate(all="ignore")
def examine(function: Function, blocks: Iterable[int] = range(BLOCKS)) -> Finding:
    """Return what is found over blocks, in ascending order, of inputs with the same upper bits."""
    finding, started, sha256 = Finding(), time.perf_counter(), hashlib.sha256()
    for negative, of_one_sign in groupby(blocks, lambda block: block >= BLOCKS // 2):
        last = np.empty(0, np.float32)
        for block in of_one_sign:
            bits = np.arange(BLOCK, dtype=np.uint32) + np.uint32(block * BLOCK)
            y = results_of(function, bits)
            judge(function, bits.view(np.float32), y, finding)
            sha256.update(y.astype("<f4").tobytes())
            if function.increasing:
                steps = np.concatenate([last, y])[:: -1 if negative else 1]
                finding.decreases += int(np.count_nonzero(steps[1:] < steps[:-1]))
                last = y[-1:]
    if finding.at is not None:
        x = np.float32(float.fromhex(finding.at))
        finding.largest_error = error(function, x, results_of(function, x[None].view(np.uint32))[0])
    finding.special = {name: special_result(function, name) for name in SPECIAL}
    finding.sha256 = sha256.hexdigest()
    finding.sample_sha256 = hashlib.sha256(results_of(function, sample()).tobytes()).hexdigest()
    finding.seconds = round(time.perf_counter() - started, 1)
    return finding


def judge(function: Function, x: np.ndarray, y: np.ndarray, finding: Finding) -> None:
    """Compare the results y (n,) for x (n,) with the references, and add what is found."""
    x[np.abs(x) < SMALLEST_NORMAL] = 0.0
    reference = function.float64(x.astype(np.float64))
    nearest = reference.astype(np.float32)
    size = np.abs(nearest)
    # Near a midpoint of two float32 numbers, or the smallest that there is.
    doubtful = np.abs((reference.view(np.int64) & _BEYOND_FLOAT32) - _MIDPOINT) <= _DOUBT
    doubtful |= size == function.smallest
    nearest[size < function.smallest] = 0.0
    for i in np.flatnonzero(doubtful):
        finding.settled_by_mpmath += 1
        nearest[i] = rounded(function, x[i])
    ordinary = np.isfinite(nearest) & (nearest != 0.0)
    finding.results += int(np.count_nonzero(ordinary))
    finding.special_values_wrong += int(np.count_nonzero(y.view(np.uint32) == _MINUS_ZERO))
    wrong = (y != nearest) & ~(np.isnan(y) & np.isnan(nearest))
    if np.any(wrong):
        # A function of several roundings may overflow early: an error of its size.
        ordinary &= ~np.isnan(y) if function.bound > 1.0 else np.isfinite(y)
        finding.special_values_wrong += int(np.count_nonzero(wrong & ~ordinary))
        wrong &= ordinary
        finding.not_correctly_rounded += int(np.count_nonzero(wrong))
        errors = np.abs(np.clip(y[wrong], -OVERFLOW, OVERFLOW) - reference[wrong])
        errors /= ulp(reference[wrong])
        worst = int(np.argmax(errors)) if errors.size else 0
        if errors.size and errors[worst] > finding.largest_error:
            finding.largest_error, finding.at = float(errors[worst]), float(x[wrong][worst]).hex()


def ulp(exact: np.ndarray) -> np.ndarray:
    """Return the unit in the last place of float32 numbers in the octave of the exact values."""
    return np.ldexp(1.0, np.frexp(exact)[1] - 24)


def error(function: Function, x: np.float32, y: np.float32) -> float:
    """Return the error of a result y, in units in the last place of the exact value, by mpmath."""
    exact = function.exact(mp.mpf(float(x)))
    y = np.clip(y, -OVERFLOW, OVERFLOW)
    return float(abs(mp.mpf(float(y)) - exact) * mp.mpf(2) ** (24 - mp.frexp(exact)[1]))


def rounded(function: Function, x: np.float32) -> float:
    """Return the float32 number that is nearest to the exact value, ties to even, by mpmath."""
    exact = function.exact(mp.mpf(float(x)))
    with mp.workprec(24):
        return 0.0 if abs(exact) < function.smallest else float(+exact)


def special_result(function: Function, name: str) -> str:
    """Return the result for the number of that name, as text."""
    value = float.fromhex(name) if "x" in name else float(name)
    bits = np.array([value], np.float32).view(np.uint32)
    return str(results_of(function, bits)[0])


def main() -> int:
    """Examine the functions that are named, or all, and record each; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("functions", nargs="*", metavar="FUNCTION", help=", ".join(FUNCTIONS))
    names = parser.parse_args().functions or list(FUNCTIONS)
    if unknown := sorted(set(names) - set(FUNCTIONS)):
        parser.error(f"FUNCTION: got {', '.join(unknown)}, expected some of {', '.join(FUNCTIONS)}")
    # glibc keeps what is freed for reuse only up to the largest block that was ever freed (at most
    # 32 MiB); without this, most of the time goes into fresh pages for every temporary.
    np.empty(2**22 - 2**14)
    found = json.loads(RECORD.read_text("utf-8"))["functions"] if RECORD.exists() else {}
    machine = f"NumPy {np.__version__}, SciPy {scipy.__version__}, {platform.machine()}"
    for name in names:
        found[name] = asdict(examine(FUNCTIONS[name]))
        print(name, found[name], flush=True)
        ordered = {name: found[name] for name in FUNCTIONS if name in found}
        record = {"reference": machine, "functions": ordered}
        RECORD.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    return int(
        any(
            found[name]["special_values_wrong"]
            or found[name]["largest_error"] > FUNCTIONS[name].bound
            for name in names
        )
    )


if __name__ == "__main__":
    sys.exit(main())
