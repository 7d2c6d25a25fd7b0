"""What `compare` asks of a comparator, and the one that asks for the same bits.

A comparator takes a step in all runs, the reference first, and remembers the worst of what it
sees.  The one that asks for agreement within bounds is in `bound_comparator.py`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.consistency.report import Difference, Hash, Report
from pluggable_mlp.consistency.runs import BackendRun
from pluggable_mlp.training.batches import Batch

__all__ = ["BitComparator", "Comparator"]


class Comparator(Protocol):
    """What `compare` asks of a comparator."""

    def step(self, number: int, runs: Sequence[BackendRun], batches: Sequence[Batch]) -> None:
        """Take the step of that number, from 1, in all runs; `batches` has one for each."""

    def complete(self, report: Report) -> Report:
        """Return the report with what was found."""


class BitComparator:
    """Holds losses, gradients and parameters to the same bits, every run going on by itself.

    A tensor's hash is the SHA-256 of its bytes at every step, one after the other, little-endian
    and in C order.
    """

    def __init__(self) -> None:
        self._hashes: dict[tuple[str, str], hashlib._Hash] = {}
        self._differences: dict[str, Difference] = {}

    def step(self, number: int, runs: Sequence[BackendRun], batches: Sequence[Batch]) -> None:
        """See `Comparator.step`."""
        reference = runs[0].name
        results = [run.step(batch) for run, batch in zip(runs, batches, strict=True)]
        for tensor, expected in results[0].items():
            for run, result in zip(runs, results, strict=True):
                key = tensor, run.name
                array = _little_endian(result[tensor])
                self._hashes.setdefault(key, hashlib.sha256()).update(array.tobytes())
                if run.name not in self._differences:
                    found = _first_difference(_little_endian(expected), array)
                    if found:
                        difference = Difference(number, tensor, reference, run.name, *found)
                        self._differences[run.name] = difference

    def complete(self, report: Report) -> Report:
        """See `Comparator.complete`."""
        hashes = tuple(Hash(*key, sha.hexdigest()) for key, sha in self._hashes.items())
        return replace(report, hashes=hashes, differences=tuple(self._differences.values()))


def _little_endian(array: Array) -> Array:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)


def _first_difference(a: Array, b: Array) -> tuple[tuple[int, ...], str, str] | None:
    """Return the first index, in C order, where two arrays differ in a bit, and both values."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return (), f"{a.dtype.name} {a.shape}", f"{b.dtype.name} {b.shape}"
    bits = f"<u{a.dtype.itemsize}"
    (places,) = np.nonzero(a.reshape(-1).view(bits) != b.reshape(-1).view(bits))
    if not places.size:
        return None
    index = tuple(int(i) for i in np.unravel_index(places[0], a.shape))
    return index, _hexadecimal(a[index]), _hexadecimal(b[index])


def _hexadecimal(value: Array) -> str:
    """Return the value as C's hexadecimal float, and its bits from the highest on."""
    return f"{float(value).hex()} (0x{value.tobytes()[::-1].hex()})"
