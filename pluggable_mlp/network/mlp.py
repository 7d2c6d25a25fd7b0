"""The multilayer perceptron: dense layers with activations between them, and their gradients.

Shapes: x (…, batch, in); logits (…, batch, classes); parameters are a list with one dict of
arrays a dense layer, [{"W": (…, in, out), "b": (…, out)}, …]; gradients have the same structure.
Leading axes are independent networks.  The public methods check what comes in; `forward` and
`step_gradients`, which the training loop calls, trust it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pluggable_mlp.arithmetic import Arithmetic, get_arithmetic
from pluggable_mlp.arrays import Array
from pluggable_mlp.names import choose
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.checks import check_inputs, check_labels, check_sizes
from pluggable_mlp.network.initializers import INITIALIZERS
from pluggable_mlp.network.layers import Activate, Dense, Layer
from pluggable_mlp.network.losses import LOSSES, softmax

__all__ = ["MLP", "Parameters"]

Parameters = list[dict[str, Array]]


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron; it holds no parameters, only what to do with them.

    Parameters
    ----------
    sizes : sequence of int
        The number of inputs, the widths of the hidden layers, the number of outputs.
    activation : str
        Of the hidden layers: identity, sigmoid, tanh or relu.  The outputs are logits.
    loss : str
        What training makes small: softmax_cross_entropy.
    initializer : str
        glorot_uniform, glorot_normal, he_uniform, he_normal or standard_normal.

    Raises
    ------
    ValueError
        If a size is not positive or a name is unknown.

    Examples
    --------
    >>> from pluggable_mlp import MLP, get_backend
    >>> backend = get_backend("numpy")
    >>> mlp = MLP([2, 3, 2], activation="tanh")
    >>> parameters = mlp.initialize(seed=0, backend=backend)
    >>> mlp.logits(parameters, backend.asarray([[0.0, 1.0]], dtype="float32")).shape
    (1, 2)
    """

    sizes: Sequence[int]
    activation: str = "sigmoid"
    loss: str = "softmax_cross_entropy"
    initializer: str = "glorot_uniform"
    layers: tuple[Layer, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", check_sizes(self.sizes))
        function = choose(ACTIVATIONS, self.activation, "activation")
        choose(LOSSES, self.loss, "loss")
        choose(INITIALIZERS, self.initializer, "initializer")
        layers: list[Layer] = []
        for inputs, outputs in zip(self.sizes[:-1], self.sizes[1:], strict=True):
            layers += [Dense(inputs, outputs), Activate(function)]
        object.__setattr__(self, "layers", tuple(layers[:-1]))

    def initialize(self, *, seed: int, backend: Any, dtype: str = "float32") -> Parameters:
        """Return fresh parameters on the backend: the same bits for one seed everywhere.

        Parameters
        ----------
        seed : int
            From 0 to 2**64 - 1.
        backend : Backend
            Where the arrays will be.
        dtype : {"float32", "float64"}
        """
        initializer = INITIALIZERS[self.initializer]
        shapes = [layer.shapes() for layer in self.layers if layer.shapes()]
        drawn = [initializer.draw(seed, stream, shape) for stream, shape in enumerate(shapes)]
        return [
            {name: backend.asarray(array, dtype=dtype) for name, array in layer.items()}
            for layer in drawn
        ]

    def logits(self, parameters: Parameters, x: Array, *, arithmetic: str = "native") -> Array:
        """Return the outputs before any softmax, (…, batch, classes), for x (…, batch, in)."""
        bound = get_arithmetic(arithmetic, check_inputs(self, parameters, x))
        return self.forward(parameters, x, bound)[0]

    def predict_proba(
        self, parameters: Parameters, x: Array, *, arithmetic: str = "native"
    ) -> Array:
        """Return class probabilities (…, batch, classes) for x (…, batch, in)."""
        bound = get_arithmetic(arithmetic, check_inputs(self, parameters, x))
        return softmax(bound, self.forward(parameters, x, bound)[0])

    def loss_and_gradients(
        self, parameters: Parameters, x: Array, labels: Array, *, arithmetic: str = "native"
    ) -> tuple[Array, Parameters]:
        """Return the mean loss over the batch and its gradient, structured as the parameters.

        Parameters
        ----------
        parameters : list of dict of arrays
            From `initialize`, or your own of the same structure.
        x : array (…, batch, in)
            Of the parameters' library, device and dtype.
        labels : array
            Integer class indices (…, batch) from 0, or one-hot rows (…, batch, classes).
        arithmetic : {"native"}
            How products, sums and transcendental functions are rounded.

        Returns
        -------
        loss : array (…)
            One number a network.
        gradients : list of dict of arrays

        Raises
        ------
        ValueError, TypeError
            If the arrays do not fit each other or the network; the message names which.
        """
        bound = get_arithmetic(arithmetic, check_inputs(self, parameters, x))
        check_labels(self, x, labels)
        return self.step_gradients(parameters, x, labels, bound)

    def forward(
        self, parameters: Parameters, x: Any, arithmetic: Arithmetic
    ) -> tuple[Array, Callable[[Array], Parameters]]:
        """Return the logits for x, an array or a factor (…, batch, in), and the backward pass.

        The backward pass turns the loss's gradient with respect to the logits (…, batch,
        classes) into the parameters' gradients, by the chain rule from the last layer to the
        first.
        """
        remaining = iter(parameters)
        backwards = []
        for layer in self.layers:
            own = next(remaining) if layer.shapes() else {}
            x, backward = layer.forward(own, x, arithmetic)
            backwards.append(backward)

        def backward_through_all(dy: Array) -> Parameters:
            gradients = []
            for index in reversed(range(len(backwards))):
                dy, of_layer = backwards[index](dy, with_dx=index > 0)
                if of_layer:
                    gradients.append(of_layer)
            return gradients[::-1]

        return x, backward_through_all

    def step_gradients(
        self, parameters: Parameters, x: Any, targets: Array, arithmetic: Arithmetic
    ) -> tuple[Array, Parameters]:
        """Return the loss and the gradients, unchecked and without waiting for the device."""
        z, backward = self.forward(parameters, x, arithmetic)
        loss, dz = LOSSES[self.loss](arithmetic, z, targets)
        return loss, backward(dz)
