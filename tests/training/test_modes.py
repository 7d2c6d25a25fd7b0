"""Training and evaluation: buffers, dropout's steps, and what is saved."""

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend, train
from pluggable_mlp.arrays import map_nested
from pluggable_mlp.hashing import parameters_sha256
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.network.layers import Rng
from pluggable_mlp.network.normalization import BatchNorm
from pluggable_mlp.runs.saved import read_parameters
from pluggable_mlp.serialization import write_tree
from pluggable_mlp.training.optimizer import UpdateArguments

NUMPY = get_backend("numpy")
REPRODUCIBLE = [name for name in ARITHMETICS if name != "native"]


def data(count=20):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 3)), rng.integers(0, 2, size=count)


def test_running_statistics_are_moved_by_every_step_and_by_no_optimizer(backend):
    """One hidden layer with learning rate 0: two epochs in order, by the recursion itself."""
    mlp = MLP([3, 4, 2], norm=BatchNorm(momentum=0.25))
    x, labels = data(10)
    start = mlp.initialize(seed=0, backend=backend, dtype="float64")
    result = train(
        mlp,
        x,
        labels,
        backend=backend,
        parameters=start,
        optimizer=SGD(0.0),
        epochs=2,
        batch_size=4,
        dtype="float64",
        shuffle=False,
    )
    W, b = (backend.to_numpy(start[0][name]) for name in ("W", "b"))
    mean, variance = np.zeros(4), np.ones(4)
    for batch in (x[:4], x[4:8], x[8:]) * 2:
        z = batch @ W + b
        mean = 0.75 * mean + 0.25 * z.mean(axis=0)
        variance = 0.75 * variance + 0.25 * z.var(axis=0, ddof=1)
    trained = {name: backend.to_numpy(array) for name, array in result.parameters[1].items()}
    # Some hundred roundings of numbers of the order of 1.
    np.testing.assert_allclose(trained["running_mean"], mean, atol=1e-14)
    np.testing.assert_allclose(trained["running_variance"], variance, atol=1e-14)
    assert trained["gamma"].tolist() == [1.0] * 4
    assert set(trained) == {"gamma", "beta", "running_mean", "running_variance"}


def test_every_step_has_its_own_mask():
    """The loop takes step 0, 1, 2, … of the run's seed: the same as by hand."""
    mlp = MLP([3, 8, 2], dropout=0.5)
    x, labels = data(10)
    start = mlp.initialize(seed=0, backend=NUMPY, dtype="float64")
    settings = {"optimizer": SGD(0.5), "dtype": "float64", "shuffle": False, "seed": 7}
    result = train(
        mlp, x, labels, backend=NUMPY, parameters=start, epochs=2, batch_size=4, **settings
    )
    xp, parameters = NUMPY.xp, start
    for number, batch in enumerate([slice(0, 4), slice(4, 8), slice(8, 10)] * 2):
        _, gradients = mlp.loss_and_gradients(
            parameters, x[batch], labels[batch], rng=Rng(7, number)
        )
        parameters, _ = SGD(0.5).update(
            UpdateArguments(xp, {"rate": 0.5}, parameters, gradients, {})
        )
    for one, other in zip(result.parameters, parameters, strict=True):
        assert all((one[name] == other[name]).all() for name in one)


@pytest.mark.parametrize("arithmetic", REPRODUCIBLE)
@pytest.mark.parametrize(
    ("norm", "dtype"),
    [("batch", "float32"), pytest.param("layer", "float64", marks=pytest.mark.slow)],
)
def test_runs_have_the_same_bits(backend, norm, dtype, arithmetic):
    """Dropout, normalization, gelu, class weights: the hash of the trained parameters.

    All arrays are 4 wide and all batches 8 long: JAX compiles each operation for each shape.
    """
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(24, 4)), rng.integers(0, 4, size=24)

    def sha(place):
        network = {"norm": norm, "dropout": 0.25, "input_dropout": 0.125}
        network["input_noise"] = 0.5
        mlp = MLP([4, 4, 4, 4], activation=["gelu", "silu"], **network)
        result = train(
            mlp,
            x,
            labels,
            backend=place,
            optimizer=SGD(0.25),
            epochs=1,
            batch_size=8,
            dtype=dtype,
            arithmetic=arithmetic,
            class_weight="balanced",
        )
        return parameters_sha256(result.parameters, place), result.history

    assert sha(backend) == sha(NUMPY)


def test_statistics_are_saved_loaded_and_hashed(backend, tmp_path):
    mlp = MLP([3, 4, 2], norm="batch")
    x, labels = data()
    trained = train(mlp, x, labels, backend=backend, epochs=1).parameters
    sha256 = parameters_sha256(trained, backend)
    write_tree(tmp_path / "model.safetensors", map_nested(backend.to_numpy, trained))
    loaded = read_parameters(tmp_path / "model.safetensors", backend, sha256)
    assert parameters_sha256(loaded, backend) == sha256
    inputs = backend.asarray(x, dtype="float32")
    ours, again = (backend.to_numpy(mlp.logits(p, inputs)) for p in (trained, loaded))
    assert ours.tolist() == again.tolist()
    changed = [*loaded[:1], {**loaded[1], "running_mean": loaded[1]["beta"]}, *loaded[2:]]
    assert parameters_sha256(changed, backend) != sha256


def test_parameters_without_their_statistics_are_refused():
    mlp = MLP([3, 4, 2], norm="batch")
    parameters = mlp.initialize(seed=0, backend=NUMPY)
    del parameters[1]["running_mean"]
    with pytest.raises(ValueError, match=r"parameters\[1\] holds .*, expected .*'running_mean'"):
        mlp.logits(parameters, np.zeros((1, 3), dtype="float32"))
