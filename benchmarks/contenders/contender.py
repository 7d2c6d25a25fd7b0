"""What a contender must offer, and how its process measures it.

Each contender has a process of its own, so that no library's threads or settings disturb another's;
only the one that was asked last computes, the others sleep.  What is asked, and in which order,
belongs in `field.py`.
"""

import sys
import time
import tracemalloc
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.job import Job

__all__ = ["Contender", "rest"]

EVALUATION_BATCH = 1000
_REST = 0.15  # seconds: the idle threads of a BLAS keep spinning for a tenth of one


class Contender(ABC):
    """One way to do a job; its constructor takes the job and moves the data where they go."""

    test_inputs: Any  # (test examples, in), on the device

    def __init__(self, job: Job) -> None:
        self.job = job
        self._rng = np.random.default_rng(0)

    def start(self, *, shuffle: bool, steps: int | None = None) -> None:
        """Go back to the initial parameters; train on the first `steps` batches only, if given."""
        self.shuffle = shuffle
        self.count = steps * self.job.batch if steps else self.job.examples

    @abstractmethod
    def epoch(self) -> float:
        """Train one epoch, and return the mean of its losses: nothing is left to be computed.

        If `start` got `shuffle`, the order is new, from the contender's own generator.
        """

    @abstractmethod
    def predict(self, batches: list[Any]) -> list[Any]:
        """Return the class probabilities of each batch (batch, classes) as NumPy arrays."""

    def order(self) -> Any:
        """Return the rows (examples,) of an epoch, for contenders that shuffle by NumPy."""
        return self._rng.permutation(self.count) if self.shuffle else np.arange(self.count)

    def cut(self, batch: int) -> list[Any]:
        """Return the test inputs in batches, on the device: nothing is left to be computed."""
        x = self.test_inputs
        return [x[begin : begin + batch, ...] for begin in range(0, x.shape[0], batch)]

    def fit(self) -> float:
        """Train one epoch from the initial parameters as a user would, and return its loss."""
        self.start(shuffle=True)
        return self.epoch()

    def trial(self, steps: int) -> tuple[list[float], Any]:
        """Return the mean losses of two passes over the first batches in order, and predictions.

        The predictions are the probabilities (test examples, classes) after them.
        """
        self.start(shuffle=False, steps=steps)
        losses = [self.epoch(), self.epoch()]
        return losses, np.concatenate(self.predict(self.cut(self.job.batch)))

    def warm_up(self) -> None:
        """Begin anew, and train one epoch."""
        self.start(shuffle=True)
        self.epoch()

    def time_epoch(self) -> float:
        """Return the seconds of an epoch, after one that is not timed.

        After the rest, threads must first be spread over the processors again: some 50 ms.
        """
        rest()
        self.epoch()
        begin = time.perf_counter()
        self.epoch()
        return time.perf_counter() - begin

    def time_prediction(self) -> float:
        """Return the seconds that the predictions of all the job's batches take, cut beforehand."""
        batches = self.cut(self.job.batch)
        rest()
        begin = time.perf_counter()
        self.predict(batches)
        return time.perf_counter() - begin

    def time_fit(self) -> float:
        """Return the seconds of a whole fit of one epoch, and of classifying the test examples."""
        rest()
        begin = time.perf_counter()
        self.fit()
        self.predict(self.cut(EVALUATION_BATCH))
        return time.perf_counter() - begin

    def peak_of_epoch(self) -> int:
        """Return the most bytes that NumPy had allocated during an epoch."""
        self.warm_up()  # tables and the like are made once
        tracemalloc.start()
        try:
            self.epoch()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def peak_of_process(self) -> int:
        """Return the largest resident memory of this process, in bytes, after an epoch.

        On Linux from the kernel's own count for this program: getrusage's also knows what the
        parent had when it forked.
        """
        self.warm_up()
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        import resource  # not on Windows

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def rest() -> None:
    """Let the threads of the contender before come to rest: they need this one's processors."""
    time.sleep(_REST)
