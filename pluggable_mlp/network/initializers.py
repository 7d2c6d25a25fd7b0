"""Initializers of parameters; a seed gives the same bits everywhere.

Parameters are drawn on the host in float64 from `randomness` (seed, stream, shape) and rounded
once to the dtype.  Shapes: W (…, in, out), b (…, out).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from pluggable_mlp.arrays import Array
from pluggable_mlp.randomness import normal, uniform, zeros

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Initializer:
    """A distribution of the initial parameters of a dense layer.

    Parameters
    ----------
    variance : callable (inputs, outputs) -> float
        The variance of each weight.
    distribution : {"uniform", "normal", "sign", "zero"}
        Uniform on the interval around 0 that has this variance; normal; its root with a random
        sign; or always 0.
    random_biases : bool
        Draw the biases like the weights; they are zero otherwise.
    """

    variance: Callable[[int, int], float]
    distribution: str
    random_biases: bool = False

    def draw(self, seed: int, stream: int, shapes: dict[str, Shape]) -> dict[str, Array]:
        """Return host data, float64, by name; each layer has its own `stream`.

        W is (…, in, out) and b (…, out): leading axes are layers that are drawn independently.
        """
        *_, inputs, outputs = shapes["W"]
        scale = math.sqrt(self.variance(inputs, outputs))
        W = self._deviates(seed, 2 * stream, shapes["W"]) * scale
        if not self.random_biases:
            return {"W": W, "b": zeros(shapes["b"])}
        return {"W": W, "b": self._deviates(seed, 2 * stream + 1, shapes["b"]) * scale}

    def _deviates(self, seed: int, step: int, shape: Shape) -> Array:
        """Return deviates of mean 0 and variance 1."""
        if self.distribution == "normal":
            return normal(seed, "parameters", step, shape)
        if self.distribution == "zero":
            return zeros(shape)
        if self.distribution == "sign":
            return (uniform(seed, "parameters", step, shape) >= 0.5) * 2.0 - 1.0
        # Uniform on (-a, a) has the variance a² / 3.
        return (2.0 * uniform(seed, "parameters", step, shape) - 1.0) * math.sqrt(3.0)


def _glorot(inputs: int, outputs: int) -> float:
    """Return 2 / (in + out): Glorot and Bengio, AISTATS 2010, equation 12 (their uniform is 16)."""
    return 2.0 / (inputs + outputs)


def _he(inputs: int, outputs: int) -> float:
    """Return 2 / in: He, Zhang, Ren, Sun, ICCV 2015, equation 10."""
    return 2.0 / inputs


def _inverse_sqrt(inputs: int, outputs: int) -> float:
    """Return 1 / (3 in): U(-1/sqrt(in), 1/sqrt(in)) has this variance."""
    return 1.0 / (3.0 * inputs)


INITIALIZERS: dict[str, Initializer] = {
    "glorot_uniform": Initializer(_glorot, "uniform"),
    "glorot_normal": Initializer(_glorot, "normal"),
    "he_uniform": Initializer(_he, "uniform"),
    "he_normal": Initializer(_he, "normal"),
    # As in the classic notebook: weights and biases from the standard normal distribution.
    "standard_normal": Initializer(lambda *_: 1.0, "normal", random_biases=True),
    # As torch.nn.Linear: weights and biases.
    "inverse_sqrt_uniform": Initializer(_inverse_sqrt, "uniform", random_biases=True),
    # For the last layer, whose outputs are then 0 at first.
    "zeros": Initializer(lambda *_: 0.0, "zero"),
}
