"""How `compare` checks the results of runs: within bounds on rounding errors, or bit by bit.

A comparator takes a step in all runs, the reference first, and remembers the largest differences.
The bounds are derived in `namespaces/bounded`; `runs.py` divides a step into units.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array, map_nested
from pluggable_mlp.consistency import report as reports
from pluggable_mlp.consistency.units import BackendRun, Tensors, Unit, units_of_step, whole_step
from pluggable_mlp.files.hashing import little_endian
from pluggable_mlp.namespaces.bounded.array import Bounded, exact
from pluggable_mlp.namespaces.bounded.namespace import BoundedNamespace
from pluggable_mlp.training.optimizer import as_single_steps

# Layer by layer a correct sum exceeds its bound with a probability of 2 exp(-8^2 / 2) = 2.5e-14.
_DEVIATIONS = 8.0

_BATCH = ("inputs", "targets", "sample_weight")

Bounds = dict[str, Bounded]


class BitComparator:
    """Compares the bits of losses, gradients and parameters of runs that train independently.

    A tensor's hash is the SHA-256 of its bytes at all steps, concatenated, little-endian and in C
    order.
    """

    def __init__(self) -> None:
        self._hashes: dict[tuple[str, str], hashlib._Hash] = {}
        self._differences: dict[str, reports.Difference] = {}

    def step(self, t: int, runs: Sequence[BackendRun]) -> None:
        """Take step t, from 1, in all runs."""
        reference = runs[0].name
        results = [run.step() for run in runs]
        for tensor, expected in results[0].items():
            for run, result in zip(runs, results, strict=True):
                key = tensor, run.name
                array = little_endian(result[tensor])
                self._hashes.setdefault(key, hashlib.sha256()).update(array.tobytes())
                if run.name not in self._differences:
                    first = _first_difference(little_endian(expected), array)
                    if first:
                        difference = reports.Difference(t, tensor, reference, run.name, *first)
                        self._differences[run.name] = difference

    def complete(self, report: reports.Report) -> reports.Report:
        """Return the report with the hashes and the first differences."""
        hashes = tuple(reports.Hash(*key, sha.hexdigest()) for key, sha in self._hashes.items())
        return replace(report, hashes=hashes, differences=tuple(self._differences.values()))


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
        For each tensor; worst-case bounds, unless `worst_case` is given.
    before : dict of arrays
        The tensors that the step updates, as before it.
    worst_case : callable, optional
        Returns the worst-case bounds, if `bounds` are only probable.
    """

    name: str
    step: int
    bounds: Bounds
    before: Tensors
    worst_case: Callable[[], Bounds] | None = None


class BoundComparator:
    """Checks all results of a step against bounds; all runs start each step from one state.

    Each step is taken three times, from the state of the reference:

    - layer by layer in the dtype, from the values that NumPy computes there, against bounds that a
      correct sum exceeds with a probability of `Precision.improbability`;
    - as a whole in float64, if this is not the dtype and the device has it, against the worst case,
      which is small there for most networks;
    - as a whole in the dtype, each run on its own batch, against the worst case.
    """

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._probable = BoundedNamespace(dtype, _DEVIATIONS)
        self._improbability = 0.0
        self._agreements: dict[tuple[str, ...], reports.Agreement] = {}

    def step(self, t: int, runs: Sequence[BackendRun]) -> None:
        """Take step t, from 1, in all runs."""
        reference = runs[0]
        state = map_nested(reference.backend.to_numpy, reference.state)
        on_host = [run.on_host(run.batch) for run in runs]
        batches = [
            {name: x for name, x in zip(_BATCH, batch, strict=True) if x is not None}
            for batch in on_host
        ]
        # They involve no rounding.
        bounds = {name: exact(x, self._probable) for name, x in batches[0].items()}
        self._compare(_Check(reports.LAYER_BY_LAYER, t, bounds, {}), runs, batches)

        steps = reference.steps
        about = steps.mlp, as_single_steps(steps.optimizer), state, on_host[0], steps.seed
        for unit in units_of_step(*about):
            worst_case = cache(partial(_bounds, unit, BoundedNamespace(self._dtype)))
            bounds = _bounds(unit, self._probable)
            check = _Check(reports.LAYER_BY_LAYER, t, bounds, unit.before, worst_case)
            self._compare(check, runs, [run.compute(unit) for run in runs])
        self._improbability = (
            self._probable.sums * len(runs) * self._probable.precision.improbability
        )

        whole = whole_step(*about)
        able = [run for run in runs if "float64" not in getattr(run.backend, "missing_dtypes", ())]
        if self._dtype != "float64" and reference in able:
            wide = whole.in_float64()
            bounds = _bounds(wide, BoundedNamespace("float64"))
            check = _Check(reports.WHOLE_STEP, t, bounds, wide.before)
            self._compare(check, able, [run.compute(wide) for run in able])

        bounds = _bounds(whole, BoundedNamespace(self._dtype))
        results = [reference.step()]
        for run in runs[1:]:
            run.state = map_nested(run.backend.asarray, state)
            results.append(run.step())
        self._compare(_Check(reports.WHOLE_STEP, t, bounds, whole.before), runs, results)

    def complete(self, report: reports.Report) -> reports.Report:
        """Return the report with the agreements."""
        agreements = tuple(
            replace(agreement, unchecked_part=agreement.unchecked_part / report.steps)
            for agreement in self._agreements.values()
        )
        return replace(report, agreements=agreements, improbability=self._improbability)

    def _compare(
        self, check: _Check, runs: Sequence[BackendRun], results: Sequence[Tensors]
    ) -> None:
        """Record the difference of each tensor of a run from that of the reference."""
        for tensor, bounded in check.bounds.items():
            a = results[0][tensor]
            for run, result in zip(runs[1:], results[1:], strict=True):
                b = result[tensor]
                part = part_of_bound(a, b, bounded)
                part_of_worst: float | None = part
                if check.worst_case is not None:
                    part_of_worst = None
                    if part > 1.0:
                        part_of_worst = part_of_bound(a, b, check.worst_case()[tensor])
                parts = difference_in_ulps(a, b), part, part_of_worst
                faults = sharpness(a, b, bounded, check.before.get(tensor, 0.0))
                key = check.name, bounded.dtype.name, tensor, run.name
                self._add(key, reports.Agreement(*key, *parts, check.step, *faults))

    def _add(self, key: tuple[str, ...], new: reports.Agreement) -> None:
        """Keep the worst step, the most ulps and the sharpest check; sum the unchecked parts."""
        if key not in self._agreements:
            self._agreements[key] = new
            return
        worst = self._agreements[key]
        self._agreements[key] = replace(
            max(worst, new, key=attrgetter("part_of_bound")),
            ulps=max(worst.ulps, new.ulps),
            smallest_fault=min(worst.smallest_fault, new.smallest_fault),
            blind_part=min(worst.blind_part, new.blind_part),
            unchecked_part=worst.unchecked_part + new.unchecked_part,
        )


def _bounds(unit: Unit, namespace: BoundedNamespace) -> Bounds:
    """Return the results of the unit with bounds on their errors."""
    return unit.run(namespace, namespace.asarray)


# Measures of a difference: of two NumPy arrays and a `Bounded` one, all of one shape


def part_of_bound(a: Array, b: Array, bounded: Bounded) -> float:
    """Return the largest |a - b| / bound over the elements of two NumPy arrays of one shape.

    It is at most 1 if both are within their bounds.  Elements with an infinite bound are not
    checked: even NaN or infinity may be right there (see `sharpness`).  Elsewhere NaN or infinity
    in only one of the arrays, and everywhere a different shape or dtype, give infinity.
    """
    if not _are_comparable(a, b):
        return math.inf
    difference = _difference(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(difference == 0.0, 0.0, difference / bounded.spread)
    parts = np.where(np.isinf(difference), np.inf, parts)
    return float(np.max(parts, initial=0.0, where=np.isfinite(bounded.spread)))


class Sharpness(NamedTuple):
    """The faults of a tensor that a comparison would have detected.

    Faults are relative to the tensor or, if a step updates the tensor, to the update.

    Attributes
    ----------
    smallest_fault : float
        The smallest relative fault of the whole tensor that moves some element beyond its bound;
        infinite if none does, 0 if every element must be 0 and no fault would be missed.
    blind_part : float
        The share of the nonzero elements that can be wrong by 100 % and stay within their bounds.
    unchecked_part : float
        The share of all elements that can be anything: rounding may take them out of the range of
        the dtype, or nothing is known of them for another reason, such as a division by what may be
        0.
    """

    smallest_fault: float
    blind_part: float
    unchecked_part: float


def sharpness(a: Array, b: Array, bounded: Bounded, before: Array | float = 0.0) -> Sharpness:
    """Return the sharpness of the comparison of b with a; `before` is a before the step.

    A relative fault x of an element adds x (a - before) to b, with either sign.
    """
    # The rounding errors that b already has (a fault would be larger) may hide as much.
    reach = bounded.spread + np.minimum(_difference(a, b), bounded.spread)
    unchecked = float(np.mean(np.isinf(reach))) if reach.size else 0.0
    with np.errstate(invalid="ignore"):  # of infinities, before a step and after
        size = np.abs(np.asarray(a, dtype=np.float64) - before)
        sized = size > 0.0
        faults = reach[sized] / size[sized]
    if not faults.size:
        blind = bool(reach.any())
        return Sharpness(math.inf if blind else 0.0, float(blind), unchecked)
    faults[np.isinf(reach[sized])] = math.inf
    return Sharpness(float(np.min(faults)), float(np.mean(faults >= 1.0)), unchecked)


def difference_in_ulps(reference: Array, other: Array) -> float:
    """Return the largest |reference - other| in ulps of the reference, element by element.

    For elements smaller than the root mean square of the reference, the unit is an ulp of the
    latter: after cancellation, an ulp of the element would exaggerate the errors of its terms.
    """
    difference = _difference(reference, other)
    sizes = np.abs(reference[np.isfinite(reference)].astype(np.float64))
    if not sizes.size or not difference.any():
        return float(np.max(difference, initial=0.0))
    # Scaled by the largest, so that no square overflows or underflows.
    largest = float(np.max(sizes)) or 1.0
    typical = largest * float(np.sqrt(np.mean((sizes / largest) ** 2)))
    finite = np.where(np.isfinite(reference), np.abs(reference), 0.0)
    below_largest = np.nextafter(np.finfo(reference.dtype).max, 0)  # has the same ulp, within range
    unit = np.spacing(np.clip(finite, typical, below_largest).astype(reference.dtype))
    return float(np.max(difference / unit.astype(np.float64)))


def _difference(a: Array, b: Array) -> Array:
    """Return |a - b| in float64: 0 for two NaNs or equal infinities, infinite for only one.

    It is infinite everywhere if the arrays differ in shape or dtype.
    """
    if not _are_comparable(a, b):
        return np.full(a.shape, np.inf)
    a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(a - b))
    return np.where(np.isnan(difference), np.inf, difference)


def _are_comparable(a: Array, b: Array) -> bool:
    return bool(a.shape == b.shape and a.dtype == b.dtype)
