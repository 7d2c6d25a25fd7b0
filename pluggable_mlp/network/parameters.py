"""Trees of arrays, a list with one dict for each layer that has any, and their initial values.

Parameters, gradients, buffers and slots of optimizers are such trees.  Shapes: a layer's "W" is
(…, in, out), a bias, a gain or a shift (…, out); arrays of k members have an axis k before these.
Leading axes are independent networks.

Initial parameters are drawn on the host in float64 from `randomness` (seed, stream, shape) and
rounded once to the dtype, so that a seed gives the same bits everywhere.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from operator import itemgetter

from pluggable_mlp.arrays import Array, Nested

Tree = list[dict[str, Array]]
Parameters = Tree


def first_array(parameters: Parameters) -> Array:
    """Return the first of the parameters, which has the library, device and dtype of all."""
    return next(iter(parameters[0].values()))


def merged(first: Tree, second: Tree) -> Tree:
    """Return the tree before `split`: in each dict the first's arrays, then the second's."""
    return [{**one, **other} for one, other in zip(first, second, strict=True)]


def map_arrays(function: Callable[..., Array], first: Tree, *others: Tree) -> Tree:
    """Return a tree of function(array of the first, its counterparts in the others …)."""
    # Every step passes here several times: hence no generator for each array.
    return [
        {name: function(*map(itemgetter(name), together)) for name in together[0]}
        for together in zip(first, *others, strict=True)
    ]


def with_leaves(like: Tree, arrays: Sequence[Array]) -> Tree:
    """Return a tree with its arrays replaced by these, one after the other."""
    remaining = iter(arrays)
    # The names come first: where they end, no array is taken.
    return [dict(zip(layer, remaining, strict=False)) for layer in like]


def named_like(like: Nested, value: Nested) -> Nested:
    """Return nested lists, tuples and dicts with names in the order of `like`: JAX sorts them."""
    if isinstance(like, dict):
        return {name: named_like(one, value[name]) for name, one in like.items()}
    if isinstance(like, tuple | list):
        return [named_like(*pair) for pair in zip(like, value, strict=True)]
    return value


def split(tree: Tree, names: Sequence[Collection[str]]) -> tuple[Tree, Tree]:
    """Return a tree of the arrays with these names, given per dict, and one of all others."""
    chosen, others = [], []
    for layer, its_names in zip(tree, names, strict=True):
        chosen.append({name: array for name, array in layer.items() if name in its_names})
        others.append({name: array for name, array in layer.items() if name not in its_names})
    return chosen, others


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

        W is (…, in, out) and b, if any, (…, out): leading axes are layers that are drawn
        independently.
        """
        scale = math.sqrt(self.variance(*shapes["W"][-2:]))  # in, out
        biases = self.distribution if self.random_biases else "zero"
        drawn = {"W": (self.distribution, 2 * stream), "b": (biases, 2 * stream + 1)}
        return {
            name: _deviates(seed, shape, *drawn[name]) * scale for name, shape in shapes.items()
        }


def _deviates(seed: int, shape: Shape, distribution: str, step: int) -> Array:
    """Return deviates of mean 0 and variance 1, or zeros."""
    from pluggable_mlp.host.randomness import normal, uniform, zeros  # here: it imports NumPy

    if distribution == "normal":
        return normal(seed, "parameters", step, shape)
    if distribution == "zero":
        return zeros(shape)
    if distribution == "sign":
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
