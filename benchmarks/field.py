"""How contenders are measured: the same work proven first, then samples in turn (A B C A B C …).

What is measured belongs in `peers.py` and `prices.py`.
"""

import math
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.contenders import Entry
from benchmarks.contenders.contender import Contender
from benchmarks.contenders.numpy_loop import NumpyLoop
from benchmarks.job import Job

__all__ = ["TRIAL_STEPS", "Field", "failure", "field_of", "process", "say", "tolerance"]

TRIAL_STEPS = 2
"""Two passes of so many steps prove the same work.

More are no better proof: a rounding that takes a ReLU's input across 0 changes the weights by as
much as the learning rate, since Adam divides by gradients that were 0 before.
"""
SAMPLES = 5


@dataclass
class Field:
    """The contenders of a run, each in its process; one that fails is out for the rest of a job."""

    entries: dict[str, Entry]
    executors: dict[str, Executor]
    failures: dict[str, str] = field(default_factory=dict)  # why one is out of the present job

    def prepare(self, job: Job) -> None:
        """Give a job to all contenders."""
        self.failures = {}
        for name, entry in self.entries.items():
            self._ask(name, _prepare, entry, job)

    def ask(self, method: str, *arguments: Any) -> dict[str, Any]:
        """Return what a method of all that are still in returns, asked one after the other."""
        names = [name for name in self.entries if name not in self.failures]
        answers = {name: self._ask(name, _call, method, *arguments) for name in names}
        return {name: answers[name] for name in names if name not in self.failures}

    def _ask(self, name: str, function: Any, *arguments: Any) -> Any:
        try:
            return self.executors[name].submit(function, *arguments).result()
        except Exception as error:  # whatever a contender raises is its result
            lines = str(error).strip().splitlines() or [""]
            self._drop(name, f"{type(error).__name__}: {lines[0]}")
            return None

    def _drop(self, name: str, reason: str) -> None:
        say(f"    {self.entries[name].label}: {reason}")
        self.failures[name] = reason

    def prove_same_work(self, job: Job) -> None:
        """Drop contenders with other losses or predictions after the first steps than float64."""
        expected, predicted = NumpyLoop(replace(job, dtype="float64")).trial(TRIAL_STEPS)
        for name, (found, probabilities) in self.ask("trial", TRIAL_STEPS).items():
            if self.entries[name].kind == "limit":
                continue
            off = [abs(a / b - 1.0) for a, b in zip(found, expected, strict=True)]
            error = max(*off, float(np.abs(probabilities - predicted).max()))
            if not error <= tolerance(job):
                self._drop(name, f"its losses or predictions are off by {error:.1e}: not compared")

    def sample(self, method: str) -> dict[str, list[float]]:
        """Return samples of each contender, taken in turn."""
        turns = [self.ask(method) for _ in range(SAMPLES)]
        return {name: [turn[name] for turn in turns] for name in turns[-1]}


@contextmanager
def field_of(entries: dict[str, Entry]) -> Iterator[Field]:
    """Give these contenders, in processes that end with the block."""
    with ExitStack() as stack:
        yield Field(entries, {name: stack.enter_context(process()) for name in entries})


def failure(entry: Entry, job: Job) -> str:
    """Return why a contender does not do a job, in this process; "" if it does the same work."""
    with ThreadPoolExecutor(1) as here:
        field = Field({"it": entry}, {"it": here})
        field.prepare(job)
        field.prove_same_work(job)
    return field.failures.get("it", "")


def process() -> ProcessPoolExecutor:
    """Return a process: what is submitted runs there, one after the other."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


_here: dict[str, Contender] = {}  # the contender of a process


def _prepare(entry: Entry, job: Job) -> None:
    _here.clear()  # the last one's data go first
    _here["contender"] = entry.make(job)


def _call(method: str, *arguments: Any) -> Any:
    return getattr(_here["contender"], method)(*arguments)


def tolerance(job: Job) -> float:
    """Return how far float32 losses (relative) and probabilities may be from exact ones.

    A product of inner length k has a relative error of at most lambda sqrt(k) u, u = 2^-24, with
    high probability for lambda = 4 (Higham and Mary, "A new approach to probabilistic rounding
    error analysis", SIAM J. Sci. Comput. 41, 2019); each of the trial's steps may add one.  A
    learning rate that is one percent off, or a bias forgotten, shows at ten times that.
    """
    inner = max(*job.sizes, job.batch)
    return 2 * TRIAL_STEPS * 4.0 * math.sqrt(inner) * 2.0**-24


def say(text: str) -> None:
    """Print progress."""
    print(text, file=sys.stderr, flush=True)
