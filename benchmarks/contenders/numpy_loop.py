"""A hand-written NumPy loop with in-place operations, without a library."""

from typing import Any

import numpy as np

from benchmarks.contenders.contender import Contender
from benchmarks.contenders.numpy_activations import ACTIVATIONS
from benchmarks.job import ADAM, Job

__all__ = ["NumpyLoop"]


class NumpyLoop(Contender):
    """A bare NumPy loop; in float64 it is also what the losses of all are compared with."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._inputs, self.test_inputs = job.floats()
        self._targets = np.eye(job.sizes[-1], dtype=job.dtype)[job.labels()]
        self._initial = job.parameters()
        self._activate, self._slope = ACTIVATIONS[job.activation]

    def start(self, *, shuffle: bool, steps: int | None = None) -> None:
        super().start(shuffle=shuffle, steps=steps)
        self._Ws = [W.copy() for W, _ in self._initial]
        self._bs = [b.copy() for _, b in self._initial]
        self._updates = 0
        self._moments = [(np.zeros_like(w), np.zeros_like(w)) for w in self._Ws + self._bs]

    def epoch(self) -> float:
        batch, total, order = self.job.batch, 0.0, self.order()
        with np.errstate(over="ignore"):  # exp(-z) is infinite where the sigmoid is 0
            for begin in range(0, self.count, batch):
                rows = order[begin : begin + batch]
                total += float(self._step(self._inputs[rows], self._targets[rows]))
        return total * batch / self.count

    def _step(self, x: Any, t: Any) -> Any:
        """Take a step on x (batch, in), t (batch, classes), and return the loss before it."""
        hidden, kept, z = self._forward(x)
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
                self._slope(d, y, kept[layer - 1])
        gradients = gradients_W[::-1] + gradients_b[::-1]
        self._update(gradients)
        return loss

    def _forward(self, x: Any) -> tuple[list[Any], list[Any], Any]:
        """Return the inputs of each layer, what slopes need, and logits less each row's largest."""
        hidden, kept = [x], []
        for W, b in zip(self._Ws[:-1], self._bs[:-1], strict=True):
            z = hidden[-1] @ W
            z += b
            y, of_slope = self._activate(z)
            hidden.append(y)
            kept.append(of_slope)
        z = hidden[-1] @ self._Ws[-1]
        z += self._bs[-1]
        z -= z.max(axis=1, keepdims=True)
        return hidden, kept, z

    def _update(self, gradients: list[Any]) -> None:
        self._updates += 1
        update = self._descend if self.job.optimizer == "sgd" else self._adam
        for w, g, moments in zip(self._Ws + self._bs, gradients, self._moments, strict=True):
            update(w, g, *moments)

    def _descend(self, w: Any, g: Any, *_: Any) -> None:
        g *= self.job.learning_rate
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
        g *= self.job.learning_rate * root / (1.0 - beta1**self._updates)
        w -= g

    def predict(self, batches: list[Any]) -> list[Any]:
        parts = []
        with np.errstate(over="ignore"):
            for x in batches:
                *_, z = self._forward(x)
                np.exp(z, out=z)
                z /= z.sum(axis=1, keepdims=True)
                parts.append(z)
        return parts
