"""A hand-written NumPy loop with in-place operations, without a library."""

from typing import Any

import numpy as np

from benchmarks.contenders import Contender
from benchmarks.job import ADAM, Work

__all__ = ["NumpyLoop", "one_hot"]


class NumpyLoop(Contender):
    """A bare NumPy loop; in float64 it is also what the losses of all are compared with."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self._inputs, self._test_inputs = work.floats()
        self._targets = one_hot(work.labels[0], work.job.sizes[-1], work.job.dtype)
        self._rng = np.random.default_rng(work.job.seed)

    def start(self, *, shuffle: bool, steps: int | None = None) -> None:
        self._shuffle = shuffle
        self._count = steps * self.work.job.batch if steps else len(self._inputs)
        self._Ws = [W.copy() for W, _ in self.work.parameters]
        self._bs = [b.copy() for _, b in self.work.parameters]
        self._updates = 0
        self._moments = [(np.zeros_like(w), np.zeros_like(w)) for w in self._Ws + self._bs]

    def epoch(self) -> float:
        batch, total = self.work.job.batch, 0.0
        order = self._rng.permutation(self._count) if self._shuffle else None
        for begin in range(0, self._count, batch):
            rows: Any = slice(begin, begin + batch)
            if order is not None:
                rows = order[rows]
            total += float(self._step(self._inputs[rows], self._targets[rows]))
        return total * batch / self._count

    def _step(self, x: Any, t: Any) -> Any:
        """Take a step on x (batch, in), t (batch, classes), and return the loss before it."""
        hidden, z = self._forward(x)
        d = np.exp(z)
        total = d.sum(axis=1, keepdims=True)
        loss = (np.log(total).sum() - np.vdot(t, z)) / len(x)
        d /= total
        d -= t
        d /= len(x)
        gradients_W, gradients_b = [], []
        for layer in reversed(range(len(self._Ws))):
            y = hidden[layer]
            gradients_W.append(y.T @ d)
            gradients_b.append(d.sum(axis=0))
            if layer:
                d = d @ self._Ws[layer].T
                d *= y
                np.subtract(1.0, y, out=y)
                d *= y
        gradients = gradients_W[::-1] + gradients_b[::-1]
        self._update(gradients)
        return loss

    def _forward(self, x: Any) -> tuple[list[Any], Any]:
        """Return the inputs of each layer, and the logits less the largest of each row."""
        hidden = [x]
        for W, b in zip(self._Ws[:-1], self._bs[:-1], strict=True):
            z = hidden[-1] @ W
            z += b
            np.negative(z, out=z)
            np.exp(z, out=z)
            z += 1.0
            np.reciprocal(z, out=z)
            hidden.append(z)
        z = hidden[-1] @ self._Ws[-1]
        z += self._bs[-1]
        z -= z.max(axis=1, keepdims=True)
        return hidden, z

    def _update(self, gradients: list[Any]) -> None:
        self._updates += 1
        update = self._descend if self.work.job.optimizer == "sgd" else self._adam
        for w, g, moments in zip(self._Ws + self._bs, gradients, self._moments, strict=True):
            update(w, g, *moments)

    def _descend(self, w: Any, g: Any, *_: Any) -> None:
        g *= self.work.job.learning_rate
        w -= g

    def _adam(self, w: Any, g: Any, m: Any, v: Any) -> None:
        beta1, beta2, epsilon = ADAM.values()
        root = (1.0 - beta2**self._updates) ** 0.5
        m *= beta1
        g *= 1.0 - beta1
        m += g
        g *= g
        g *= (1.0 - beta2) / (1.0 - beta1) ** 2
        v *= beta2
        v += g
        np.sqrt(v, out=g)
        g += epsilon * root
        np.divide(m, g, out=g)
        g *= self.work.job.learning_rate * root / (1.0 - beta1**self._updates)
        w -= g

    def cut(self, batch: int) -> list[Any]:
        x = self._test_inputs
        return [x[begin : begin + batch] for begin in range(0, len(x), batch)]

    def predict(self, batches: list[Any]) -> list[Any]:
        parts = []
        for x in batches:
            _, z = self._forward(x)
            np.exp(z, out=z)
            z /= z.sum(axis=1, keepdims=True)
            parts.append(z)
        return parts


def one_hot(labels: Any, classes: int, dtype: str) -> Any:
    """Return the rows (examples, classes) with 1 at each label."""
    return np.eye(classes, dtype=dtype)[labels]
