"""Two devices of CuPy: who computes where, and what is current afterwards."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, MLPClassifier, MLPRegressor, first_state, get_backend
from pluggable_mlp import training_step as take_step

cupy = pytest.importorskip("cupy")

pytestmark = pytest.mark.usefixtures("cupy_devices")

ARITHMETICS = ("native", "reproducible")
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(48, 5)).astype("float32")
Y = GENERATOR.integers(0, 3, 48)
NETWORK = MLP([5, 4, 3])


def on_the_second(*arrays):
    second = get_backend("cupy:1")
    moved = [second.asarray(array) for array in arrays]
    assert current() == 0
    return moved


def current():
    return cupy.cuda.Device().id


def on_host(value):
    """The values of what a door returned; its arrays must be on the second device."""
    if isinstance(value, dict):
        return {name: on_host(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [on_host(each) for each in value]
    if isinstance(value, cupy.ndarray):
        assert value.device.id == 1
        return value.get().tolist()
    return value


def after_a_step(network, parameters, x, y, **settings):
    optimizer = SGD(0.1, momentum=0.9)
    state = first_state(network, optimizer, parameters, **settings)
    return take_step(network, optimizer, state, x, y, **settings)


DOORS = {
    "logits": lambda mlp, p, x, y, **s: mlp.logits(p, x, **s),
    "predict": lambda mlp, p, x, y, **s: mlp.predict(p, x, **s),
    "predict_proba": lambda mlp, p, x, y, **s: mlp.predict_proba(p, x, **s),
    "loss_and_gradients": lambda mlp, p, x, y, **s: mlp.loss_and_gradients(p, x, y, **s),
    "training_step": after_a_step,
}


def in_a_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("run", [lambda function: function(), in_a_thread], ids=["here", "thread"])
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("door", DOORS)
def test_networks_compute_where_their_arrays_are(door, arithmetic, run):
    start = NETWORK.initialize(seed=0, backend=get_backend("numpy"))
    names = [[*layer] for layer in start]
    arrays = [layer[name] for layer, of in zip(start, names, strict=True) for name in of]
    expected = DOORS[door](NETWORK, start, X, Y, arithmetic=arithmetic)
    x, y, *there = on_the_second(X, Y, *arrays)
    there = iter(there)
    parameters = [{name: next(there) for name in of} for of in names]
    found = run(lambda: DOORS[door](NETWORK, parameters, x, y, arithmetic=arithmetic))
    assert current() == 0, "the caller's device is current again"
    if arithmetic == "reproducible":
        assert str(on_host(found)) == str(values(expected))
    else:
        on_host(found)


def test_downloads_follow_what_their_own_device_does(monkeypatch):
    """They are copied on the current device's stream, which does not wait for another device."""
    (x,), copy, seen = on_the_second(X), cupy.asnumpy, []
    monkeypatch.setattr(cupy, "asnumpy", lambda x: seen.append(current()) or copy(x))
    second = get_backend("cupy:1")
    assert np.array_equal(second.to_numpy(x), X)
    assert seen == [1]


def values(value):
    if isinstance(value, dict):
        return {name: values(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [values(each) for each in value]
    return value.tolist() if hasattr(value, "tolist") else value


SETTINGS = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0, "batch_size": 16}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize(
    ("kind", "methods"),
    [
        (MLPClassifier, ("predict", "predict_proba", "predict_log_proba")),
        (MLPRegressor, ("predict",)),
    ],
)
def test_estimators_compute_where_their_data_are(kind, methods, arithmetic):
    x, y = on_the_second(X, Y)
    model = kind(**SETTINGS, arithmetic=arithmetic)
    known = kind(**SETTINGS, arithmetic=arithmetic).fit(X, Y)
    for train_it in (model.fit, model.partial_fit):
        train_it(x, y)
        assert current() == 0
    known.partial_fit(X, Y)
    assert model.coefs_[0].device.id == 1
    for method in methods:
        found = getattr(model, method)(X=x)
        assert current() == 0
        np.testing.assert_allclose(on_host(found), getattr(known, method)(X), rtol=1e-4, atol=1e-5)
    assert model.score(x, y) == pytest.approx(known.score(X, Y), abs=1e-5)
    assert current() == 0


PROGRAM = """
import warnings
warnings.simplefilter("ignore")
import cupy
import numpy as np
from pluggable_mlp import MLPClassifier

X, y = np.random.default_rng(0).normal(size=(48, 5)).astype("float32"), np.arange(48) % 3
with cupy.cuda.Device(1):
    there = cupy.asarray(X), cupy.asarray(y)
cupy.cuda.Device(0).use()
model = MLPClassifier((4,), max_iter=2, batch_size=16).fit(*there)
assert model.coefs_[0].device.id == 1, model.coefs_[0].device
assert cupy.cuda.Device().id == 0
"""


def test_the_first_call_of_a_process_computes_where_its_data_are():
    """Before a backend of CuPy was made."""
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
