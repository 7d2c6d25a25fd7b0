"""Who measures how: the same work proven first, then samples in turn (A B C A B C …), then
medians.

What is measured belongs in `parts/`.
"""

import math
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.contenders import CONTENDERS, Entry
from benchmarks.job import Job, Work
from benchmarks.workers import Server, Worker, WorkerFailed

__all__ = ["Field", "field_of", "quartiles", "ratio", "say", "tolerance"]

TRIAL_STEPS = 5
LEAST_SAMPLES, MOST_SAMPLES = 5, 15


@dataclass
class Field:
    """The contenders of a run, each in its process; who failed stays out for the rest of a job.

    Attributes
    ----------
    entries : dict of Entry
    workers : dict of Worker
    failures : dict of str
        Why a contender is out of the present job.
    """

    entries: dict[str, Entry]
    workers: dict[str, Worker]
    failures: dict[str, str] = field(default_factory=dict)

    def prepare(self, job: Job, others: bool = True) -> None:
        """Give a job to all that it suits, or only to those that are compared."""
        self.failures = {}
        self.running = [
            name
            for name, entry in self.entries.items()
            if entry.suits(job.sizes, job.batch, job.optimizer)
            and (others or entry.kind != "other")
        ]
        self.ask_all("prepare", job)

    def ask_all(self, method: str, *arguments: Any) -> dict[str, Any]:
        """Return the answers of all that are still running; who fails is out."""
        answers = {}
        for name in list(self.running):
            try:
                answers[name] = self.workers[name].ask(method, *arguments)
            except WorkerFailed as failure:
                self.drop(name, str(failure))
        return answers

    def drop(self, name: str, reason: str) -> None:
        """Take a contender out of the present job."""
        say(f"    {self.entries[name].label}: {reason}")
        self.failures[name] = reason
        self.running.remove(name)

    def prove_same_work(self, job: Job) -> dict[str, list[float]]:
        """Return the losses of the first steps of each; whose are not those of all is out."""
        expected, predicted = _reference(job)
        losses = {}
        for name, (found, probabilities) in self.ask_all("trial", TRIAL_STEPS).items():
            if self.entries[name].kind == "limit":
                continue
            losses[name] = found
            off = [abs(a / b - 1.0) for a, b in zip(found, expected, strict=True)]
            error = max(*off, float(np.abs(probabilities - predicted).max()))
            if not error <= tolerance(job):
                self.drop(name, f"its losses or predictions are off by {error:.1e}: not compared")
        return {"reference": expected, **losses}

    def sample(self, method: str, seconds: float) -> dict[str, list[Any]]:
        """Return samples of each, taken in turn: within about so many seconds, at least five."""
        samples: dict[str, list[Any]] = {name: [] for name in self.running}
        end = time.perf_counter() + seconds
        for turn in range(MOST_SAMPLES):
            if turn >= LEAST_SAMPLES and time.perf_counter() >= end:
                break
            for name, sample in self.ask_all(method).items():
                samples[name].append(sample)
        return {name: samples[name] for name in self.running}


@contextmanager
def field_of(backend: str, names: Iterable[str] | None = None) -> Iterator[Field]:
    """Give the contenders on a backend, or those named, in processes that end with the block."""
    entries = CONTENDERS[backend]
    if names is not None:
        entries = {name: entries[name] for name in names if name in entries}
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(Server, entry)) for name, entry in entries.items()
        }
        yield Field(entries, workers)


def tolerance(job: Job) -> float:
    """Return how far float32 losses (relative) and probabilities may be from exact ones.

    A product of inner length k has a relative error of at most lambda sqrt(k) u, u = 2^-24, with
    high probability for lambda = 4 (Higham and Mary, "A new approach to probabilistic rounding
    error analysis", SIAM J. Sci. Comput. 41, 2019); each of the trial's steps may add one.  A
    learning rate that is one percent off, or a bias forgotten, shows at ten times that.
    """
    inner = max(*job.sizes, job.batch)
    return 2 * TRIAL_STEPS * 4.0 * math.sqrt(inner) * 2.0**-24


def _reference(job: Job) -> tuple[list[float], Any]:
    """Return what `Server.trial` must return, computed in float64 by the bare loop."""
    from benchmarks.contenders.numpy_loop import NumpyLoop

    loop = NumpyLoop(Work(replace(job, dtype="float64")))
    loop.start(shuffle=False, steps=TRIAL_STEPS)
    losses = [loop.epoch(), loop.epoch()]
    return losses, loop.probabilities(job.batch)


def quartiles(samples: list[float]) -> tuple[float, float, float, float]:
    """Return the smallest, the lower quartile, the median and the upper quartile."""
    if len(samples) == 1:
        return (samples[0],) * 4
    lower, median, upper = statistics.quantiles(samples, n=4, method="inclusive")
    return min(samples), lower, median, upper


def ratio(of: list[float], to: list[float]) -> float:
    """Return the median of the ratios of samples that were taken one after the other."""
    return statistics.median(a / b for a, b in zip(of, to, strict=False))


def say(text: str) -> None:
    """Print progress."""
    print(text, file=sys.stderr, flush=True)
