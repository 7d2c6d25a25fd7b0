"""Initial parameters from training rows: outputs of unit variance, he+5 biases.

Holzmüller, Grinsztajn, Steinwart, "Better by default" (NeurIPS 2024); the biases are those of
Steinwart, "A sober look at neural network initializations" (2019).

Shapes: x (rows, in); W (…, in, out), b (…, out); z, a dense layer's outputs for the rows,
(…, rows, out), with an axis for each of several networks.
"""

import math
from typing import TYPE_CHECKING

from pluggable_mlp.arrays import Array, Namespace, dtype_name
from pluggable_mlp.host.randomness import choices, simplex
from pluggable_mlp.network.layers import Dense
from pluggable_mlp.network.parameters import Parameters
from pluggable_mlp.network.passes import LayeredNetwork

if TYPE_CHECKING:
    from pluggable_mlp.backends import Backend

_ROUNDING = 1e-6  # less may be float32's rounding alone

CORNERS = 5
"""So many rows have a part in each bias."""


def initialized_on_rows(
    xp: Namespace,
    network: LayeredNetwork,
    parameters: Parameters,
    x: Array,
    *,
    seed: int,
    backend: "Backend",
) -> Parameters:
    """Return parameters whose dense layers have random outputs of variance 1 on the rows.

    Layer by layer, with z = x W (for "ntk" x W / sqrt(in)) and s the standard deviation of each
    column of z over the rows, W becomes W / s.  Then b_j is minus a random point of the simplex
    spanned by z_j / s_j of five random rows, so that unit j is 0 somewhere among the rows.  A
    column that does not vary keeps its W.

    Parameters
    ----------
    xp
        The namespace of the arrays.
    network : LayeredNetwork
        Its members, if any, must share nothing.
    parameters : list of dict of arrays
        The initial ones.
    x : array (rows, in)
    seed : int
        The seed of the biases, from 0 to 2**64 - 1.
    backend : Backend
        That of the arrays.
    """
    remaining, initialized = iter(parameters), []
    for place, layer in enumerate(network.layers):
        arrays = next(remaining) if layer.shapes() else {}
        if isinstance(layer, Dense):
            z, _ = layer.forward(xp, {"W": arrays["W"], "b": arrays["b"] * 0.0}, x)
            spread = xp.std(z, axis=-2)
            varies = spread > xp.max(xp.abs(z), axis=-2) * _ROUNDING
            inverse = 1.0 / xp.where(varies, spread, 1.0)
            z, W = (array * xp.expand_dims(inverse, axis=-2) for array in (z, arrays["W"]))
            arrays = {"W": W, "b": -_points(xp, z, seed, place, backend)}
            x = z + xp.expand_dims(arrays["b"], axis=-2)
        else:
            x, _ = layer.forward(xp, arrays, x)
        if arrays:
            initialized.append(arrays)
    return initialized


def _points(xp: Namespace, z: Array, seed: int, place: int, backend: "Backend") -> Array:
    """Return for each column of z (…, rows, out) a point between `CORNERS` of its numbers."""
    *networks, rows, outputs = z.shape
    columns = math.prod([*networks, outputs])

    def placed(numbers: Array, dtype: str) -> Array:
        of_networks = numbers.reshape(CORNERS, *networks, outputs).swapaxes(0, -2)
        return xp.asarray(backend.asarray(of_networks, dtype=dtype))

    chosen = placed(choices(seed, "rows", 2 * place, rows, (CORNERS, columns)), "int64")
    weights = placed(simplex(seed, "rows", 2 * place + 1, CORNERS, columns), dtype_name(z.dtype))
    return xp.sum(xp.take_along_axis(z, chosen, axis=-2) * weights, axis=-2)
