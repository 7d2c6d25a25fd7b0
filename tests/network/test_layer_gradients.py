"""Layers with parameters: gradients against differences, stacks, and their bits."""

import numpy as np
import pytest

from pluggable_mlp import Periodic, PiecewiseLinear, get_backend
from pluggable_mlp.network.activations import tanh
from pluggable_mlp.network.categories import Categories
from pluggable_mlp.network.feature_layers import BatchNorm, LayerNorm, ParametricActivation, Scaling
from pluggable_mlp.network.layers import Dense, NTKDense, Rng
from pluggable_mlp.network.member_layers import (
    BatchEnsembleDense,
    FirstMemberScaling,
    MemberDense,
    MemberScaling,
)
from tests.network.bounded import assert_near, with_bounds
from tests.network.differences import central_differences, on_grid

BATCH, FEATURES = 6, 4


EDGES = ((-1.0, 0.25, 0.5, 2.0), (-0.5, 1.5), (-2.0, -1.0, 1.0))


FIRST = FirstMemberScaling(3, FEATURES, "signs", (1, 1, 2))

# Normalizations once in training, too, where they measure the batch.
LAYERS = {
    "dense": (Dense(FEATURES, 5), None),
    "ntk dense": (NTKDense(FEATURES, 3), None),
    "scaling": (Scaling(FEATURES), None),
    "parametric activation": (ParametricActivation(tanh, FEATURES), None),
    "piecewise linear": (PiecewiseLinear(EDGES, size=2), None),
    "periodic": (Periodic(2, size=3, frequencies=5), None),
    "categories": (Categories((2, 1), 3), None),
    "member scaling": (MemberScaling(3, FEATURES), None),
    "first member scaling": (FIRST, None),
    "batch ensemble": (BatchEnsembleDense(MemberScaling(3, FEATURES), 5), None),
    "first batch ensemble": (BatchEnsembleDense(FIRST, 5), None),
    "member dense": (MemberDense(3, Dense(FEATURES, 5)), None),
    "layer norm": (LayerNorm().of_features(FEATURES), None),
    "batch norm": (BatchNorm().of_features(FEATURES), Rng(seed=0, t=0)),
    "batch norm in evaluation": (BatchNorm().of_features(FEATURES), None),
}
EVERY_LAYER = pytest.mark.parametrize("name", LAYERS)


def example(layer, leading=(), seed=0):
    rng = np.random.default_rng(seed)
    shapes = layer.shapes() | {"x": (BATCH, FEATURES)}
    arrays = {name: on_grid(rng.normal(size=(*leading, *shape))) for name, shape in shapes.items()}
    if isinstance(layer, BatchNorm):
        arrays["running_variance"] = abs(arrays["running_variance"]) + 0.5
    elif layer.buffers:  # which are not any numbers
        drawn = layer.initial(lambda shapes, *_: {"W": np.zeros(shapes["W"])})
        for name in layer.buffers:
            initial = np.asarray(drawn[name])
            arrays[name] = np.broadcast_to(initial, (*leading, *initial.shape)).copy()
    return arrays


def compute(name, arrays, c):
    """y, dx, the gradients and what training measures, by name, for dy = c, on a library."""
    layer, step = LAYERS[name]

    def on(library):
        parameters = {name: library.asarray(array) for name, array in arrays.items()}
        x = parameters.pop("x")
        y, backward = layer.forward(library.xp, parameters, x, step)
        dy = library.asarray(c)
        dx, gradients = backward(dy)
        without, same = backward(dy, with_dx=False)
        assert without is None
        kept = () if step else layer.buffers
        assert set(gradients) == set(same) == set(layer.shapes()) - set(kept)
        return {"y": y, "x": dx, **gradients}

    return on


def on_host(backend, results):
    return {name: backend.to_numpy(array) for name, array in results.items()}


def slopes_for(layer, arrays):
    """A dy of the shape of the layer's y."""
    layer_arrays = {name: array for name, array in arrays.items() if name != "x"}
    y, _ = layer.forward(get_backend("numpy").xp, layer_arrays, arrays["x"])
    return np.random.default_rng(1).normal(size=y.shape)


@EVERY_LAYER
def test_gradients_against_central_differences(name):
    """L = sum of y c: its gradient with respect to x and every parameter."""
    layer, _ = LAYERS[name]
    arrays, backend = example(layer), get_backend("numpy")
    c = slopes_for(layer, arrays)
    results = compute(name, arrays, c)(backend)
    y, bounds = results["y"], with_bounds(compute(name, arrays, c), "float64")["y"]
    error = float((bounds.error * abs(c)).sum() + (y.size + 1) * 2.0**-53 * abs(y * c).sum())

    for key in arrays:
        if key in layer.buffers:
            continue

        def loss(w, key=key):
            return float((compute(name, {**arrays, key: w}, c)(backend)["y"] * c).sum())

        slopes, allowed = central_differences(loss, arrays[key], 1.01 * error)
        assert (abs(results[key] - slopes) <= allowed).all(), key
        assert (allowed < 1e-6).all(), "the bound is too wide to tell anything"


@EVERY_LAYER
def test_networks_along_leading_axes_give_what_each_gives_by_itself(name):
    layer, _ = LAYERS[name]
    backend, arrays = get_backend("numpy"), example(layer, (2,))
    c = slopes_for(layer, arrays)
    before = {key: array.tobytes() for key, array in arrays.items()}
    whole = compute(name, arrays, c)(backend)
    for index in range(2):
        alone = {key: array[index] for key, array in arrays.items()}
        on = compute(name, alone, c[index])
        bounds = with_bounds(on, "float64")
        for key, array in on(backend).items():
            assert_near(whole[key][index], array, bounds[key], bounds[key].error)
    assert before == {key: array.tobytes() for key, array in arrays.items()}


def test_missing_categories_have_a_vector_of_their_own():
    """The second to fourth inputs are one-hot columns of features with 2 and 1 categories."""
    E = np.arange(15.0).reshape(5, 3)
    x = np.asarray([[7.0, 0.0, 0.0, 1.0], [8.0, 0.0, 1.0, 0.0]])
    y, _ = Categories((2, 1), 3).forward(get_backend("numpy").xp, {"category_E": E}, x)
    assert y.tolist() == [[7.0, *E[0], *E[4]], [8.0, *E[2], *E[3]]]
