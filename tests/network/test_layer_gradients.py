"""Layers with parameters: values and gradients against PyTorch and differences, and their bits."""

import itertools

import numpy as np
import pytest

from pluggable_mlp import Periodic, PiecewiseLinear, get_backend
from pluggable_mlp.network.activations import tanh
from pluggable_mlp.network.categories import Categories
from pluggable_mlp.network.layers import Dense, NTKDense
from pluggable_mlp.network.member_layers import (
    BatchEnsembleDense,
    FirstMemberScaling,
    MemberDense,
    MemberScaling,
)
from pluggable_mlp.network.parametric import ParametricActivation, Scaling
from pluggable_mlp.network.passes import core_axes
from tests.network.bounded import InArithmetic, assert_near, with_bounds
from tests.network.differences import central_differences, on_grid

BATCH, FEATURES = 6, 4


def ntk_dense(p, x):
    """Of pytabkit: the weights times the factor 1 / sqrt(in)."""
    return x @ (p["W"] / 2.0) + p["b"]


def batch_ensemble(p, x):
    """Of tabm: LinearBatchEnsemble, on x (batch, k, in)."""
    x = x.reshape(2, 3, 4)
    y = (x * p["r"]) @ p["W"] * p["s"] + p["member_b"]
    return y.reshape(6, 5)


def first_batch_ensemble(p, x):
    y = (x[:, None, :] * p["r"]) @ p["W"] * p["s"] + p["member_b"]
    return y.reshape(18, 5)


def member_dense(p, x):
    """Of tabm: LinearEnsemble, on x (batch, k, in); ours gives the members first."""
    return x.reshape(2, 3, 4).transpose(0, 1) @ p["member_W"] + p["member_b"][:, None, :]


EDGES = ((-1.0, 0.25, 0.5, 2.0), (-0.5, 1.5), (-2.0, -1.0, 1.0))


def piecewise_linear(p, x):
    """Three of four inputs, with 3, 1 and 2 bins, component by component."""
    import torch

    features = []
    for index, edges in enumerate(EDGES):
        y = x[:, index, None] * p["embedding_w"][index] + p["embedding_b"][index]
        last = len(edges) - 2
        for bin, (left, right) in enumerate(itertools.pairwise(edges)):
            e = (x[:, index, None] - left) / (right - left)
            e = e if bin == 0 else e.clamp(min=0.0)
            e = e if bin == last else e.clamp(max=1.0)
            y = y + e * p["embedding_V"][index, bin]
        features.append(y)
    return torch.cat([*features, x[:, 3:]], dim=-1)


def periodic(p, x):
    """Of pytabkit: PLREmbeddingsLayerCosBias, where the number itself comes last for all."""
    import torch

    u = 2.0 * torch.pi * x.T[:2, :, None] * p["embedding_w"][:, None, :]
    y = (u + p["embedding_b"][:, None, :]).cos() @ p["embedding_V"] + p["embedding_c"][:, None, :]
    waves = torch.cat([y, x.T[:2, :, None]], dim=-1)
    return torch.cat([waves.transpose(0, 1).flatten(1), x[:, 2:]], dim=-1)


def categories(p, x):
    """The second to fourth inputs are one-hot columns of features with 2 and 1 categories."""
    import torch

    E, above = p["category_E"], (x[:, 1:] > 0.5).to(x.dtype)
    first = E[0] * (1.0 - above[:, :2].sum(dim=1, keepdim=True)) + above[:, :2] @ E[1:3]
    second = E[3] * (1.0 - above[:, 2:]) + E[4] * above[:, 2:]
    return torch.cat([x[:, :1], first, second], dim=-1)


def parametric(p, x):
    return x + p["a"] * (x.tanh() - x)


FIRST = FirstMemberScaling(3, FEATURES, "signs", (1, 1, 2))

# Each with what it does in PyTorch, for parameters by name and x (batch, features).
LAYERS = {
    "ntk dense": (NTKDense(FEATURES, 3), ntk_dense),
    "scaling": (Scaling(FEATURES), lambda p, x: x * p["scale"]),
    "parametric activation": (ParametricActivation(tanh, FEATURES), parametric),
    "piecewise linear": (PiecewiseLinear(EDGES, size=2), piecewise_linear),
    "periodic": (Periodic(2, size=3, frequencies=5), periodic),
    "categories": (Categories((2, 1), 3), categories),
    "member scaling": (MemberScaling(3, FEATURES), lambda p, x: x * p["r"].repeat(2, 1)),
    "first member scaling": (FIRST, lambda p, x: (x[:, None, :] * p["r"]).reshape(18, 4)),
    "batch ensemble": (BatchEnsembleDense(MemberScaling(3, FEATURES), 5), batch_ensemble),
    "first batch ensemble": (BatchEnsembleDense(FIRST, 5), first_batch_ensemble),
    "member dense": (MemberDense(3, Dense(FEATURES, 5)), member_dense),
}
EVERY_LAYER = pytest.mark.parametrize("name", LAYERS)


def example(layer, leading=(), seed=0):
    rng = np.random.default_rng(seed)
    shapes = layer.shapes() | {"x": (BATCH, FEATURES)}
    arrays = {name: on_grid(rng.normal(size=(*leading, *of))) for name, of in shapes.items()}
    if layer.buffers:  # which are not any numbers
        drawn = layer.initial(lambda shapes, *_: {"W": np.zeros(shapes["W"])})
        for name in layer.buffers:
            of = np.asarray(drawn[name])
            arrays[name] = np.broadcast_to(of, (*leading, *of.shape)).copy()
    return arrays


def compute(layer, arrays, c):
    """y, dx and the gradients, by name, for dy = c, on a library."""

    def on(library):
        own = {name: library.asarray(array) for name, array in arrays.items()}
        x = own.pop("x")
        y, backward = layer.forward(library.xp, own, x)
        dy = library.asarray(c)
        dx, gradients = backward(dy)
        without, same = backward(dy, with_dx=False)
        assert without is None
        assert set(gradients) == set(same) == set(layer.shapes()) - set(layer.buffers)
        return {"y": y, "x": dx, **gradients}

    return on


def on_host(backend, results):
    return {name: backend.to_numpy(array) for name, array in results.items()}


def slopes_for(layer, arrays):
    """A dy of the shape of the layer's y."""
    own = {name: array for name, array in arrays.items() if name != "x"}
    y, _ = layer.forward(get_backend("numpy").xp, own, arrays["x"])
    return np.random.default_rng(1).normal(size=y.shape)


@EVERY_LAYER
def test_gradients_against_central_differences(name):
    """L = sum of y c: its gradient with respect to x and every parameter."""
    layer, _ = LAYERS[name]
    arrays, backend = example(layer), get_backend("numpy")
    c = slopes_for(layer, arrays)
    results = compute(layer, arrays, c)(backend)
    y, bounds = results["y"], with_bounds(compute(layer, arrays, c), "float64")["y"]
    error = float((bounds.error * abs(c)).sum() + (y.size + 1) * 2.0**-53 * abs(y * c).sum())

    for key in arrays:
        if key in layer.buffers:
            continue

        def loss(w, key=key):
            return float((compute(layer, {**arrays, key: w}, c)(backend)["y"] * c).sum())

        slopes, allowed = central_differences(loss, arrays[key], 1.01 * error)
        assert (abs(results[key] - slopes) <= allowed).all(), key
        assert (allowed < 1e-6).all(), "the bound is too wide to tell anything"


@EVERY_LAYER
def test_against_torch_differentiation(backend, name):
    torch = pytest.importorskip("torch")
    layer, function = LAYERS[name]
    arrays = example(layer)
    c = slopes_for(layer, arrays)
    leaves = {key: torch.tensor(array, requires_grad=True) for key, array in arrays.items()}
    y = function(leaves, leaves["x"])
    y.backward(torch.tensor(c))
    theirs = {key: of.grad for key, of in leaves.items() if key not in layer.buffers}
    on = compute(layer, arrays, c)
    ours, bounds = on_host(backend, on(backend)), with_bounds(on, "float64")
    assert set(ours) == {"y", *theirs}
    for key, array in {"y": y.detach(), **theirs}.items():
        assert_near(ours[key], array.numpy(), bounds[key], also=bounds[key].error)
        assert bounds[key].error.max() < 1e-12, "the bound is too wide to tell anything"


@EVERY_LAYER
def test_networks_along_leading_axes_give_what_each_gives_by_itself(name):
    layer, _ = LAYERS[name]
    backend, arrays = get_backend("numpy"), example(layer, (2,))
    c = slopes_for(layer, arrays)
    before = {key: array.tobytes() for key, array in arrays.items()}
    whole = compute(layer, arrays, c)(backend)
    for index in range(2):
        alone = {key: array[index] for key, array in arrays.items()}
        on = compute(layer, alone, c[index])
        bounds = with_bounds(on, "float64")
        for key, array in on(backend).items():
            assert_near(whole[key][index], array, bounds[key], bounds[key].error)
    assert before == {key: array.tobytes() for key, array in arrays.items()}


@pytest.mark.parametrize("backend", ["numpy", "array_api_strict:device1"], indirect=True)
@EVERY_LAYER
def test_networks_share_rows_as_if_each_had_a_copy(backend, name):
    """x (batch, features) for parameters (networks, …), as `train` and `sweep` give them."""
    layer, _ = LAYERS[name]
    arrays = example(layer, (2,))
    shared = arrays | {"x": arrays["x"][0]}
    copied = arrays | {"x": np.stack([shared["x"]] * 2)}
    c = slopes_for(layer, copied)
    expected, found = (on_host(backend, compute(layer, of, c)(backend)) for of in (copied, shared))
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array, err_msg=key, strict=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", ["torch", "array_api_strict:device1"], indirect=True)
@EVERY_LAYER
def test_same_bits(backend, name, dtype):
    layer, _ = LAYERS[name]
    arrays = {key: array.astype(dtype) for key, array in example(layer).items()}
    c = slopes_for(layer, arrays).astype(dtype)

    def on(backend):
        place = InArithmetic("reproducible", backend)
        results = on_host(place, compute(layer, arrays, c)(place))
        return {key: array.tobytes() for key, array in results.items()}

    assert on(backend) == on(get_backend("numpy"))


@EVERY_LAYER
def test_the_axes_of_a_network_are_known_by_the_names_of_its_arrays(name):
    shapes = LAYERS[name][0].shapes()
    assert {key: core_axes(key) for key in shapes} == {key: len(of) for key, of in shapes.items()}
