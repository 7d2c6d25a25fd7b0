"""Exponential moving averages of gradients and of their squares: what RMSprop, Adam, Lion share.

All the arrays are structured as the parameters and of their shapes.
"""

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array
from pluggable_mlp.training.checks import check_number
from pluggable_mlp.training.trees import Tree, map_arrays

__all__ = ["average", "average_square", "check_epsilon", "step_by_root"]


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


def check_epsilon(epsilon: float) -> None:
    """Refuse an epsilon that float32 could not divide by.

    Raises
    ------
    ValueError
        The message says what came and what was expected.
    """
    check_number("epsilon", epsilon, at_least=1e-30)


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
