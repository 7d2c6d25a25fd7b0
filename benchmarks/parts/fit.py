"""A whole fit as a user runs it: an epoch with shuffling and losses, then the test accuracy.

On Fashion-MNIST where it is at hand and has as many features, else on random data; the result says
which.
"""

import statistics
import time
from dataclasses import replace
from typing import Any

from benchmarks.job import Job
from benchmarks.measure import Field, field_of, say
from benchmarks.parts.images import images

__all__ = ["measure"]

CASES = (
    Job((784, 100, 10), 128, "sgd", 59904),
    Job((784, 100, 10), 128, "adam", 59904),
    Job((784, 100, 10), 1024, "sgd", 59392),
    Job((784, 1024, 10), 256, "sgd", 20480),
    Job((784, 1024, 10), 256, "adam", 20480),
    Job((784, 1024, 1024, 10), 256, "adam", 10240),
    Job((784, 100, 10), 1, "sgd", 5000),
    Job((64, 64, 64, 64, 10), 32, "adam", 20480),
)
_TEST_EXAMPLES = 10000
_PIXELS = 784  # of an image of Fashion-MNIST
# Each draws its own shuffles, which moves the mean loss of the first epoch by well under this.
_LOSS_TOLERANCE = 0.05


def measure(backend: str, quick: bool, seconds: float) -> dict[str, Any]:
    """Return {"cases": [{network, batch, optimizer, examples, data, contenders, …}]}."""
    data, cases = images(), CASES[:1] if quick else CASES
    measured = []
    with field_of(backend) as field:
        end = time.perf_counter() + seconds
        for place, case in enumerate(cases):
            of = data if case.sizes[0] == _PIXELS else "random"
            job = replace(case, test_examples=_TEST_EXAMPLES, data=of)
            share = (end - time.perf_counter()) / (len(cases) - place)
            measured.append(_measure_case(field, job, share))
    return {"cases": measured}


def _measure_case(field: Field, job: Job, seconds: float) -> dict[str, Any]:
    say(f"fit: {job.network}, batch {job.batch}, {job.optimizer}, {job.data}")
    begin = time.perf_counter()
    field.prepare(job)
    first = field.ask_all("time_fit")  # with whatever compiles
    _compare_losses(field, {name: loss for name, (_, loss, _) in first.items()})
    samples = field.sample("time_fit", max(0.0, seconds - (time.perf_counter() - begin)))
    return {
        "network": job.network,
        "batch": job.batch,
        "optimizer": job.optimizer,
        "examples": job.examples,
        "data": job.data,
        "failed": field.failures,
        "first_seconds": {name: answer[0] for name, answer in first.items()},
        "loss": {name: answer[1] for name, answer in first.items()},
        "accuracy": {name: answer[2] for name, answer in first.items()},
        "seconds": {name: [each[0] for each in taken] for name, taken in samples.items()},
    }


def _compare_losses(field: Field, losses: dict[str, float]) -> None:
    """Drop who has another loss than the others."""
    learnt = {name: loss for name, loss in losses.items() if field.entries[name].kind != "limit"}
    middle = statistics.median(learnt.values())
    for name, loss in learnt.items():
        if not abs(loss / middle - 1.0) <= _LOSS_TOLERANCE:
            field.drop(name, f"its loss is {loss:.4f}, that of the others {middle:.4f}")
