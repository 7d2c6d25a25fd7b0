"""The comparator that asks for agreement within bounds of rounding errors.

The bounds are derived in `bounded.py` and `namespace.py`; what runs in units of its own is cut out
in `units.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.consistency.bounded import Bounded, exact
from pluggable_mlp.consistency.bounds import difference_in_ulps, part_of_bound, sharpness
from pluggable_mlp.consistency.namespace import BoundedNamespace
from pluggable_mlp.consistency.report import LAYER_BY_LAYER, WHOLE_STEP, Agreement, Report
from pluggable_mlp.consistency.runs import BackendRun
from pluggable_mlp.consistency.units import Unit, map_nested, units_of_step, whole_step
from pluggable_mlp.training.batches import Batch
from pluggable_mlp.training.step import map_state

__all__ = ["BoundComparator"]

# Layer by layer a right sum exceeds its bound with a probability of 2 exp(-8^2 / 2) = 2.5e-14.
_DEVIATIONS = 8.0

Tensors = dict[str, Array]
Bounds = dict[str, Bounded]


class _Check(NamedTuple):
    """What results are held to.

    Attributes
    ----------
    name : str
        Of the check.
    step : int
        From 1.
    bounds : dict of Bounded
        Of each tensor: of the worst case, unless `worst_case` is given.
    before : dict of arrays
        What a step has changed some tensors from.
    worst_case : callable, optional
        Returns the bounds of the worst case, where `bounds` are only probable.
    """

    name: str
    step: int
    bounds: Bounds
    before: Tensors
    worst_case: Callable[[], Bounds] | None = None


class BoundComparator:
    """Holds all that a step makes to bounds, every step starting alike in all runs.

    Each step is taken three times, from the state of the reference:

    - layer by layer in the dtype, from the values that NumPy finds on the way: held to bounds
      that a right sum exceeds with a probability of `Precision.improbability`;
    - as a whole in float64, unless that is the dtype, where the devices have it: held to the
      worst case, which is small there for most networks;
    - as a whole in the dtype, every run on its own batch: held to the worst case.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    """

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._probable = BoundedNamespace(dtype, _DEVIATIONS)
        self._improbability = 0.0
        self._found: dict[tuple[str, ...], Agreement] = {}

    def step(self, number: int, runs: Sequence[BackendRun], batches: Sequence[Batch]) -> None:
        """See `Comparator.step`."""
        reference, *others = runs
        state = map_state(reference.backend.to_numpy, reference.state)
        on_host = [
            map_nested(run.backend.to_numpy, batch)
            for run, batch in zip(runs, batches, strict=True)
        ]
        self._compare_batches(number, runs, on_host)

        about = reference.mlp, reference.optimizer, state, on_host[0], reference.seed
        for unit in units_of_step(*about):
            worst_case = cache(partial(_bounds, unit, BoundedNamespace(self._dtype)))
            bounds = _bounds(unit, self._probable)
            check = _Check(LAYER_BY_LAYER, number, bounds, unit.before, worst_case)
            self._compare_unit(check, unit, runs)
        self._improbability = (
            self._probable.sums * len(runs) * self._probable.precision.improbability
        )

        whole = whole_step(*about)
        if self._dtype != "float64" and reference.has_float64:
            wide = whole.in_float64()
            bounds = _bounds(wide, BoundedNamespace("float64"))
            check = _Check(WHOLE_STEP, number, bounds, wide.before)
            self._compare_unit(check, wide, [run for run in runs if run.has_float64])

        bounds = _bounds(whole, BoundedNamespace(self._dtype))
        check = _Check(WHOLE_STEP, number, bounds, whole.before)
        expected = reference.step(batches[0])
        for run, batch in zip(others, batches[1:], strict=True):
            run.state = map_state(run.backend.asarray, state)
            self._compare(check, run.name, expected, run.step(batch))

    def complete(self, report: Report) -> Report:
        """See `Comparator.complete`."""
        found = tuple(self._found.values())
        return replace(report, agreements=found, improbability=self._improbability)

    def _compare_batches(
        self, number: int, runs: Sequence[BackendRun], on_host: Sequence[Batch]
    ) -> None:
        """Hold the batches to the reference's: nothing is rounded there."""
        names = ("inputs", "targets", "weights")
        expected, *results = (
            {name: x for name, x in zip(names, batch, strict=True) if x is not None}
            for batch in on_host
        )
        bounds = {name: exact(x, self._probable.precision) for name, x in expected.items()}
        check = _Check(LAYER_BY_LAYER, number, bounds, {})
        for run, result in zip(runs[1:], results, strict=True):
            self._compare(check, run.name, expected, result)

    def _compare_unit(self, check: _Check, unit: Unit, runs: Sequence[BackendRun]) -> None:
        """Compute the unit in all runs, and hold the others to the first."""
        expected, *results = (run.compute(unit) for run in runs)
        for run, result in zip(runs[1:], results, strict=True):
            self._compare(check, run.name, expected, result)

    def _compare(self, check: _Check, name: str, expected: Tensors, result: Tensors) -> None:
        """Note how far each tensor of the run of that name is from what is expected."""
        for tensor, bounded in check.bounds.items():
            pair = expected[tensor], result[tensor]
            part = part_of_bound(*pair, bounded)
            part_of_worst: float | None = part
            if check.worst_case is not None:
                part_of_worst = (
                    part_of_bound(*pair, check.worst_case()[tensor]) if part > 1.0 else None
                )
            smallest_fault, blind_part = sharpness(*pair, bounded, check.before.get(tensor, 0.0))
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
                    smallest_fault=smallest_fault,
                    blind_part=blind_part,
                )
            )

    def _add(self, new: Agreement) -> None:
        """Keep the worst step, the most ulps of any, and what the sharpest step would show."""
        key = new.check, new.dtype, new.tensor, new.backend
        old = self._found.get(key, new)
        self._found[key] = replace(
            max(old, new, key=lambda one: one.part_of_bound),
            ulps=max(old.ulps, new.ulps),
            smallest_fault=min(old.smallest_fault, new.smallest_fault),
            blind_part=min(old.blind_part, new.blind_part),
        )


def _bounds(unit: Unit, namespace: BoundedNamespace) -> Bounds:
    """Return what the unit makes with the bounds of its errors."""
    # Where a bound overflows nothing is known of the result: the bound is infinite then.
    with np.errstate(all="ignore"):
        return unit.run(namespace, namespace.asarray)
