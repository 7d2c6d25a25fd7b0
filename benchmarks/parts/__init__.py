"""What is measured: each part's `measure(backend, quick, seconds)` returns its JSON.

How it is measured belongs in `measure.py`, how it is shown in `tables.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.parts import (
    accuracy,
    estimators,
    fit,
    inference,
    memory,
    reproducible,
    roofline,
    scaling,
    startup,
    steps,
)

__all__ = ["PARTS", "Part"]


@dataclass(frozen=True)
class Part:
    """A part of the benchmark.

    Attributes
    ----------
    measure : callable
        Takes the backend's name, whether the run is quick, and about how many seconds it may take.
    seconds, quick_seconds : float
        Enough for the least number of samples, and for some more of quick ones; of parts whose work
        is fixed, what they take.
    """

    measure: Callable[[str, bool, float], dict[str, Any]]
    seconds: float
    quick_seconds: float


PARTS = {
    "steps": Part(steps.measure, 1300.0, 8.0),
    "inference": Part(inference.measure, 400.0, 4.0),
    "fit": Part(fit.measure, 290.0, 4.0),
    "reproducible": Part(reproducible.measure, 150.0, 6.0),
    "estimators": Part(estimators.measure, 270.0, 10.0),
    "accuracy": Part(accuracy.measure, 130.0, 20.0),
    "memory": Part(memory.measure, 40.0, 20.0),
    "startup": Part(startup.measure, 40.0, 10.0),
    "scaling": Part(scaling.measure, 90.0, 4.0),
    "roofline": Part(roofline.measure, 10.0, 5.0),
}
"""By their names on the command line, in the order of a run."""
