"""The limit: the matrix products of a step and nothing else, into arrays that are there already.

Each product in the storage order of its three arrays that is fastest here, found by trial; a
product with inner length 1 may also be a multiplication by broadcasting.
"""

import importlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise, product
from typing import Any

import numpy as np

from benchmarks.contenders import Contender
from benchmarks.job import Work
from pluggable_mlp import get_backend

__all__ = ["Limit"]

Product = Callable[[], Any]
_TRIALS = 5
_SECONDS_A_TRIAL = 0.002


class Limit(Contender):
    """It learns nothing: its losses and probabilities say nothing, only its time does.

    Parameters
    ----------
    work : Work
    library : {"numpy", "cupy"}
    """

    def __init__(self, work: Work, library: str) -> None:
        self.work = work
        self._xp = importlib.import_module(library)
        self._synchronize = get_backend(library).synchronize
        self._known: dict[tuple[int, int, int], Product] = {}
        self._forward = [self._fastest(*shape) for shape in self._forward_shapes(work.job.batch)]
        self._backward = [self._fastest(*shape) for shape in self._backward_shapes()]

    def _forward_shapes(self, batch: int) -> list[tuple[int, int, int]]:
        return [(batch, m, n) for m, n in pairwise(self.work.job.sizes)]

    def _backward_shapes(self) -> Iterator[tuple[int, int, int]]:
        batch = self.work.job.batch
        for layer, (m, n) in enumerate(pairwise(self.work.job.sizes)):
            yield m, batch, n
            if layer:  # the gradient with respect to the data is not used
                yield batch, n, m

    def start(self, *, shuffle: bool, steps: int | None = None) -> None:
        del shuffle
        self._steps = steps or self.work.job.examples // self.work.job.batch

    def epoch(self) -> float:
        self._run(self._forward + self._backward, self._steps)
        return float("nan")

    def cut(self, batch: int) -> list[Any]:
        self._predicting = [self._fastest(*shape) for shape in self._forward_shapes(batch)]
        return [batch] * (self.work.job.test_examples // batch)

    def predict(self, batches: list[Any]) -> list[Any]:
        self._run(self._predicting, len(batches))
        return [np.empty(0)]

    def accuracy(self) -> float:
        self.probabilities(min(1000, self.work.job.test_examples))
        return float("nan")

    def _run(self, products: list[Product], times: int) -> None:
        for _ in range(times):
            for multiply in products:
                multiply()
        self._synchronize()

    def _fastest(self, m: int, k: int, n: int) -> Product:
        """Return the product of (m, k) and (k, n) in its fastest form, searched for once."""
        if (m, k, n) not in self._known:
            self._known[m, k, n] = min(self._forms(m, k, n), key=self._seconds)
        return self._known[m, k, n]

    def _forms(self, m: int, k: int, n: int) -> Iterator[Product]:
        xp = self._xp
        rng = np.random.default_rng(0)
        for orders in product("CF", repeat=3):
            a, b, c = (
                xp.asarray(rng.standard_normal(shape), dtype=self.work.job.dtype, order=order)
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
