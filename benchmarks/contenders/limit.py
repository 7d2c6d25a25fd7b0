"""The limit: the matrix products of a step and nothing else, into arrays that are there already.

Each product in the storage order of its three arrays that is fastest here, found by trial; a
product with inner length 1 may also be a multiplication by broadcasting.
"""

import importlib
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import pairwise, product
from typing import Any

import numpy as np

from benchmarks.contenders.contender import Contender
from benchmarks.job import Job
from pluggable_mlp import get_backend

__all__ = ["Limit"]

Product = Callable[[], Any]
_TRIALS = 5
_SECONDS_A_TRIAL = 0.002


class Limit(Contender):
    """A contender that learns nothing: only its time has a meaning."""

    def __init__(self, job: Job, library: str) -> None:
        super().__init__(job)
        self._xp = importlib.import_module(library)
        self._synchronize = get_backend(library).synchronize
        self._fastest = cache(lambda *shape: min(self._forms(*shape), key=self._seconds))
        self._step = self._forward(job.batch)
        for layer, (m, n) in enumerate(pairwise(job.sizes)):
            self._step.append(self._fastest(m, job.batch, n))
            if layer:  # the gradient with respect to the data is not used
                self._step.append(self._fastest(job.batch, n, m))

    def _forward(self, batch: int) -> list[Product]:
        return [self._fastest(batch, m, n) for m, n in pairwise(self.job.sizes)]

    def epoch(self) -> float:
        self._run(self._step, self.count // self.job.batch)
        return float("nan")

    def cut(self, batch: int) -> list[Any]:
        return [self._forward(batch)] * (self.job.test_examples // batch)

    def predict(self, batches: list[Any]) -> list[Any]:
        self._run(batches[0], len(batches))
        return [np.empty(0)]

    def _run(self, products: list[Product], times: int) -> None:
        for _ in range(times):
            for multiply in products:
                multiply()
        self._synchronize()

    def _forms(self, m: int, k: int, n: int) -> Iterator[Product]:
        """Yield the ways to multiply (m, k) by (k, n)."""
        xp, rng = self._xp, np.random.default_rng(0)
        for orders in product("CF", repeat=3):
            a, b, c = (
                xp.asarray(rng.standard_normal(shape), dtype=self.job.dtype, order=order)
                for shape, order in zip(((m, k), (k, n), (m, n)), orders, strict=True)
            )
            yield partial(xp.matmul, a, b, out=c)
            if k == 1:
                yield partial(xp.multiply, a, b, out=c)

    def _seconds(self, multiply: Product) -> float:
        def run(times: int) -> float:
            begin = time.perf_counter()
            self._run([multiply], times)
            return (time.perf_counter() - begin) / times

        run(1)
        times = max(1, int(_SECONDS_A_TRIAL / run(1)))
        return min(run(times) for _ in range(_TRIALS))
