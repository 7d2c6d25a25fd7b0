"""Random configurations of `compare` on which right backends must not be accused.

Networks, losses, optimizers, weights and dtypes of all kinds, with inputs and targets from 10^-30
to 10^30: numbers overflow and underflow, and biases are far larger than the products beside them.
"""

from typing import Any

import numpy as np

from pluggable_mlp import MLP, OPTIMIZERS, Optimizer, make_optimizer
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.losses import LOSSES

__all__ = ["healthy"]

_RULES: dict[str, list[dict[str, Any]]] = {
    **{name: [{}] for name in OPTIMIZERS if name != "lbfgs"},
    "sgd": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}],
}
_TRANSFORMS: list[dict[str, Any]] = [
    {}, {}, {"l1": 0.01}, {"weight_decay": 0.1}, {"clip_norm": 0.1}, {"average": 0.9}
]  # fmt: skip


def healthy(seed: int) -> dict[str, Any]:
    """Return the arguments of `compare`, except for the backends."""
    rng = np.random.default_rng(seed)

    def one_of(choices: Any) -> Any:
        choices = list(choices)
        return choices[rng.integers(len(choices))]

    def widths(count: int) -> list[int]:
        return [int(n) for n in rng.integers(1, 31, size=count)]

    hidden = int(rng.integers(0, 3))
    loss = one_of(LOSSES)
    sizes = [*widths(hidden + 1), int(rng.integers(2, 6))]
    examples = int(rng.integers(1, 41))
    mlp = MLP(
        sizes,
        activation=[one_of(ACTIVATIONS) for _ in range(hidden)],
        loss=loss,
        norm=one_of([None, None, "batch", "layer"]),
        dropout=one_of([0.0, 0.0, 0.25]),
        input_noise=one_of([0.0, 0.0, 0.0, 1.0]),
    )
    inputs = rng.normal(size=(examples, sizes[0])) * one_of([1.0, _scale(rng)])
    name = one_of(_RULES)
    settings = one_of(_RULES[name]) | one_of(_TRANSFORMS)
    optimizer = make_optimizer(name, learning_rate=float(10.0 ** rng.uniform(-3, 0)), **settings)
    assert isinstance(optimizer, Optimizer)
    weights = rng.random(examples) * one_of([1.0, _scale(rng)])
    return {
        "mlp": mlp,
        "inputs": inputs,
        "targets": _targets(loss, rng, examples, sizes[-1]),
        "optimizer": optimizer,
        "sample_weight": one_of([None, None, weights]),
        "dtype": one_of(["float32", "float32", "float64"]),
        "batch_size": int(rng.integers(1, examples + 1)),
        "steps": 4,
        "seed": seed,
    }


def _scale(rng: np.random.Generator) -> float:
    return float(10.0 ** rng.uniform(-30, 30))


def _targets(loss: str, rng: np.random.Generator, examples: int, outputs: int) -> Any:
    shape = examples, outputs
    if loss == "softmax_cross_entropy":
        return rng.integers(0, outputs, size=examples)
    if loss == "sigmoid_cross_entropy":
        return rng.integers(0, 2, size=shape)
    scale = [1.0, 1e4, _scale(rng)][rng.integers(3)]
    numbers = rng.normal(size=shape) * scale
    return np.abs(numbers) if loss == "poisson" else numbers
