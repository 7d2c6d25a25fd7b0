"""Class probabilities of examples, batch by batch, over the grid."""

import time
from dataclasses import replace
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.job import Job
from benchmarks.measure import TRIAL_STEPS, Field, field_of, say
from benchmarks.parts.grid import cells, sized

__all__ = ["measure"]

_SAME = "jax-scan"  # predicts as "jax" does


def measure(backend: str, quick: bool, seconds: float) -> dict[str, Any]:
    """Return {"cells": [{network, batch, batches, contenders, …}]}."""
    jobs = list(cells(("sgd",), quick))
    measured = []
    with field_of(backend, [name for name in CONTENDERS[backend] if name != _SAME]) as field:
        end = time.perf_counter() + seconds
        for place, job in enumerate(jobs):
            share = (end - time.perf_counter()) / (len(jobs) - place)
            measured.append(_measure_cell(field, job, share))
    return {"cells": measured}


def _measure_cell(field: Field, job: Job, seconds: float) -> dict[str, Any]:
    say(f"inference: {job.network}, batch {job.batch}")
    begin = time.perf_counter()
    batches = sized(field, job)
    job = replace(job, examples=TRIAL_STEPS * job.batch, test_examples=batches * job.batch)
    field.prepare(job, others=job.in_headline)
    field.prove_same_work(job)
    left = max(0.0, seconds - (time.perf_counter() - begin))
    samples = field.sample("time_prediction", left)
    return {
        "network": job.network,
        "batch": job.batch,
        "batches": batches,
        "failed": field.failures,
        "seconds_per_batch": {
            name: [seconds / batches for seconds in taken] for name, taken in samples.items()
        },
    }
