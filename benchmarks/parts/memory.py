"""Peak memory of training on 60,000 images: each contender in a process that does nothing else."""

from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.job import Job
from benchmarks.measure import say
from benchmarks.parts.images import images
from benchmarks.workers import Server, Worker, WorkerFailed

__all__ = ["measure"]


def measure(backend: str, quick: bool, seconds: float) -> dict[str, Any]:
    """Return {"network", …, "contenders": {name: {peak, data}}}, all in bytes."""
    del seconds  # the work is fixed
    examples = 256 * 4 if quick else 59904
    job = Job((784, 1024, 10), 256, "adam", examples, data=images())
    measured: dict[str, dict[str, Any]] = {}
    for name, entry in CONTENDERS[backend].items():
        if entry.kind == "limit" or not entry.suits(job.sizes, job.batch, job.optimizer):
            continue
        say(f"memory: {entry.label}")
        width = 1 if entry.options.get("pixels") else 4
        with Worker(Server, entry) as worker:
            try:
                peak = worker.ask("peak", job)
            except WorkerFailed as failure:
                measured[name] = {"failed": str(failure)}
                continue
        measured[name] = {"peak": peak, "data": width * examples * job.sizes[0]}
    return {
        "network": job.network,
        "batch": job.batch,
        "optimizer": job.optimizer,
        "examples": examples,
        "data": job.data,
        "contenders": measured,
    }
