"""The price of the reproducible arithmetic: whole training steps, beside native ones in turn.

Both arithmetics of a backend share a process, and so its memory and its threads.
"""

import statistics
import time
import tracemalloc
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.contenders.ours import Ours
from benchmarks.job import Job, Work
from benchmarks.measure import LEAST_SAMPLES, MOST_SAMPLES, ratio, say
from benchmarks.workers import Worker, WorkerFailed, settle

__all__ = ["Case", "measure"]

BACKENDS = {"numpy": ("numpy", "torch", "jax"), "cupy": ("cupy", "torch:cuda")}
_STEPS = 8


@dataclass(frozen=True)
class Case:
    """What is trained: `data` are "8-bit pixels" or "standardised floats"."""

    batch: int
    network: str
    dtype: str
    data: str

    def job(self, steps: int) -> Job:
        """Return so many steps of it as a job."""
        return Job(
            tuple(map(int, self.network.split("-"))),
            self.batch,
            examples=steps * self.batch,
            data="random" if self.data == "8-bit pixels" else "standardised",
            dtype=self.dtype,
        )


CASES = [
    *(
        Case(256, "784-512-10", dtype, data)
        for data in ("8-bit pixels", "standardised floats")
        for dtype in ("float32", "float64")
    ),
    Case(128, "784-100-10", "float32", "8-bit pixels"),
]


class Prices:
    """Both arithmetics on one backend, in a process of their own."""

    def __init__(self, backend: str) -> None:
        self._backend = backend

    def sample(self, case: Case, seconds: float) -> tuple[list[float], list[float]]:
        """Return seconds a step, native and reproducible, taken in turn."""
        both = [self._contender(case, name, _STEPS) for name in ("native", "reproducible")]
        for contender in both:
            contender.epoch()
        samples: tuple[list[float], list[float]] = ([], [])
        end = time.perf_counter() + seconds
        while len(samples[0]) < LEAST_SAMPLES or (
            len(samples[0]) < MOST_SAMPLES and time.perf_counter() < end
        ):
            for contender, taken in zip(both, samples, strict=True):
                settle(contender)
                begin = time.perf_counter()
                contender.epoch()
                taken.append((time.perf_counter() - begin) / _STEPS)
        return samples

    def peak_ratio(self, case: Case) -> float:
        """Return the peak memory of a reproducible step over that of a native one.

        Only NumPy's allocations during the step are counted, which tracemalloc traces.
        """
        return self._peak(case, "reproducible") / self._peak(case, "native")

    def _contender(self, case: Case, arithmetic: str, steps: int) -> Ours:
        pixels = case.data == "8-bit pixels"
        contender = Ours(Work(case.job(steps)), self._backend, pixels, arithmetic)
        contender.start(shuffle=False)
        return contender

    def _peak(self, case: Case, arithmetic: str) -> int:
        contender = self._contender(case, arithmetic, 1)
        contender.epoch()  # tables and the like are made once
        tracemalloc.start()
        try:
            contender.epoch()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def measure(backend: str, quick: bool, seconds: float) -> dict[str, Any]:
    """Return {"cases": [{backend, batch, network, dtype, data, native_ms, …}]}."""
    cases, backends = CASES[-1:] if quick else CASES, BACKENDS[backend]
    share = seconds / (len(cases) * len(backends))
    measured = []
    for name in backends:
        with Worker(Prices, name) as worker:
            for case in cases:
                say(f"reproducible: {name}, {case.network}, {case.data}, {case.dtype}")
                try:
                    measured.append(_measure_case(worker, name, case, share))
                except WorkerFailed as failure:
                    say(f"    {failure}")
                    measured.append({"backend": name, **asdict(case), "failed": str(failure)})
    return {"cases": measured}


def _measure_case(worker: Worker, backend: str, case: Case, seconds: float) -> dict[str, Any]:
    native, reproducible = worker.ask("sample", case, seconds)
    return {
        "backend": backend,
        **asdict(case),
        "native_ms": 1e3 * statistics.median(native),
        "reproducible_ms": 1e3 * statistics.median(reproducible),
        "ratio": ratio(reproducible, native),
        "peak_memory_ratio": worker.ask("peak_ratio", case) if backend == "numpy" else None,
        "native_samples": native,
        "reproducible_samples": reproducible,
    }
