"""Parameters with leading axes: several networks in one training, each what it is alone."""

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, DivergenceError, Rng, get_backend, make_optimizer, train
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.schedules import Plateau, WarmUp

NUMPY = get_backend("numpy")
_RNG = np.random.default_rng(0)
X, LABELS = _RNG.normal(size=(10, 3)), _RNG.integers(0, 2, size=10)
ROUNDING = 2.0**-52
SETTINGS = {"epochs": 2, "batch_size": 4, "dtype": "float64"}

# Networks and optimizers, targets, what else: each thing at least once.
CASES = {
    "sgd, indices": ({}, ("sgd", {}), LABELS, {}),
    "adam, rows": ({"dropout": 0.25}, ("adam", {"clip_norm": 0.1}), np.eye(2)[LABELS], {}),
    "muon, batch normalization": (
        {"norm": "batch"}, ("muon", {"average": 0.9}), LABELS, {"class_weight": "balanced"}
    ),
    "lion, one output": ({"loss": "squared_error"}, ("lion", {}), X[:, :1], {"shuffle": False}),
    "rmsprop, yes or no": (
        {"loss": "sigmoid_cross_entropy", "norm": "layer", "activation": "gelu"},
        ("rmsprop", {"weight_decay": 0.1}),
        np.stack([LABELS, 1 - LABELS], axis=1),
        {"sample_weight": np.arange(10.0)},
    ),
}  # fmt: skip
SOON = ("sgd, indices", "lion, one output")


def network(case):
    settings, _, targets, _ = CASES[case]
    return MLP([3, 4, targets.shape[1] if "loss" in settings else 2], **settings)


def starts(mlp, backend, count):
    return [mlp.initialize(seed=seed, backend=backend, dtype="float64") for seed in range(count)]


def stacked(backend, networks, shape):
    """Parameters of several networks as one tree with leading axes of that shape."""
    xp = backend.xp

    def stack(index, name):
        whole = xp.stack([of[index][name] for of in networks])
        return xp.reshape(whole, (*shape, *whole.shape[1:]))

    return [{name: stack(i, name) for name in layer} for i, layer in enumerate(networks[0])]


def flat(backend, array, core):
    """An array on the host with one leading axis in the place of all."""
    host = backend.to_numpy(array)
    return host.reshape(-1, *host.shape[host.ndim - core :])


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
@pytest.mark.parametrize("case", CASES)
def test_each_network_is_what_it_is_alone(case, arithmetic):
    check_each_alone(NUMPY, case, arithmetic)


@pytest.mark.slow
@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
@pytest.mark.parametrize("case", CASES)
def test_each_network_is_what_it_is_alone_everywhere(backend, case, arithmetic):
    if case not in SOON and backend.name == "jax":
        pytest.skip("JAX compiles each of them for ten seconds")
    check_each_alone(backend, case, arithmetic)


def check_each_alone(backend, case, arithmetic):
    """The same bits where they are promised; else libraries may use other kernels for a stack."""
    shape, mlp = ((2, 2) if "rows" in case else (3,)), network(case)
    _, (name, settings), targets, more = CASES[case]
    networks = starts(mlp, backend, int(np.prod(shape)))

    def trained(parameters):
        return train(
            mlp, X, targets, backend=backend, parameters=parameters, arithmetic=arithmetic,
            optimizer=make_optimizer(name, learning_rate=0.1, **settings), **SETTINGS, **more,
        )  # fmt: skip

    together, alone = trained(stacked(backend, networks, shape)), [trained(p) for p in networks]
    history = np.asarray(together.history)
    assert history.shape == (2, *shape)
    # Below a thousand roundings of numbers of the order of 1.
    tolerance = 0.0 if arithmetic == "reproducible" else 1e-13
    expected = np.asarray([one.history for one in alone]).T
    np.testing.assert_allclose(history.reshape(2, -1), expected, rtol=0.0, atol=tolerance)
    for index, layer in enumerate(together.parameters):
        for key, array in layer.items():
            parts = flat(backend, array, 2 if key == "W" else 1)
            # The running mean follows the bias before it.
            free = "batch" in case and (index, key) in ((0, "b"), (1, "running_mean"))
            bound = of_roundings_alone(mlp, backend, alone) if tolerance and free else tolerance
            for part, one in zip(parts, alone, strict=True):
                own = backend.to_numpy(one.parameters[index][key])
                np.testing.assert_allclose(part, own, rtol=0.0, atol=bound)


def of_roundings_alone(mlp, backend, trained):
    """How far biases before batch normalization may be apart after two epochs of three batches.

    Their gradient is 0 but for roundings, of numbers below 1 here.  Muon's Adam changes a bias by
    at most rate x |m| / epsilon, where its moment m is not larger than the largest gradient.
    """
    x, labels = backend.asarray(X), backend.asarray(LABELS)
    for one in trained:
        _, gradients = mlp.loss_and_gradients(one.parameters, x, labels, rng=Rng(0, 0))
        assert np.abs(backend.to_numpy(gradients[0]["b"])).max() < ROUNDING
    return 2 * 6 * 0.1 * ROUNDING / 1e-8  # both are moved, by six updates


def test_pixels_train_a_stack_as_their_values_do():
    pixels, mlp = np.arange(30, dtype=np.uint8).reshape(10, 3), MLP([3, 4, 2])
    start = stacked(NUMPY, starts(mlp, NUMPY, 2), (2,))
    scaled, floats = (
        train(mlp, x, LABELS, backend=NUMPY, parameters=start, scale=scale, **SETTINGS)
        for x, scale in ((pixels, 1 / 256), (pixels / 256, None))
    )
    assert scaled.history == floats.history


def test_one_network_that_diverges_ends_the_training():
    mlp = MLP([3, 2])
    start = stacked(NUMPY, starts(mlp, NUMPY, 2), (2,))
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
    networks = starts(mlp, NUMPY, 2)
    settings = {"backend": NUMPY, "optimizer": optimizer, "dtype": "float64", "epochs": 1}
    with pytest.raises(ValueError, match=r"leading axes \(2,\), .* train each network alone"):
        train(mlp, X, LABELS, parameters=stacked(NUMPY, networks, (2,)), **settings)
    train(mlp, X, LABELS, parameters=networks[0], **settings)


def test_leading_axes_must_be_those_of_all_parameters():
    mlp = MLP([3, 4, 2])
    start = stacked(NUMPY, starts(mlp, NUMPY, 2), (2,))
    start[1]["b"] = start[1]["b"][0]
    message = r"parameters\[1\]\['b'\] has shape \(2,\), expected \(2, 2\): the leading axes"
    with pytest.raises(ValueError, match=message):
        train(mlp, X, LABELS, backend=NUMPY, parameters=start, **SETTINGS)
    with pytest.raises(ValueError, match=message):
        mlp.loss_and_gradients(start, X, LABELS)


def test_inputs_may_be_shared_by_the_networks_or_be_their_own():
    mlp = MLP([3, 4, 2])
    start = stacked(NUMPY, starts(mlp, NUMPY, 2), (2,))
    shared, own = mlp.logits(start, X), mlp.logits(start, np.stack([X, X]))
    np.testing.assert_allclose(shared, own, rtol=0.0, atol=1e-14)
    with pytest.raises(ValueError, match=r"x has shape \(5, 10, 3\), .* or the parameters' \(2,\)"):
        mlp.logits(start, np.stack([X] * 5))
