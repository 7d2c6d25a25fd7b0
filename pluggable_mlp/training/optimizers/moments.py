"""Exponential moving averages of gradients and of their squares: what RMSprop, Adam, Lion share.

All the arrays are structured as the parameters and of their shapes.
"""

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.training.trees import Tree, map_arrays

__all__ = ["SMALLEST_EPSILON", "average", "average_square", "step_by_root"]

SMALLEST_EPSILON = 1e-30  # float32 can divide by it


def average(mean: Tree, gradients: Tree, decay: float) -> Tree:
    """Return decay * mean + (1 - decay) * gradients."""

    def blend(m: Array, g: Array) -> Array:
        m = m * decay
        m += g * (1.0 - decay)
        return m

    return map_arrays(blend, mean, gradients)


def average_square(mean: Tree, gradients: Tree, decay: float) -> Tree:
    """Return decay * mean + (1 - decay) * gradients^2.

    A square too small for the arithmetic counts as 0; its root would vanish beside epsilon.
    """

    def blend(v: Array, g: Array) -> Array:
        v = v * decay
        v += g * g * (1.0 - decay)
        return v

    return map_arrays(blend, mean, gradients)


def step_by_root(xp: Namespace, w: Array, d: Array, v: Array, rate: float, epsilon: float) -> Array:
    """Return w - rate d / (sqrt(v) + epsilon), all of one shape."""
    scale = xp.sqrt(v)
    scale += epsilon
    update = d * (1.0 / scale)
    update *= -rate
    update += w
    return update
