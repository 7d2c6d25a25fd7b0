"""Training steps over the grid: the batch gathered in a new order, the loss computed, the update.

Every contender draws its own order of the examples and computes every loss.
"""

import time
from dataclasses import replace
from typing import Any

from benchmarks.job import Job
from benchmarks.measure import Field, field_of, say
from benchmarks.parts.grid import cells, sized

__all__ = ["measure"]

_TEST_EXAMPLES = 64  # for the proof of the same work


def measure(backend: str, quick: bool, seconds: float) -> dict[str, Any]:
    """Return {"cells": [{network, batch, optimizer, steps, contenders, …}], …}."""
    jobs = list(cells(quick=quick))
    measured = []
    with field_of(backend) as field:
        end = time.perf_counter() + seconds
        for place, job in enumerate(jobs):
            share = (end - time.perf_counter()) / (len(jobs) - place)
            measured.append(_measure_cell(field, job, share))
        threads = {name: worker.ask("threads") for name, worker in field.workers.items()}
    return {"cells": measured, "threads_of_contenders": threads}


def _measure_cell(field: Field, job: Job, seconds: float) -> dict[str, Any]:
    say(f"steps: {job.network}, batch {job.batch}, {job.optimizer}")
    begin = time.perf_counter()
    steps = sized(field, job)
    # Predictions are part of the proof: in the job's batches, so that nothing compiles twice.
    test_examples = job.batch * max(1, _TEST_EXAMPLES // job.batch)
    job = replace(job, examples=steps * job.batch, test_examples=test_examples)
    field.prepare(job, others=job.in_headline)
    losses = field.prove_same_work(job)
    field.ask_all("start")
    left = max(0.0, seconds - (time.perf_counter() - begin))
    samples = field.sample("time_epoch", left)
    return {
        "network": job.network,
        "batch": job.batch,
        "optimizer": job.optimizer,
        "steps": steps,
        "losses": losses,
        "failed": field.failures,
        "seconds_per_step": {
            name: [seconds / steps for seconds in taken] for name, taken in samples.items()
        },
    }
