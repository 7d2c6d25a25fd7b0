"""The network's gradients against what is not the network: differences, textbook, autograd."""

from functools import partial

import numpy as np
import pytest

from pluggable_mlp import MLP
from pluggable_mlp.network.activations import ACTIVATIONS
from tests.network import reference
from tests.network.differences import central_differences
from tests.network.examples import SIZES, example, moved


def bounded_activation(mlp, z):
    """One that the textbook lacks: its steepest slope, errors up to 8 u (|x| + |y|)."""
    grid = np.linspace(-20.0, 20.0, 4001)
    slope = 1.01 * np.max(np.abs(np.diff(mlp.layers[1].forward(np, {}, grid)[0]))) / 0.01
    y, backward = mlp.layers[1].forward(np, {}, z.value)
    error = slope * z.error + reference.FUNCTION * (abs(z.value) + abs(y))
    return reference.with_error(y, error), reference.exactly(backward(np.ones_like(y))[0])


def difference_check(function, depth, rows, gradients_of=MLP.loss_and_gradients):
    """Compare every gradient with central differences of the loss (float64, NumPy)."""
    parameters, x, labels = example(depth)
    mlp = MLP(SIZES[depth], activation=function)
    t = reference.one_hot(labels, 4)
    targets = t if rows else labels
    bounded = reference.ACTIVATIONS.get(function, partial(bounded_activation, mlp))
    expected_loss, _ = reference.loss_and_gradients(
        bounded, reference.exact_parameters(parameters), x, t
    )
    f_error = 1.01 * expected_loss.error  # near the parameters
    _, gradients = gradients_of(mlp, parameters, x, targets)
    for index, layer in enumerate(parameters):
        for name in layer:

            def loss(w, index=index, layer=layer, name=name):
                changed = [*parameters]
                changed[index] = {**layer, name: w}
                return float(mlp.loss_and_gradients(changed, x, targets)[0])

            slopes, bounds = central_differences(loss, layer[name], f_error)
            # The gradient's own rounding is of the order of f_error: nothing beside f_error / h.
            assert (abs(gradients[index][name] - slopes) <= bounds).all(), (
                f"{name} of layer {index} of {depth}"
            )
            assert (bounds < 1e-6).all(), "the bound is too wide to tell anything"


@pytest.mark.parametrize("function", ACTIVATIONS)
def test_gradients_against_central_differences(function):
    for depth in SIZES:
        difference_check(function, depth, rows=False)


@pytest.mark.parametrize("depth", SIZES)
def test_gradients_of_one_hot_targets_against_central_differences(depth):
    difference_check("tanh", depth, rows=True)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", ["W", "b"])
def test_the_central_differences_see_one_wrong_element(layer, name):
    """A gradient with one element off by a hundred-thousandth does not pass."""

    def wrong(mlp, parameters, x, targets):
        loss, gradients = mlp.loss_and_gradients(parameters, x, targets)
        array = gradients[layer][name].copy()
        array.flat[-1] += 1e-5
        gradients[layer] = {**gradients[layer], name: array}
        return loss, gradients

    with pytest.raises(AssertionError, match=f"{name} of layer {layer}"):
        difference_check("sigmoid", 2, False, wrong)


@pytest.mark.parametrize("depth", [4])
@pytest.mark.parametrize("function", reference.ACTIVATIONS)
def test_gradients_against_the_textbook(backend, function, depth):
    """Every backend against plain NumPy lines, within the bound that goes with them."""
    parameters, x, labels = example(depth)
    mlp = MLP(SIZES[depth], activation=function)
    loss, gradients = mlp.loss_and_gradients(
        moved(backend, parameters), backend.asarray(x), backend.asarray(labels)
    )
    expected_loss, expected = reference.loss_and_gradients(
        function, reference.exact_parameters(parameters), x, reference.one_hot(labels, 4)
    )
    reference.assert_within(backend.to_numpy(loss), expected_loss, "loss")
    for index, layer in enumerate(expected):
        for name, bounded in layer.items():
            where = f"{name} of layer {index}"
            reference.assert_within(backend.to_numpy(gradients[index][name]), bounded, where)


@pytest.mark.parametrize("backend", ["torch"], indirect=True)
@pytest.mark.parametrize("depth", SIZES)
@pytest.mark.parametrize("function", reference.ACTIVATIONS)
def test_gradients_against_torch_differentiation(backend, function, depth):
    import torch

    assert backend.name == "torch"

    functions = {
        "identity": lambda z: z,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": torch.relu,
    }
    parameters, x, labels = example(depth)
    leaves = [
        {name: torch.tensor(array, requires_grad=True) for name, array in layer.items()}
        for layer in parameters
    ]
    y = torch.tensor(x)
    for index, layer in enumerate(leaves):
        y = torch.nn.functional.linear(y, layer["W"].T, layer["b"])
        if index + 1 < depth:
            y = functions[function](y)
    loss = torch.nn.functional.cross_entropy(y, torch.tensor(labels))
    loss.backward()
    theirs = [{name: w.grad.numpy() for name, w in layer.items()} for layer in leaves]
    compare_with_ours(function, depth, float(loss.detach()), theirs)


@pytest.mark.parametrize("backend", ["jax:cpu"], indirect=True)
@pytest.mark.parametrize("depth", SIZES)
@pytest.mark.parametrize("function", reference.ACTIVATIONS)
def test_gradients_against_jax_differentiation(backend, function, depth):
    import jax

    functions = {
        "identity": lambda z: z,
        "sigmoid": jax.nn.sigmoid,
        "tanh": jax.numpy.tanh,
        "relu": jax.nn.relu,
    }
    parameters, x, labels = example(depth)

    def loss_of(leaves):
        y = jax.numpy.asarray(x)
        for index, layer in enumerate(leaves):
            y = y @ layer["W"] + layer["b"]
            if index + 1 < depth:
                y = functions[function](y)
        return -jax.nn.log_softmax(y)[jax.numpy.arange(5), labels].mean()

    loss, theirs = jax.value_and_grad(loss_of)(moved(backend, parameters))
    compare_with_ours(function, depth, float(loss), theirs)


def compare_with_ours(function, depth, loss, gradients):
    """Both err by at most the reference's bound, each from the exact value."""
    parameters, x, labels = example(depth)
    bounds = reference.loss_and_gradients(
        function, reference.exact_parameters(parameters), x, reference.one_hot(labels, 4)
    )
    ours = MLP(SIZES[depth], activation=function).loss_and_gradients(parameters, x, labels)
    reference.assert_within(ours[0], reference.with_error(loss, bounds[0].error), "loss")
    for index, layer in enumerate(bounds[1]):
        for name, bounded in layer.items():
            theirs = reference.with_error(gradients[index][name], bounded.error)
            reference.assert_within(ours[1][index][name], theirs, f"{name} of layer {index}")
