"""What a training step on CuPy asks of a GPU, counted on the emulated card, and what was counted.

`python -m tests.launches` counts anew and writes `launches.json`, of which `docs/include.py` makes
the table in benchmarks/NOTES.md.
"""

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pluggable_mlp import MLP, SGD, get_backend, train
from pluggable_mlp.training.optimizers import Adam
from tests.emulated_card import Counts, counting

__all__ = ["RECORDED", "STEPS", "Step", "by_train", "counts_of", "counts_of_step"]

RECORDED = Path(__file__).with_suffix(".json")
BATCH = 128
LENGTHS = (8, 9, 10)
"""In steps, of the runs.  The first one compiles kernels, the two others are compared."""


class Step(NamedTuple):
    """A step of a network 784-hidden-10 on floats; its solver is "sgd" or "adam"."""

    hidden: int
    solver: str
    arithmetic: str

    def __str__(self) -> str:
        return f"784-{self.hidden}-10, {self.solver}, {self.arithmetic}"


STEPS = [
    Step(100, solver, arithmetic)
    for arithmetic in ("native", "reproducible")
    for solver in ("sgd", "adam")
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


def counts_of(run: Any) -> Counts:
    """Return the counts of one step more of a run on inputs and labels."""
    found = []
    for steps in LENGTHS:
        rng = np.random.default_rng(0)
        inputs = rng.normal(size=(steps * BATCH, 784)).astype(np.float32)
        labels = rng.permutation(np.arange(steps * BATCH) % 10)
        with counting() as counts:
            run(inputs, labels)
        found.append(Counter(counts))
    *_, first, second = found
    more = LENGTHS[2] - LENGTHS[1]
    return Counts({name: n // more for name, n in (second - first).items()})


def counts_of_step(step: Step) -> list[int]:
    """Return the launches and the waits of a step."""
    counts = counts_of(partial(by_train, step))
    return [counts.launches, counts.waits]


def main() -> None:
    """Count all steps, and write what they take."""
    lines = [f"  {json.dumps(str(step))}: {json.dumps(counts_of_step(step))}" for step in STEPS]
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
