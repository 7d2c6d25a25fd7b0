"""The door of training: what it gives, what it takes, and what it refuses."""

import math
from contextlib import nullcontext

import array_api_strict as strict
import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend, make_optimizer, make_schedule, train
from pluggable_mlp.arrays.shortcuts import backend_context
from pluggable_mlp.training.examples import make_examples

pytestmark = pytest.mark.as_user

NUMPY = get_backend("numpy")
PIXELS = np.arange(24, dtype=np.uint8).reshape(8, 3) * 10
LABELS = np.asarray([0, 1, 0, 1, 1, 1, 0, 0])
MLP_342 = MLP([3, 4, 2])


def bits(training):
    arrays = [array for layer in training.parameters for array in layer.values()]
    return training.history, [np.asarray(array).tobytes() for array in arrays]


def test_it_learns(backend):
    """Two clouds, ten standard deviations apart: all are right, with a tenth of a coin's loss."""
    rng = np.random.default_rng(0)
    labels = np.asarray([0, 1] * 50)
    x = rng.normal(size=(100, 2)) + 10.0 * labels[:, None] - 5.0
    mlp = MLP([2, 8, 2], activation="tanh")
    result = train(mlp, x, labels, backend=backend, epochs=5, batch_size=10)
    assert len(result.history) == 5
    assert result.history[-1] < 0.1 * math.log(2)
    logits = backend.to_numpy(mlp.logits(result.parameters, backend.asarray(x, dtype="float32")))
    assert (logits.argmax(axis=1) == labels).all()


def test_pixels_and_their_values_train_alike():
    """Scaling by a power of two is exact: the same bits."""
    scaled = train(MLP_342, PIXELS, LABELS, backend=NUMPY, scale=1 / 256, epochs=2)
    floats = train(MLP_342, PIXELS / 256, LABELS, backend=NUMPY, epochs=2)
    assert bits(scaled) == bits(floats)


SPELT_OUT = {
    "parameters": MLP_342.initialize(seed=0, backend=NUMPY, dtype="float32"),
    "optimizer": SGD(learning_rate=0.1, momentum=0.0, nesterov=False),
    "epochs": 10,
    "batch_size": 128,
    "dtype": "float32",
    "arithmetic": "native",
    "seed": 0,
    "shuffle": True,
    "scale": None,
    "sample_weight": None,
    "class_weight": None,
}
OTHERWISE = {
    "parameters": MLP_342.initialize(seed=1, backend=NUMPY, dtype="float32"),
    "optimizer": SGD(0.05),
    "epochs": 9,
    "batch_size": 64,
    "arithmetic": "reproducible",
    "seed": 1,
    "shuffle": False,
    "sample_weight": np.arange(300),
    "class_weight": [1.0, 2.0],
}


def test_the_defaults_are_what_they_say():
    """300 examples are three batches: each argument shows in the bits once it is another."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(300, 3)), rng.integers(0, 2, size=300)

    def trained(**arguments):
        return bits(train(MLP_342, x, labels, backend=NUMPY, **arguments))

    assert trained() == trained(**SPELT_OUT)
    for name, value in OTHERWISE.items():
        assert trained(**SPELT_OUT | {name: value}) != trained(), name
    double = train(MLP_342, x, labels, backend=NUMPY, dtype="float64", epochs=1).parameters
    assert double[0]["W"].dtype == np.float64


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_the_seed_is_that_of_the_initial_parameters(seed):
    still = {"optimizer": SGD(0.0), "epochs": 1, "seed": seed}
    found = train(MLP_342, PIXELS / 256, LABELS, backend=NUMPY, **still).parameters
    expected = MLP_342.initialize(seed=seed, backend=NUMPY)
    for one, other in zip(found, expected, strict=True):
        assert all((one[name] == other[name]).all() for name in other)


@pytest.mark.parametrize(
    ("threshold", "rates"),
    [(0.9, (0.125, 0.125, 0.0625, 0.03125)), (0.0, (0.125, 0.125, 0.125, 0.0625))],
)
def test_plateau_hears_of_every_epochs_loss(threshold, rates):
    """No loss falls to a tenth of the first; but the second is smaller, and the third larger."""
    plateau = make_schedule("plateau", 0.125, factor=0.5, patience=0, threshold=threshold)
    x, settings = PIXELS / 256, {"backend": NUMPY, "epochs": 4, "batch_size": 3}
    steps = math.ceil(len(x) / 3)
    found = train(MLP_342, x, LABELS, optimizer=SGD(plateau), **settings)
    expected = train(MLP_342, x, LABELS, optimizer=SGD(lambda t: rates[t // steps]), **settings)
    assert bits(found) == bits(expected)


@pytest.mark.parametrize(("answer", "epochs"), [(True, 2), (False, 5), (None, 5)])
def test_callback_that_returns_true_stops_training(answer, epochs):
    """After the second epoch; the other callbacks are called before, and the result is its own."""
    before, after = [], []

    def ask(epoch):
        return answer if epoch.epoch == 2 else None

    settings = {"backend": NUMPY, "seed": 3}
    callbacks = [before.append, ask, after.append]
    found = train(MLP_342, PIXELS / 256, LABELS, epochs=5, callbacks=callbacks, **settings)
    assert [epoch.epoch for epoch in before] == list(range(1, epochs + 1))
    assert after == before
    assert bits(found) == bits(train(MLP_342, PIXELS / 256, LABELS, epochs=epochs, **settings))


def test_a_callback_that_changes_its_state_changes_no_training(backend):
    def spoil(epoch):
        epoch.state.slots.clear()
        for layer in (*epoch.state.parameters, *epoch.parameters):
            layer.clear()

    settings = {"backend": backend, "epochs": 3, "optimizer": make_optimizer("adam")}
    alone = train(MLP_342, PIXELS / 256, LABELS, **settings)
    assert train(MLP_342, PIXELS / 256, LABELS, callbacks=[spoil], **settings).history == (
        alone.history
    )


def test_callback_that_returns_something_else_raises():
    settings = {"backend": NUMPY, "callbacks": [lambda epoch: epoch.train_loss]}
    with pytest.raises(TypeError, match=r"returned 0\.\d+, expected True to stop training"):
        train(MLP_342, PIXELS / 256, LABELS, **settings)


def test_an_average_is_what_is_trained_for():
    """After t steps (1 - d) sum d^(t - i) w_i / (1 - d^t), of the parameters w_i of plain steps."""
    d, x = 0.75, PIXELS / 256
    settings = {"backend": NUMPY, "dtype": "float64", "shuffle": False}
    plain, averaged = [], []
    for epochs, optimizer in (
        (plain, SGD(0.5)),
        (averaged, make_optimizer("sgd", learning_rate=0.5, average=d)),
    ):
        train(
            MLP_342, x, LABELS, optimizer=optimizer, epochs=4, callbacks=[epochs.append], **settings
        )
    for t, epoch in enumerate(averaged, start=1):
        for index, layer in enumerate(epoch.parameters):
            for name, array in layer.items():
                steps = [plain[i].parameters[index][name] for i in range(t)]
                expected = sum((1 - d) * d ** (t - 1 - i) * w for i, w in enumerate(steps))
                # Some ten roundings of numbers of the order of 1.
                np.testing.assert_allclose(array, expected / (1 - d**t), rtol=0.0, atol=1e-15)
    assert averaged[-1].train_loss == plain[-1].train_loss


NARROW = MLP([3, 2]).initialize(seed=0, backend=NUMPY)
DOUBLE = MLP_342.initialize(seed=0, backend=NUMPY, dtype="float64")
ELSEWHERE = MLP_342.initialize(seed=0, backend=get_backend("array_api_strict"))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"mlp": [3, 2]}, TypeError, r"mlp is \[3, 2\], expected one such as MLP\(\["),
        ({"backend": "numpy"}, TypeError, "backend is 'numpy', expected one such as get_backend"),
        ({"optimizer": SGD}, TypeError, "optimizer is <class .*SGD'>, expected one such as SGD"),
        ({"epochs": 1.5}, ValueError, "epochs is 1.5, expected an integer of at least 1"),
        ({"batch_size": 0}, ValueError, "batch_size is 0, expected an integer of at least 1"),
        ({"dtype": "float16"}, ValueError, "dtype is 'float16', expected 'float32' or 'float64'"),
        ({"arithmetic": "exact"}, ValueError, "arithmetic is 'exact', expected one of native"),
        ({"seed": -1}, ValueError, "seed is -1, expected"),
        ({"shuffle": "no"}, ValueError, "shuffle is 'no', expected True or False"),
        ({"callbacks": [3]}, TypeError, r"callbacks is \[3\], expected a list of functions"),
        ({"scale": 1 / 256}, ValueError, "inputs are float64 with scale=.*, expected uint8"),
        ({"inputs": PIXELS}, ValueError, "uint8 with scale=1/256"),
        ({"inputs": PIXELS, "scale": "1/256"}, ValueError, "scale is '1/256', expected a finite"),
        ({"inputs": PIXELS.astype("int64")}, ValueError, "inputs are int64, expected floats"),
        ({"inputs": np.zeros((8, 4))}, ValueError, r"inputs has shape \(8, 4\), expected .* 3\)"),
        ({"inputs": np.zeros((0, 3))}, ValueError, r"inputs has shape \(0, 3\), expected"),
        ({"inputs": np.full((8, 3), np.nan)}, ValueError, "inputs hold NaN, infinity or"),
        ({"inputs": np.full((8, 3), 1e39)}, ValueError, "inputs hold .* beyond float32"),
        ({"inputs": strict.zeros((8, 3))}, TypeError, "array_api_strict.* numpy"),
        ({"targets": LABELS[:5]}, ValueError, r"targets have shape \(5,\), expected \(8,\)"),
        ({"targets": LABELS + 1}, ValueError, "targets run from 1 to 2, expected 0 to 1"),
        ({"targets": [[0] * 8] * 8}, ValueError, r"shape \(8, 8\), expected \(8,\) or \(8, 2\)"),
        ({"sample_weight": [1.0]}, ValueError, r"float32 of shape \(1,\), expected float32 of sh"),
        ({"class_weight": 3}, ValueError, "class_weight is 3, expected 'balanced', a mapping or a"),
        ({"parameters": NARROW}, ValueError, r"parameters is a list of 1, expected 2 dicts"),
        ({"parameters": DOUBLE}, ValueError, r"float64.*float32|float32.*float64"),
        ({"parameters": ELSEWHERE}, TypeError, "parameters is an array of array_api_strict, but "),
    ],
)
def test_what_does_not_fit_is_refused(changes, error, message):
    arguments = {"mlp": MLP_342, "inputs": PIXELS / 256, "targets": LABELS, "backend": NUMPY}
    with pytest.raises(error, match=message):
        train(**arguments | changes)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_single_input_that_is_not_finite_is_refused(backend, wrong):
    """Nor one of so many that XLA divides their minimum, which leaves out NaN."""
    inputs = np.zeros((333, 17), "float32")
    inputs[-1, -1] = wrong
    mlp = MLP([17, 17], loss="squared_error")
    X, zeros = backend.asarray(inputs), backend.asarray(np.zeros((333, 17), "float32"))
    for x, y, name in ((X, zeros, "inputs"), (zeros, X, "targets")):
        with pytest.raises(ValueError, match=f"{name} hold NaN"):
            train(mlp, x, y, backend=backend)


@pytest.mark.parametrize(("largest", "fits"), [(3.4e38, True), (-3.5e38, False), (3.5e38, False)])
def test_inputs_up_to_the_largest_float32_are_taken(backend, largest, fits):
    inputs = np.zeros((333, 17))
    inputs[-1, -1] = largest
    X = backend.asarray(inputs, "float32" if fits else "float64")
    check = nullcontext() if fits else pytest.raises(ValueError, match="numbers beyond float32")
    with check, backend_context(backend):
        make_examples(MLP([17, 2]), X, np.zeros(333, int), backend=backend, dtype="float32")


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
def test_tensors_that_require_gradients_leave_no_graph(optimizer):
    torch = pytest.importorskip("torch")
    parameters = MLP_342.initialize(seed=0, backend=get_backend("torch"))
    for array in (layer[name] for layer in parameters for name in layer):
        array.requires_grad_()
    inputs = torch.asarray(PIXELS / 256, dtype=torch.float32).requires_grad_()
    weights = torch.ones(8).requires_grad_()
    result = train(
        MLP_342,
        inputs,
        LABELS,
        sample_weight=weights,
        backend=get_backend("torch"),
        parameters=parameters,
        optimizer=make_optimizer(optimizer),
        epochs=2,
    )
    assert not any(array.requires_grad for layer in result.parameters for array in layer.values())
    assert all(array.requires_grad for layer in parameters for array in layer.values())
