"""Launches and waits of a step on the simulated CuPy, and what was counted.

`python -m tests.launches` counts anew and writes `launches.json`, of which `docs/include.py` makes
the table in docs/how-to/gpu.md.
"""

import json
import warnings
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from pluggable_mlp import MLP, SGD, MLPClassifier, compile_cache, get_backend, train
from pluggable_mlp.training.optimizers import Adam
from tests.simulated_cupy import counting, installed

__all__ = ["RECORDED", "STEPS", "Step", "by_train", "counts_of", "counts_of_step"]

RECORDED = Path(__file__).with_suffix(".json")
BATCH = 128


class Step(NamedTuple):
    """A step of a network 784-hidden-10 on floats; its solver is "sgd" or "adam"."""

    hidden: int
    solver: str
    arithmetic: str
    by: str

    def __str__(self) -> str:
        return f"784-{self.hidden}-10, {self.solver}, {self.arithmetic}, {self.by}"


STEPS = [
    Step(hidden, solver, arithmetic, by)
    for hidden in (100, 512)
    for solver in ("sgd", "adam")
    for arithmetic in ("native", "reproducible")
    for by in ("train", "fit")
]


def by_train(step: Step, inputs: Any, labels: Any, **network: Any) -> None:
    """Take an epoch of `train`, from arrays of the host, of an MLP with other settings."""
    train(
        MLP([784, step.hidden, 10], **network),
        inputs,
        labels,
        backend=get_backend("cupy"),
        optimizer=Adam() if step.solver == "adam" else SGD(),
        epochs=1,
        batch_size=BATCH,
        arithmetic=step.arithmetic,
    )


def by_fit(step: Step, inputs: Any, labels: Any) -> None:
    """Take an epoch of `fit`, from arrays of the device; with scikit-learn's penalty."""
    backend = get_backend("cupy")
    model = MLPClassifier(
        (step.hidden,),
        solver=step.solver,
        batch_size=BATCH,
        max_iter=1,
        arithmetic=step.arithmetic,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Maximum iterations")
        model.fit(backend.asarray(inputs), backend.asarray(labels))


# The first three make tables and the like, try kernels and trace what comes once in a run.
LENGTHS = (3, 3, 3, 4, 5)


def counts_of(run: Callable[[Any, Any], None], lengths: tuple[int, ...] = LENGTHS) -> Any:
    """Return the launches and waits of one step more of a run on inputs and labels, by name.

    The last two of the lengths, in steps, are compared.  Functions that other computations left
    compiled do not take part: they would be traced for other arguments, at other calls.
    """
    found = []
    with patch.object(compile_cache, "_recent", deque()):
        for steps in lengths:
            rng = np.random.default_rng(0)
            inputs = rng.normal(size=(steps * BATCH, 784)).astype(np.float32)
            labels = rng.permutation(np.arange(steps * BATCH) % 10)
            with counting() as counts:
                run(inputs, labels)
            found.append(counts)
    *_, first, second = found
    return second.launches - first.launches, second.waits - first.waits


def counts_of_step(step: Step) -> Any:
    """Return `counts_of` a step."""
    return counts_of(partial({"train": by_train, "fit": by_fit}[step.by], step))


def main() -> None:
    """Count all steps, and write how many launches and waits they take."""
    with installed():
        counted = {str(step): [of.total() for of in counts_of_step(step)] for step in STEPS}
    lines = [f"  {json.dumps(name)}: {json.dumps(counts)}" for name, counts in counted.items()]
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
