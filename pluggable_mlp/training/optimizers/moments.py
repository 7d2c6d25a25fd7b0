"""Exponential moving averages of gradients and of their squares: what RMSprop, Adam, Lion share.

All the arrays are structured as the parameters and of their shapes.
"""

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array
from pluggable_mlp.training.trees import Tree, map_arrays

__all__ = ["SMALLEST_EPSILON", "average", "average_square", "step_by_root"]

SMALLEST_EPSILON = 1e-30  # float32 can divide by it


def average(mean: Tree, gradients: Tree, decay: float, arithmetic: Arithmetic) -> Tree:
    """Return decay * mean + (1 - decay) * gradients."""
    multiply = arithmetic.multiply

    def blend(m: Array, g: Array) -> Array:
        m = multiply(m, decay)
        m += multiply(g, 1.0 - decay)
        return m

    return map_arrays(blend, mean, gradients)


def average_square(mean: Tree, gradients: Tree, decay: float, arithmetic: Arithmetic) -> Tree:
    """Return decay * mean + (1 - decay) * gradients^2.

    A square too small for the arithmetic counts as 0; its root would vanish beside epsilon.
    """
    multiply = arithmetic.multiply

    def blend(v: Array, g: Array) -> Array:
        v = multiply(v, decay)
        v += multiply(multiply(g, g), 1.0 - decay)
        return v

    return map_arrays(blend, mean, gradients)


def step_by_root(
    w: Array, d: Array, v: Array, rate: float, epsilon: float, arithmetic: Arithmetic
) -> Array:
    """Return w - rate d / (sqrt(v) + epsilon), all of one shape."""
    scale = arithmetic.sqrt(v)
    scale += epsilon
    step = arithmetic.multiply(d, arithmetic.reciprocal(scale))
    step = arithmetic.multiply(step, -rate)
    step += w
    return step
