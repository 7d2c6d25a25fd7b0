"""Initial parameters that follow from rows: variance 1, and biases that five rows decide."""

import numpy as np
import pytest

from pluggable_mlp import MLP, Periodic, get_backend
from pluggable_mlp.namespaces import namespace_of, unwrapped
from pluggable_mlp.network.row_initialization import initialized_on_rows
from tests.published import import_pytabkit, recorded, summary

X = np.random.default_rng(0).normal(size=(500, 3)) * [1.0, 20.0, 0.1] + [0.0, 5.0, -3.0]
MLP_TD = MLP(
    [3, 64, 40, 2],
    activation="selu",
    initializer="standard_normal",
    parametrization="ntk",
    input_scaling=True,
    embedding=Periodic(2),
)


def initialized(mlp, x, backend, arithmetic="native", dtype="float64"):
    xp = namespace_of(arithmetic, backend)
    first = mlp.initialize(seed=3, backend=backend, dtype=dtype)
    arrays = [{name: xp.asarray(array) for name, array in layer.items()} for layer in first]
    rows = xp.asarray(backend.asarray(x, dtype=dtype))
    return unwrapped(initialized_on_rows(xp, mlp, arrays, rows, seed=3, backend=backend))


def of_dense(parameters):
    return [layer for layer in parameters if "W" in layer]


def test_outputs_have_variance_one_and_the_biases_lie_among_them():
    """Of the convex combination of five: the variance of the biases is 1/3, that of a mean, 1/5."""
    dense = of_dense(initialized(MLP([3, 800, 2]), X, get_backend("numpy")))
    z = X @ dense[0]["W"]
    np.testing.assert_allclose(z.std(axis=0), 1.0, rtol=1e-12)
    assert (z.min(axis=0) < -dense[0]["b"]).all()
    assert (-dense[0]["b"] < z.max(axis=0)).all()
    apart = -dense[0]["b"] - z.mean(axis=0)
    assert abs(apart.mean()) < 5 * (1 / 3 / 800) ** 0.5
    assert apart.var() == pytest.approx(1 / 3, abs=0.08)


def test_the_next_layer_has_it_behind_the_activation():
    dense = of_dense(initialized(MLP([3, 20, 30, 2], activation="tanh"), X, get_backend("numpy")))
    hidden = np.tanh(X @ dense[0]["W"] + dense[0]["b"])
    np.testing.assert_allclose((hidden @ dense[1]["W"]).std(axis=0), 1.0, rtol=1e-12)


def test_a_column_that_does_not_vary_keeps_its_weights():
    mlp, backend = MLP([1, 4, 2]), get_backend("numpy")
    before = of_dense(mlp.initialize(seed=3, backend=backend, dtype="float64"))[0]
    after = of_dense(initialized(mlp, np.full((6, 1), 2.0), backend))[0]
    np.testing.assert_array_equal(after["W"], before["W"])
    np.testing.assert_allclose(after["b"], -2.0 * before["W"][0])


def test_which_rows_have_a_part_and_how_large_a_part_are_independent():
    """In sorted rows, those of one stream of random numbers are 0.06 deviations off the mean."""
    x = np.arange(50.0)[:, None]
    first = of_dense(initialized(MLP([1, 20_000, 2]), x, get_backend("numpy")))[0]
    apart = np.sign(first["W"][0]) * (-first["b"] - x.mean() * first["W"][0])
    assert abs(apart.mean()) < 5 * (1 / 3 / 20_000) ** 0.5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pytabkit scripts functions
def test_as_pytabkit_draws(monkeypatch):
    """Their weights, of our random numbers; their biases, by mean and variance over the units."""
    mlp, backend = MLP([3, 2000, 2], parametrization="ntk"), get_backend("numpy")
    first = mlp.initialize(seed=3, backend=backend, dtype="float64")[0]
    ours = initialized(mlp, X, backend)[0]
    expected = recorded(
        "initial parameters by rows", "pytabkit", lambda: in_pytabkit(monkeypatch, first)
    )
    np.testing.assert_allclose(summary(ours["W"]), expected["W"], rtol=1e-10)
    mean, variance = expected["mean and variance of b"]
    deviation = (2 * variance / 2000) ** 0.5
    assert abs(mean - ours["b"].mean()) < 5 * deviation
    assert ours["b"].var() == pytest.approx(variance, rel=0.2)


def in_pytabkit(monkeypatch, first):
    import torch

    pytabkit = import_pytabkit(monkeypatch)
    data, nn = pytabkit("data.data"), pytabkit("nn_models.nn")
    torch.manual_seed(0)
    table = data.DictDataset(
        {"x_cont": torch.tensor(X)}, {"x_cont": data.TensorInfo(feat_shape=[3])}
    )
    monkeypatch.setattr(torch, "randn", lambda *_, **__: torch.tensor(first["W"]))
    settings = {"weight_param": "ntk", "weight_init_mode": "std"}
    weights, after = nn.WeightFitter(2000, **settings).fit_transform(table)
    z = after.tensors["x_cont"].detach()
    theirs = nn.BiasFitter(bias_init_mode="he+5").heplus_bias(z, 5).numpy()
    moments = [float(theirs.mean()), float(theirs.var())]
    return {"W": summary(weights.weight.detach()), "mean and variance of b": moments}


@pytest.mark.parametrize("backend", ["torch", "array_api_strict"], indirect=True)
def test_the_same_bits_everywhere(backend):
    ours, theirs = (
        initialized(MLP_TD, X, library, "reproducible", "float32")
        for library in (get_backend("numpy"), backend)
    )
    for one, other in zip(ours, theirs, strict=True):
        for name, array in one.items():
            assert array.tobytes() == backend.to_numpy(other[name]).tobytes(), name
