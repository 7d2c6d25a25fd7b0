"""Parameters with leading axes: several networks in one training, each what it is alone."""

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, DivergenceError, get_backend, make_optimizer, train
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.schedules import Plateau, WarmUp

NUMPY = get_backend("numpy")
_RNG = np.random.default_rng(0)
X, LABELS = _RNG.normal(size=(10, 3)), _RNG.integers(0, 2, size=10)
SETTINGS = {"epochs": 2, "batch_size": 4, "dtype": "float64"}


def starts(mlp, count):
    return [mlp.initialize(seed=seed, backend=NUMPY, dtype="float64") for seed in range(count)]


def stacked(networks, shape):
    """Parameters of several networks as one tree with leading axes of that shape."""

    def stack(index, name):
        whole = np.stack([network[index][name] for network in networks])
        return whole.reshape(*shape, *whole.shape[1:])

    return [{name: stack(i, name) for name in layer} for i, layer in enumerate(networks[0])]


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_each_network_is_what_it_is_alone(arithmetic):
    """Two axes, rows as targets; sweeps have every optimizer.

    The same bits where they are promised; else libraries may use other kernels for a stack.
    """
    mlp = MLP([3, 4, 2], dropout=0.25)
    networks = starts(mlp, 4)
    optimizer = make_optimizer("adam", learning_rate=0.1, clip_norm=0.1)
    options = {"backend": NUMPY, "arithmetic": arithmetic, "optimizer": optimizer, **SETTINGS}

    def trained(parameters):
        return train(mlp, X, np.eye(2)[LABELS], parameters=parameters, **options)

    together, alone = trained(stacked(networks, (2, 2))), [trained(p) for p in networks]
    history = np.asarray(together.history)
    assert history.shape == (2, 2, 2)
    # Below a thousand roundings of numbers of the order of 1.
    tolerance = 0.0 if arithmetic == "reproducible" else 1e-13
    expected = np.asarray([one.history for one in alone]).T
    np.testing.assert_allclose(history.reshape(2, -1), expected, rtol=0.0, atol=tolerance)
    for index, layer in enumerate(together.parameters):
        for key, array in layer.items():
            arrays = [one.parameters[index][key] for one in alone]
            parts = array.reshape(len(alone), *arrays[0].shape)
            np.testing.assert_allclose(parts, arrays, rtol=0.0, atol=tolerance)


def test_one_network_that_diverges_ends_the_training():
    mlp = MLP([3, 2])
    start = stacked(starts(mlp, 2), (2,))
    start[0]["W"][1] = np.inf
    with (
        pytest.raises(DivergenceError, match=r"its loss is \[0\.\d+, nan\]"),
        np.errstate(all="ignore"),
    ):
        train(mlp, X, LABELS, backend=NUMPY, parameters=start, **SETTINGS)


@pytest.mark.parametrize(
    "optimizer",
    [LBFGS(), SGD(Plateau(0.1)), SGD(WarmUp(Plateau(0.1), 2)),
     make_optimizer("adam", learning_rate=Plateau(0.1), clip_norm=1.0)],
    ids=["lbfgs", "plateau", "after a warm-up", "within a transform"],
)  # fmt: skip
def test_what_follows_one_loss_takes_one_network(optimizer):
    mlp = MLP([3, 4, 2])
    networks = starts(mlp, 2)
    settings = {"backend": NUMPY, "optimizer": optimizer, "dtype": "float64", "epochs": 1}
    with pytest.raises(ValueError, match=r"leading axes \(2,\), .* train each network alone"):
        train(mlp, X, LABELS, parameters=stacked(networks, (2,)), **settings)
    train(mlp, X, LABELS, parameters=networks[0], **settings)


def test_leading_axes_must_be_those_of_all_parameters():
    mlp = MLP([3, 4, 2])
    start = stacked(starts(mlp, 2), (2,))
    start[1]["b"] = start[1]["b"][0]
    message = r"parameters\[1\]\['b'\] has shape \(2,\), expected \(2, 2\): the leading axes"
    with pytest.raises(ValueError, match=message):
        train(mlp, X, LABELS, backend=NUMPY, parameters=start, **SETTINGS)
    with pytest.raises(ValueError, match=message):
        mlp.loss_and_gradients(start, X, LABELS)
