"""What is measured, a part a file: each has `measure(backend, quick)` and returns its JSON.

How it is measured belongs in `measure.py`, how it is shown in `tables.py`.
"""

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

__all__ = ["PARTS"]

PARTS = {
    "steps": steps.measure,
    "inference": inference.measure,
    "fit": fit.measure,
    "accuracy": accuracy.measure,
    "estimators": estimators.measure,
    "memory": memory.measure,
    "startup": startup.measure,
    "reproducible": reproducible.measure,
    "scaling": scaling.measure,
    "roofline": roofline.measure,
}
"""From the name on the command line to the function."""
