"""Idiomatic JAX: the whole step is compiled, with donated state.

The batch is gathered within the compiled step; the loss is added up on the device; what changes
from step to step is donated, so that it is updated in place.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contenders.contender import Contender
from benchmarks.job import ADAM, LEARNING_RATES, Job

__all__ = ["JaxJit"]


def logits_of(activation: str, parameters: list[Any], x: Any) -> Any:
    """Return the logits (batch, classes) for x (batch, in)."""
    exact = {"approximate": False} if activation == "gelu" else {}
    for W, b in parameters[:-1]:
        x = getattr(jax.nn, activation)(x @ W + b, **exact)
    W, b = parameters[-1]
    return x @ W + b


def loss_of(parameters: list[Any], activation: str, x: Any, labels: Any) -> Any:
    """Return the mean loss of a batch."""
    logarithms = jax.nn.log_softmax(logits_of(activation, parameters, x))
    return -jnp.take_along_axis(logarithms, labels[:, None], axis=1).mean()


@partial(jax.jit, static_argnums=0)
def probabilities_of(activation: str, parameters: list[Any], x: Any) -> Any:
    """Return the probabilities (batch, classes) for x (batch, in)."""
    return jax.nn.softmax(logits_of(activation, parameters, x))


def descend(optimizer: str, parameters: Any, moments: Any, count: Any, gradients: Any) -> Any:
    """Return the parameters and the moments after one update, the `count`-th."""
    rate = LEARNING_RATES[optimizer]
    if optimizer == "sgd":
        return jax.tree.map(lambda w, g: w - rate * g, parameters, gradients), moments
    beta1, beta2, epsilon = ADAM.values()
    m, v = moments
    m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, gradients)
    root = jnp.sqrt(1 - beta2**count)
    rate = rate * root / (1 - beta1**count)
    parameters = jax.tree.map(
        lambda w, m, v: w - rate * m / (jnp.sqrt(v) + epsilon * root), parameters, m, v
    )
    return parameters, (m, v)


def step(job: Job, state: Any, inputs: Any, labels: Any, rows: Any) -> Any:
    """Return the state after a step on the examples of these rows (batch,)."""
    parameters, moments, count, total = state
    x = jnp.take(inputs, rows, axis=0, mode="clip")
    loss, gradients = jax.value_and_grad(loss_of)(parameters, job.activation, x, labels[rows])
    parameters, moments = descend(job.optimizer, parameters, moments, count + 1, gradients)
    return parameters, moments, count + 1, total + loss


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def one_step(job: Job, state: Any, inputs: Any, labels: Any, order: Any, i: Any) -> Any:
    """Return the state after the i-th of the steps of order (steps, batch)."""
    return step(job, state, inputs, labels, order[i])


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def all_steps(job: Job, state: Any, inputs: Any, labels: Any, order: Any) -> Any:
    """Return the state after all steps of order (steps, batch)."""

    def body(state: Any, rows: Any) -> Any:
        return step(job, state, inputs, labels, rows), None

    return jax.lax.scan(body, state, order)[0]


class JaxJit(Contender):
    """JAX on the platform "cpu" or "gpu", with one compiled call a step.

    With `whole_epoch` it is one for all steps, which scans over them.
    """

    def __init__(self, job: Job, platform: str, whole_epoch: bool = False) -> None:
        super().__init__(job)
        self._whole_epoch = whole_epoch
        put = partial(jax.device_put, device=jax.devices(platform)[0])
        self._inputs, self.test_inputs = map(put, job.floats())  # what meets them goes there
        self._labels = put(job.labels().astype(np.int32))
        self._initial = job.parameters()

    def start(self, *, shuffle: bool, steps: int | None = None) -> None:
        super().start(shuffle=shuffle, steps=steps)
        self._parameters = [(jnp.array(W), jnp.array(b)) for W, b in self._initial]
        zeros = partial(jax.tree.map, jnp.zeros_like, self._parameters)
        self._moments = (zeros(), zeros()) if self.job.optimizer == "adam" else ()
        self._count = jnp.zeros((), dtype=jnp.float32)

    def epoch(self) -> float:
        batch = self.job.batch
        steps = self.count // batch
        order = jnp.asarray(self.order().astype(np.int32).reshape(-1, batch))
        state = (self._parameters, self._moments, self._count, jnp.zeros((), dtype=jnp.float32))
        if self._whole_epoch:
            state = all_steps(self.job, state, self._inputs, self._labels, order)
        else:
            for i in range(steps):
                state = one_step(self.job, state, self._inputs, self._labels, order, i)
        self._parameters, self._moments, self._count, total = state
        loss = float(total) / steps
        jax.block_until_ready(self._parameters)
        return loss

    def cut(self, batch: int) -> list[Any]:
        batches = super().cut(batch)
        jax.block_until_ready(batches)
        return batches

    def predict(self, batches: list[Any]) -> list[Any]:
        parts = [probabilities_of(self.job.activation, self._parameters, x) for x in batches]
        return [np.asarray(part) for part in parts]
