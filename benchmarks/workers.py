"""A process for each contender, so that no library's threads or settings disturb another's.

`Server` is what runs there; `Worker` is the handle on it.  Only the process that was asked last
computes; the others sleep.  What is asked, and in which order, belongs in `measure.py`.
"""

import multiprocessing
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.contenders import Contender, Entry, make_contender
from benchmarks.job import Job, Work
from benchmarks.machine import thread_pools

__all__ = ["SETTLING", "Server", "Worker", "WorkerFailed", "peak_memory", "settle"]

_PATIENCE = 600.0  # seconds that an answer may take; compiling takes the longest
SETTLING = 0.15
"""Seconds: the idle threads of a BLAS keep spinning for a tenth of one."""


class WorkerFailed(RuntimeError):  # noqa: N818 (reported as a result, not as an error)
    """A contender could not do what it was asked; the message says why."""


class Server:
    """One contender in its process.

    Parameters
    ----------
    entry : Entry
    """

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._contender: Contender

    def prepare(self, job: Job) -> None:
        """Make the contender for a job, its data in place; the last one's go first."""
        self.__dict__.pop("_contender", None)
        self._contender = make_contender(self._entry, Work(job))

    def trial(self, steps: int) -> tuple[list[float], Any]:
        """Return the mean losses of two passes over the first batches in order, and predictions.

        The predictions are the probabilities (test examples, classes) after them.
        """
        self._contender.start(shuffle=False, steps=steps)
        losses = [self._contender.epoch(), self._contender.epoch()]
        return losses, self._contender.probabilities(self._contender.work.job.batch)

    def start(self) -> None:
        """Go back to the initial parameters, and train one epoch as a warming-up."""
        self._contender.start(shuffle=True)
        self._contender.epoch()

    def time_epoch(self) -> float:
        """Return the seconds of an epoch."""
        settle(self._contender)
        begin = time.perf_counter()
        self._contender.epoch()
        return time.perf_counter() - begin

    def time_prediction(self) -> float:
        """Return the seconds that the predictions of all the job's batches take, cut beforehand."""
        batches = self._contender.cut(self._contender.work.job.batch)
        time.sleep(SETTLING)
        begin = time.perf_counter()
        self._contender.predict(batches)
        return time.perf_counter() - begin

    def time_fit(self) -> tuple[float, float, float]:
        """Return the seconds of a whole fit of one epoch, its loss and its accuracy."""
        time.sleep(SETTLING)
        begin = time.perf_counter()
        loss, accuracy = self._contender.fit()
        return time.perf_counter() - begin, loss, accuracy

    def time_to(self, accuracy: float, most_epochs: int) -> tuple[float, int, float]:
        """Return the seconds and the epochs until the test accuracy, and the accuracy reached.

        Counted are training and, after each epoch, the look at the test examples.
        """
        time.sleep(SETTLING)
        begin, epochs, reached = time.perf_counter(), 0, 0.0
        self._contender.start(shuffle=True)
        while epochs < most_epochs and reached < accuracy:
            self._contender.epoch()
            reached = self._contender.accuracy()
            epochs += 1
        return time.perf_counter() - begin, epochs, reached

    def peak(self, job: Job) -> int:
        """Return the process's peak memory after an epoch, in bytes."""
        self.prepare(job)
        self.start()
        return peak_memory()

    def threads(self) -> list[dict[str, Any]]:
        """Return the thread pools of this process."""
        return thread_pools()


class Worker:
    """A process with an object whose methods can be called; a context manager.

    Parameters
    ----------
    maker
        A class, importable by its name.
    arguments
        Of its constructor.
    """

    def __init__(self, maker: Any, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, maker, arguments), daemon=False
        )
        self._process.start()
        theirs.close()

    def ask(self, method: str, *arguments: Any) -> Any:
        """Return what the object's method returns.

        Raises
        ------
        WorkerFailed
            If it raises, dies or does not answer.
        """
        try:
            self._connection.send((method, arguments))
            if not self._connection.poll(_PATIENCE):
                self._process.kill()
                raise WorkerFailed(f"no answer within {_PATIENCE:.0f} seconds")
            well, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerFailed("its process died") from error
        if not well:
            raise WorkerFailed(answer)
        return answer

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._connection.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()


def settle(contender: Contender) -> None:
    """Let the machine come to rest, then train an epoch that is not timed.

    Idle threads of the contender before still look for work, OpenBLAS's for a tenth of a second,
    on a processor that this one needs; and after the rest its own threads must first be spread
    over the processors again, which takes some 50 ms.
    """
    time.sleep(SETTLING)
    contender.epoch()


def _serve(connection: Any, maker: Any, arguments: tuple[Any, ...]) -> None:
    """Answer until the other side is gone."""
    served = maker(*arguments)
    with suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        while True:
            method, arguments = connection.recv()
            try:
                answer = True, getattr(served, method)(*arguments)
            except Exception as error:  # whatever a contender raises is its result
                lines = str(error).strip().splitlines() or [""]
                answer = False, f"{type(error).__name__}: {lines[0]}"
            connection.send(answer)


def peak_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes.

    On Linux from the kernel's own count for this program: getrusage's also knows what the parent
    had when it forked.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
