"""Every elementary function gives the bits that were recorded, on half a million arguments.

Its other tests ask for accuracy, and that all backends agree; a coefficient that is off in its last
places would keep both and break every old certificate.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from pluggable_mlp.namespaces.reproducible.array import to_native
from pluggable_mlp.namespaces.reproducible.namespace import reproducible
from tests.elementary.cases import every_kind

RECORDED = Path(__file__).with_suffix(".json")
FUNCTIONS = (
    *("exp", "log", "log1p", "tanh", "sigmoid", "softplus", "erf"),
    *("reciprocal", "sqrt", "rsqrt", "flush"),
)
CASES = [f"{function} {dtype}" for function in FUNCTIONS for dtype in ("float32", "float64")]


def arguments(dtype: str) -> np.ndarray:
    """Return (n,) of every kind, and then -88 to 88 in even steps, exact in both dtypes.

    So many, as a coefficient's sixth digit turns the rounding of one result in 10,000.
    """
    steps = np.arange(-(2**18), 2**18) * (88.0 * 2.0**-18)
    return np.concatenate([every_kind(dtype), steps.astype(dtype)])


def sha256(array: np.ndarray) -> str:
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()


def found(case: str) -> str:
    """Return SHA-256 over the results; NaN, whose sign may differ, as one."""
    function, dtype = case.split()
    ns, x = reproducible(np), arguments(dtype)
    with np.errstate(all="ignore"):
        y = to_native(ns.asarray(x) if function == "flush" else getattr(ns, function)(ns.wrap(x)))
    return sha256(np.where(np.isnan(y), np.asarray(np.nan, dtype), y))


@pytest.mark.parametrize("case", CASES)
def test_the_recorded_bits(case: str) -> None:
    assert found(case) == json.loads(RECORDED.read_text())[case]


def test_the_arguments_are_the_recorded_ones() -> None:
    """NumPy's generators may change: then these hashes say nothing of the functions."""
    for dtype in ("float32", "float64"):
        assert sha256(arguments(dtype)) == json.loads(RECORDED.read_text())[f"arguments {dtype}"]


if __name__ == "__main__":
    hashes = {case: found(case) for case in CASES}
    hashes |= {f"arguments {dtype}": sha256(arguments(dtype)) for dtype in ("float32", "float64")}
    print(json.dumps(hashes, indent=2))
