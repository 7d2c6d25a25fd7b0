"""A network with all kinds of layers: their order, gradients and buffers."""

import numpy as np
import pytest

from pluggable_mlp import ACTIVATIONS, MLP, get_backend
from pluggable_mlp.network.feature_layers import (
    NORMALIZATIONS,
    BatchNorm,
    ParametricActivation,
    Scaling,
)
from pluggable_mlp.network.layers import ActivationLayer, Dense, Dropout, NTKDense, Rng
from tests.network.bounded import with_bounds
from tests.network.differences import central_differences, on_grid

RNG = Rng(seed=1, t=2)
WEIGHTS = np.asarray([1.0, 0.5, 2.0, 1.5, 1.0])


def network(norm):
    of_inputs = {"input_dropout": 0.125, "input_noise": 0.5}
    activation = ["tanh", "softplus"]
    mlp = MLP([3, 6, 4, 3], activation=activation, norm=norm, dropout=0.25, **of_inputs)
    rng = np.random.default_rng(0)
    parameters = [
        {name: on_grid(array + 0.3 * rng.normal(size=array.shape)) for name, array in layer.items()}
        for layer in mlp.initialize(seed=0, backend=get_backend("numpy"), dtype="float64")
    ]
    return mlp, parameters, rng.normal(size=(5, 3)), rng.integers(0, 3, size=5)


def test_the_order_of_a_hidden_layer():
    kinds = [type(layer) for layer in MLP([2, 3, 2], norm="batch", dropout=0.5).layers]
    assert kinds == [Dense, BatchNorm, ActivationLayer, Dropout, Dense]
    assert MLP([2, 3, 2], norm=BatchNorm(momentum=0.5)).layers[1].momentum == 0.5
    assert MLP([2, 3, 2], norm=BatchNorm(momentum=0.5)).layers[1].features == 3
    assert MLP([2, 2], norm="batch", dropout=0.5).layers == (Dense(2, 2),)
    assert MLP([2, 2], input_dropout=0.25).layers == (Dropout(0.25, 2**32 - 1), Dense(2, 2))


def test_layers_for_tables():
    mlp = MLP([2, 3, 2], parametrization="ntk", input_scaling=True, input_dropout=0.25)
    kinds = [type(layer) for layer in mlp.layers]
    assert kinds == [Dropout, Scaling, NTKDense, ActivationLayer, NTKDense]
    mixed = MLP([2, 3, 2], activation="selu", parametric_activation=True)
    (_, parametric, _) = mixed.layers
    assert parametric == ParametricActivation(ACTIVATIONS["selu"], 3)
    _, mixture, _ = mixed.initialize(seed=0, backend=get_backend("numpy"))
    assert mixture["a"].tolist() == [1.0] * 3
    chosen = {"initializer": "standard_normal", "output_initializer": "zeros"}
    scaling, first, last = MLP([2, 3, 2], input_scaling=True, **chosen).initialize(
        seed=0, backend=get_backend("numpy")
    )
    assert scaling["scale"].tolist() == [1.0, 1.0]
    assert (abs(first["W"]) > 0.0).all()
    assert (abs(first["b"]) > 0.0).all()
    assert not last["W"].any()
    assert not last["b"].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parametrization": "ntl"}, "parametrization is 'ntl', expected one of standard, ntk"),
        ({"output_initializer": "zero"}, "output_initializer is 'zero', expected one of"),
        ({"input_scaling": 1}, "input_scaling is 1, expected True or False"),
        ({"parametric_activation": 1}, "parametric_activation is 1, expected True or False"),
    ],
)
def test_layers_for_tables_refuse(options, message):
    with pytest.raises(ValueError, match=message):
        MLP([2, 3, 2], **options)


def test_outputs_keep_to_their_range_in_evaluation_alone():
    free, backend = MLP([2, 4, 1], loss="squared_error"), get_backend("numpy")
    kept = MLP([2, 4, 1], loss="squared_error", output_range=(-0.25, 0.25))
    parameters = free.initialize(seed=1, backend=backend, dtype="float64")
    x = np.random.default_rng(0).normal(size=(9, 2))
    z = free.logits(parameters, x)
    assert z.min() < -0.25 or z.max() > 0.25
    np.testing.assert_array_equal(kept.logits(parameters, x), np.clip(z, -0.25, 0.25))
    ours, theirs = (mlp.loss_and_gradients(parameters, x, z + 1.0) for mlp in (kept, free))
    assert ours[0] == theirs[0] == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"output_range is \(1, 0\), expected two numbers"):
        MLP([2, 4, 1], output_range=(1, 0))


@pytest.mark.parametrize("step", [RNG, None], ids=["training", "evaluation"])
@pytest.mark.parametrize("norm", [None, *NORMALIZATIONS])
def test_gradients_against_central_differences(norm, step):
    """Every parameter that has a gradient, dropout's mask held by the step; weighted examples."""
    mlp, parameters, x, labels = network(norm)

    def on(library, changed=parameters):
        arrays = [{n: library.asarray(a) for n, a in layer.items()} for layer in changed]
        batch = library.asarray(x), labels, library.asarray(WEIGHTS)
        return mlp.loss_gradients_and_buffers(library.xp, *mlp.split(arrays), *batch, step)[:2]

    backend = get_backend("numpy")
    error = 1.01 * float(with_bounds(on, "float64")[0].error)
    _, gradients = on(backend)
    for index, layer in enumerate(gradients):
        expected = set(parameters[index]) - set(BatchNorm.buffers)
        assert set(layer) == expected
        for name, array in layer.items():

            def loss(w, index=index, name=name):
                changed = [*parameters]
                changed[index] = {**parameters[index], name: w}
                return float(on(backend, changed)[0])

            slopes, bounds = central_differences(loss, parameters[index][name], error)
            assert (abs(array - slopes) <= bounds).all(), f"{name} of {index}"
            assert (bounds < 1e-6).all(), "the bound is too wide to tell anything"


def test_initial_parameters(backend):
    """Gains and variances 1, shifts and means 0; the weights are those without normalization."""
    plain = MLP([3, 4, 2]).initialize(seed=5, backend=backend)
    dense, norm, last = MLP([3, 4, 2], norm="batch").initialize(seed=5, backend=backend)
    for ours, expected in zip((dense, last), plain, strict=True):
        assert backend.to_numpy(ours["W"]).tolist() == backend.to_numpy(expected["W"]).tolist()
    values = {name: backend.to_numpy(array).tolist() for name, array in norm.items()}
    assert values == {
        "gamma": [1.0] * 4,
        "beta": [0.0] * 4,
        "running_mean": [0.0] * 4,
        "running_variance": [1.0] * 4,
    }
