"""What a network keeps between predictions: seen in time and in memory, never in a result."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, LeakyReLU, first_state, get_backend, training_step
from pluggable_mlp.network import prediction_cache

NUMPY = get_backend("numpy")
X = np.linspace(-1.0, 1.0, 12, dtype="float32").reshape(4, 3)
LIBRARIES = ("numpy", "torch", "jax")
pytestmark = pytest.mark.usefixtures("nothing_kept")


def swapped(parameters):
    return [{"W": layer["b"], "b": layer["W"]} for layer in parameters]


def renamed(parameters):
    return [{"V": layer["W"], "b": layer["b"]} for layer in parameters]


def shortened(parameters):
    return parameters[:1]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_network_that_has_predicted_can_be_copied(library):
    pytest.importorskip(library)
    backend = get_backend(library)
    mlp = MLP([3, 4, 2])
    parameters, x = mlp.initialize(seed=0, backend=backend), backend.asarray(X)
    expected = backend.to_numpy(mlp.predict(parameters, x))
    for other in (copy.copy(mlp), copy.deepcopy(mlp), pickle.loads(pickle.dumps(mlp))):
        assert other == mlp
        np.testing.assert_array_equal(backend.to_numpy(other.predict(parameters, x)), expected)


class Scaled(MLP):
    """A network that its user may change."""

    factor = 1.0

    def forward(self, xp, parameters, x, rng=None):
        z, backward = super().forward(xp, parameters, x, rng)
        return z * self.factor, backward


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_copy_predicts_by_itself(library):
    """Not by what was compiled for the original."""
    pytest.importorskip(library)
    backend = get_backend(library)
    mlp = Scaled([3, 4, 2])
    parameters, x = mlp.initialize(seed=0, backend=backend), backend.asarray(X)
    expected = 2.0 * backend.to_numpy(mlp.logits(parameters, x))
    other = copy.copy(mlp)
    object.__setattr__(other, "factor", 2.0)
    np.testing.assert_allclose(backend.to_numpy(other.logits(parameters, x)), expected, rtol=1e-6)


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_patched_activation_is_called(library, monkeypatch):
    """By a network that was traced, an equal one and one that was not, until it is undone."""
    pytest.importorskip(library)
    backend, calls = get_backend(library), []
    x = backend.asarray(X)
    names = ["leaky_relu", "leaky_relu", ["leaky_relu"]]
    networks = [MLP([3, 4, 2], activation=name) for name in names]
    parameters = networks[0].initialize(seed=0, backend=backend)
    usual = [backend.to_numpy(networks[0].logits(parameters, x)) for _ in range(4)][-1]

    def doubled(self, xp, x):
        calls.append(1)
        return 2.0 * x, None

    with monkeypatch.context() as patch:
        patch.setattr(LeakyReLU, "__call__", doubled)
        for count in range(1, 5):
            for mlp in networks:
                assert not np.array_equal(backend.to_numpy(mlp.logits(parameters, x)), usual)
            assert len(calls) == 3 * count
    for mlp in networks:
        np.testing.assert_array_equal(backend.to_numpy(mlp.logits(parameters, x)), usual)


@pytest.mark.parametrize("library", LIBRARIES)
def test_predictions_like_the_last_skip_the_checks_and_others_have_them(library, monkeypatch):
    pytest.importorskip(library)
    backend, strict = get_backend(library), get_backend("array_api_strict")
    mlp, x = MLP([3, 4, 2]), backend.asarray(X)
    parameters = mlp.initialize(seed=0, backend=backend)
    expected = [backend.to_numpy(mlp.logits(parameters, x)) for _ in range(3)][-1]
    counts, checked = [], prediction_cache.checked_inputs

    def counting(*arguments):
        counts.append(1)
        return checked(*arguments)

    monkeypatch.setattr(prediction_cache, "checked_inputs", counting)
    others = mlp.initialize(seed=0, backend=backend)
    np.testing.assert_array_equal(backend.to_numpy(mlp.logits(others, x)), expected)
    assert not counts
    for wrong, error, message in (
        (swapped(parameters), ValueError, "parameters"),
        (renamed(parameters), ValueError, "parameters"),
        (shortened(parameters), ValueError, "parameters"),
        (mlp.initialize(seed=0, backend=strict), TypeError, "array_api_strict"),
        (None, TypeError, "parameters is a NoneType"),
    ):
        with pytest.raises(error, match=message):
            mlp.logits(wrong, x)
    for wrong, error, message in (
        (backend.asarray(X.T), ValueError, "x has shape"),
        (backend.asarray(X.astype("float64")), ValueError, r"x is (torch\.)?float64"),
        (strict.asarray(X), TypeError, "array_api_strict"),
        (X.tolist(), TypeError, "x is a builtins.list"),
    ):
        with pytest.raises(error, match=message):
            mlp.logits(parameters, wrong)
    assert len(counts) == 9


def as_integers(b):
    if isinstance(b, np.ndarray):
        b.dtype = "int32"
    else:
        b.data = b.view(get_backend("torch").xp.int32)


def as_a_row(b):
    if isinstance(b, np.ndarray):
        b.shape = (1, *b.shape)
    else:
        b.data = b[None]


@pytest.mark.filterwarnings("ignore:Setting the:DeprecationWarning")
@pytest.mark.parametrize("change", [as_integers, as_a_row])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_parameter_that_was_changed_in_place_is_checked_again(library, change):
    pytest.importorskip(library)
    backend = get_backend(library)
    mlp, x, targets = MLP([3, 4, 2]), backend.asarray(X), backend.asarray([0, 1, 0, 1])
    state = first_state(mlp, SGD(), mlp.initialize(seed=0, backend=backend))
    for _ in range(4):
        mlp.logits(state.parameters, x)
        training_step(mlp, SGD(), state, x, targets)
    change(state.parameters[0]["b"])
    with pytest.raises(ValueError, match="parameters"):
        mlp.logits(state.parameters, x)
    with pytest.raises(ValueError, match="parameters"):
        training_step(mlp, SGD(), state, x, targets)


def test_threads_may_predict_with_one_network():
    mlp = MLP([3, 4, 2])
    parameters = [mlp.initialize(seed=seed, backend=NUMPY) for seed in range(4)]
    expected = [mlp.logits(layers, X) for layers in parameters]

    def same(place):
        return all((mlp.logits(parameters[place], X) == expected[place]).all() for _ in range(200))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(same, range(4)))


@pytest.mark.parametrize("library", ["numpy", "torch", "array_api_strict"])
def test_reproducible_predictions_that_are_traced_keep_their_bits(library, monkeypatch):
    pytest.importorskip(library)
    backend, mlp = get_backend(library), MLP([3, 4, 2], activation="gelu", norm="layer")
    every = [mlp.initialize(seed=seed, backend=backend) for seed in range(3)]
    tiny = X.copy()
    tiny[1:] = [[1e-40, -0.0, -1e-39], [np.nan, 1.0, 1.0], [1e-38, 100.0, 0.0]]
    cases = [(parameters, backend.asarray(x)) for parameters in every for x in (X, tiny)]
    new = [MLP([3, 4, 2], activation="gelu", norm="layer") for _ in cases]
    monkeypatch.setattr(prediction_cache, "SMALL", 0)  # none of these is traced
    expected = [
        each.logits(*case, arithmetic="reproducible") for each, case in zip(new, cases, strict=True)
    ]
    monkeypatch.undo()
    found = [mlp.logits(*case, arithmetic="reproducible") for case in cases]
    known = "logits", "reproducible", type(cases[0][1])
    assert known in mlp._predictions
    assert not any(known in each._predictions for each in new)
    for one, other in zip(found, expected, strict=True):
        assert backend.to_numpy(one).tobytes() == backend.to_numpy(other).tobytes()
