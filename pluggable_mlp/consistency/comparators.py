"""How `compare` checks the results of runs: within bounds on rounding errors, or bit by bit.

A comparator takes a step in all runs, the reference first, and remembers the largest differences.
The bounds are derived in `bounded.py` and `namespace.py`; `units.py` divides a step into units.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import NamedTuple, Protocol

import numpy as np

from pluggable_mlp.arrays import Array, map_nested
from pluggable_mlp.consistency.bounds import difference_in_ulps, part_of_bound, sharpness
from pluggable_mlp.consistency.report import (
    LAYER_BY_LAYER,
    WHOLE_STEP,
    Agreement,
    Difference,
    Hash,
    Report,
)
from pluggable_mlp.consistency.runs import BackendRun
from pluggable_mlp.consistency.units import Unit, units_of_step, whole_step
from pluggable_mlp.namespaces.bounded import Bounded, BoundedNamespace, exact
from pluggable_mlp.training.components import as_single_steps
from pluggable_mlp.training.examples import Batch

# Layer by layer a correct sum exceeds its bound with a probability of 2 exp(-8^2 / 2) = 2.5e-14.
_DEVIATIONS = 8.0

Tensors = dict[str, Array]
Bounds = dict[str, Bounded]


class Comparator(Protocol):
    """The interface of a comparator."""

    def step(self, t: int, runs: Sequence[BackendRun]) -> None:
        """Take step t, from 1, in all runs."""

    def complete(self, report: Report) -> Report:
        """Return the report with the findings."""


class BitComparator:
    """Compares the bits of losses, gradients and parameters, where each run trains by itself.

    A tensor's hash is the SHA-256 of its bytes at every step, one after the other, little-endian
    and in C order.
    """

    def __init__(self) -> None:
        self._hashes: dict[tuple[str, str], hashlib._Hash] = {}
        self._differences: dict[str, Difference] = {}

    def step(self, t: int, runs: Sequence[BackendRun]) -> None:
        """See `Comparator.step`."""
        reference = runs[0].name
        results = [run.step() for run in runs]
        for tensor, expected in results[0].items():
            for run, result in zip(runs, results, strict=True):
                key = tensor, run.name
                array = _little_endian(result[tensor])
                self._hashes.setdefault(key, hashlib.sha256()).update(array.tobytes())
                if run.name not in self._differences:
                    found = _first_difference(_little_endian(expected), array)
                    if found:
                        difference = Difference(t, tensor, reference, run.name, *found)
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


class _Check(NamedTuple):
    """A check of the results of a step.

    Attributes
    ----------
    name : str
    step : int
        From 1.
    bounds : dict of Bounded
        For each tensor; those of the worst case, unless `worst_case` is given.
    before : dict of arrays
        The tensors that the step updates, before it.
    worst_case : callable, optional
        Returns the bounds of the worst case, if `bounds` are only probable.
    """

    name: str
    step: int
    bounds: Bounds
    before: Tensors
    worst_case: Callable[[], Bounds] | None = None


class BoundComparator:
    """Checks all results of a step against bounds, where all runs start each step from one state.

    Each step is taken three times, from the state of the reference:

    - layer by layer in the dtype, from the values that NumPy computes there, against bounds that a
      correct sum exceeds with a probability of `Precision.improbability`;
    - as a whole in float64, if this is not the dtype and the devices have it, against the worst
      case, which is small there for most networks;
    - as a whole in the dtype, each run on its own batch, against the worst case.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    """

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._probable = BoundedNamespace(dtype, _DEVIATIONS)
        self._improbability = 0.0
        self._found: dict[tuple[str, ...], Agreement] = {}

    def step(self, t: int, runs: Sequence[BackendRun]) -> None:
        """See `Comparator.step`."""
        reference, *others = runs
        state = map_nested(reference.backend.to_numpy, reference.state)
        on_host = [run.batch_on_host() for run in runs]
        self._compare_batches(t, runs, on_host)

        steps = reference.steps
        about = steps.mlp, as_single_steps(steps.optimizer), state, on_host[0], steps.seed
        for unit in units_of_step(*about):
            worst_case = cache(partial(_bounds, unit, BoundedNamespace(self._dtype)))
            bounds = _bounds(unit, self._probable)
            check = _Check(LAYER_BY_LAYER, t, bounds, unit.before, worst_case)
            self._compare_unit(check, unit, runs)
        self._improbability = (
            self._probable.sums * len(runs) * self._probable.precision.improbability
        )

        whole = whole_step(*about)
        if self._dtype != "float64" and reference.has_float64:
            wide = whole.in_float64()
            bounds = _bounds(wide, BoundedNamespace("float64"))
            check = _Check(WHOLE_STEP, t, bounds, wide.before)
            self._compare_unit(check, wide, [run for run in runs if run.has_float64])

        bounds = _bounds(whole, BoundedNamespace(self._dtype))
        check = _Check(WHOLE_STEP, t, bounds, whole.before)
        expected = reference.step()
        for run in others:
            run.state = map_nested(run.backend.asarray, state)
            self._compare(check, run.name, expected, run.step())

    def complete(self, report: Report) -> Report:
        """See `Comparator.complete`."""
        found = tuple(
            replace(one, unchecked_part=one.unchecked_part / report.steps)
            for one in self._found.values()
        )
        return replace(report, agreements=found, improbability=self._improbability)

    def _compare_batches(
        self, t: int, runs: Sequence[BackendRun], on_host: Sequence[Batch]
    ) -> None:
        """Compare the batches with that of the reference; they involve no rounding."""
        names = ("inputs", "targets", "sample_weight")
        expected, *results = (
            {name: x for name, x in zip(names, batch, strict=True) if x is not None}
            for batch in on_host
        )
        bounds = {name: exact(x, self._probable) for name, x in expected.items()}
        check = _Check(LAYER_BY_LAYER, t, bounds, {})
        for run, result in zip(runs[1:], results, strict=True):
            self._compare(check, run.name, expected, result)

    def _compare_unit(self, check: _Check, unit: Unit, runs: Sequence[BackendRun]) -> None:
        """Compute the unit in all runs, and compare the others with the first."""
        expected, *results = (run.compute(unit) for run in runs)
        for run, result in zip(runs[1:], results, strict=True):
            self._compare(check, run.name, expected, result)

    def _compare(self, check: _Check, name: str, expected: Tensors, result: Tensors) -> None:
        """Record the difference of each tensor of a run from the expected one."""
        for tensor, bounded in check.bounds.items():
            pair = expected[tensor], result[tensor]
            part = part_of_bound(*pair, bounded)
            part_of_worst: float | None = part
            if check.worst_case is not None:
                part_of_worst = (
                    part_of_bound(*pair, check.worst_case()[tensor]) if part > 1.0 else None
                )
            seen = sharpness(*pair, bounded, check.before.get(tensor, 0.0))
            self._add(
                Agreement(
                    check=check.name,
                    dtype=bounded.dtype.name,
                    tensor=tensor,
                    backend=name,
                    ulps=difference_in_ulps(*pair),
                    part_of_bound=part,
                    part_of_worst_case=part_of_worst,
                    step=check.step,
                    **seen._asdict(),
                )
            )

    def _add(self, new: Agreement) -> None:
        """Keep the worst step, the most ulps of any, and the sharpness of the sharpest step.

        What is unchecked in each is added up.
        """
        key = new.check, new.dtype, new.tensor, new.backend
        if key not in self._found:
            self._found[key] = new
            return
        old = self._found[key]
        self._found[key] = replace(
            max(old, new, key=lambda one: one.part_of_bound),
            ulps=max(old.ulps, new.ulps),
            smallest_fault=min(old.smallest_fault, new.smallest_fault),
            blind_part=min(old.blind_part, new.blind_part),
            unchecked_part=old.unchecked_part + new.unchecked_part,
        )


def _bounds(unit: Unit, namespace: BoundedNamespace) -> Bounds:
    """Return the results of the unit with the bounds of their errors."""
    return unit.run(namespace, namespace.asarray)
