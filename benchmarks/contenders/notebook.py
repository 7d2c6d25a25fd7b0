"""The loop of the classic teaching notebook, its faults mended: one example at a time, float64.

Column vectors and the products that the textbook writes; one hidden layer, plain gradient
descent.
"""

from typing import Any

import numpy as np

from benchmarks.contenders import Contender
from benchmarks.contenders.numpy_loop import one_hot
from benchmarks.job import Work

__all__ = ["Notebook"]


class Notebook(Contender):
    """x and t are columns (in, 1) and (classes, 1), W (out, in), b (out, 1)."""

    def __init__(self, work: Work) -> None:
        self.work = work
        inputs, test_inputs = work.floats()
        self._inputs, self._test_inputs = inputs.astype("float64"), test_inputs.astype("float64")
        self._targets = one_hot(work.labels[0], work.job.sizes[-1], "float64")
        self._rng = np.random.default_rng(work.job.seed)

    def start(self, *, shuffle: bool, steps: int | None = None) -> None:
        self._shuffle, self._count = shuffle, steps or len(self._inputs)
        (W1, b1), (W2, b2) = self.work.parameters
        self._W1, self._W2 = W1.T.astype("float64"), W2.T.astype("float64")
        self._b1, self._b2 = b1[:, None].astype("float64"), b2[:, None].astype("float64")

    def epoch(self) -> float:
        order = self._rng.permutation(self._count) if self._shuffle else np.arange(self._count)
        return float(sum(self._step(i) for i in order)) / self._count

    def _step(self, i: int) -> Any:
        x, t = self._inputs[i].reshape(-1, 1), self._targets[i].reshape(-1, 1)
        h, p = self._forward(x)
        dz2 = p - t
        dW2 = np.dot(dz2, h.T)
        dz1 = np.dot(self._W2.T, dz2) * h * (1.0 - h)
        dW1 = np.dot(dz1, x.T)
        rate = self.work.job.learning_rate
        self._W1 = self._W1 - rate * dW1
        self._b1 = self._b1 - rate * dz1
        self._W2 = self._W2 - rate * dW2
        self._b2 = self._b2 - rate * dz2
        return -np.sum(t * np.log(p))

    def _forward(self, x: Any) -> tuple[Any, Any]:
        h = 1.0 / (1.0 + np.exp(-(np.dot(self._W1, x) + self._b1)))
        z = np.dot(self._W2, h) + self._b2
        exponentials = np.exp(z - np.max(z))
        return h, exponentials / np.sum(exponentials)

    def cut(self, batch: int) -> list[Any]:
        del batch  # it knows one example at a time
        return [x.reshape(-1, 1) for x in self._test_inputs]

    def predict(self, batches: list[Any]) -> list[Any]:
        return [self._forward(x)[1].T for x in batches]
