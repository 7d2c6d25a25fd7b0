"""The door of training: what it gives, what it takes, and what it refuses."""

import math
import tracemalloc

import array_api_strict as strict
import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend, make_optimizer, make_schedule, train
from tests.together import together

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


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("form", ["rows", "column", "indices"])
def test_the_same_classes_train_alike_in_every_form(form, dtype):
    labels = {"rows": np.eye(2)[LABELS], "column": LABELS[:, None], "indices": LABELS}[form]
    more = {"backend": NUMPY, "epochs": 2, "class_weight": [1.0, 3.0]}
    if form != "rows" and dtype == "float32":
        with pytest.raises(
            ValueError, match=r"targets are float32 of shape \(8,\), expected integers"
        ):
            train(MLP_342, PIXELS / 256, labels.astype(dtype), **more)
        return
    expected = train(MLP_342, PIXELS / 256, LABELS, **more)
    assert bits(train(MLP_342, PIXELS / 256, labels.astype(dtype), **more)) == bits(expected)


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


def test_it_starts_where_it_is_told():
    """One epoch and another from its end are two, where nothing is shuffled."""
    settings = {"backend": NUMPY, "dtype": "float64", "shuffle": False, "batch_size": 3}
    x = PIXELS / 256
    first = train(MLP_342, x, LABELS, epochs=1, **settings)
    second = train(MLP_342, x, LABELS, epochs=1, parameters=first.parameters, **settings)
    both = train(MLP_342, x, LABELS, epochs=2, **settings)
    assert bits(second)[1] == bits(both)[1]
    assert first.history + second.history == both.history


def test_each_epoch_is_told():
    epochs = []
    result = train(
        MLP_342, PIXELS / 256, LABELS, backend=NUMPY, epochs=3, callbacks=[epochs.append]
    )
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert [epoch.train_loss for epoch in epochs] == result.history


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs is 0, expected an integer of at least 1"),
        ({"batch_size": 0}, ValueError, "batch_size is 0, expected an integer of at least 1"),
        ({"dtype": "float16"}, ValueError, "dtype is 'float16', expected 'float32' or 'float64'"),
        ({"arithmetic": "exact"}, ValueError, "arithmetic is 'exact', expected one of native"),
        ({"seed": -1}, ValueError, "seed is -1, expected"),
        ({"scale": 1 / 256}, ValueError, "inputs are float64 with scale=.*, expected uint8"),
        ({"inputs": np.zeros((8, 4))}, ValueError, r"inputs has shape \(8, 4\), expected .* 3\)"),
        ({"inputs": np.zeros(3)}, ValueError, r"inputs has shape \(3,\), expected \(examples, 3\)"),
        ({"inputs": np.full((8, 3), np.nan)}, ValueError, "inputs hold NaN, infinity or"),
        ({"inputs": np.full((8, 3), 1e39)}, ValueError, "inputs hold .* beyond float32"),
        ({"inputs": np.zeros((0, 3))}, ValueError, r"inputs has shape \(0, 3\), expected"),
        ({"targets": LABELS[:5]}, ValueError, r"targets have shape \(5,\), expected \(8,\)"),
        ({"targets": LABELS + 1}, ValueError, "targets run from 1 to 2, expected 0 to 1"),
        ({"inputs": strict.zeros((8, 3))}, TypeError, "array_api_strict.* numpy"),
        ({"targets": strict.zeros(8, dtype=strict.int64)}, TypeError, "array_api_strict.* numpy"),
        (
            {"parameters": MLP([3, 2]).initialize(seed=0, backend=NUMPY)},
            ValueError,
            r"parameters is a list of 1, expected 2 dicts of arrays for a network of \(3, 4, 2\)",
        ),
        (
            {"parameters": MLP_342.initialize(seed=0, backend=get_backend("array_api_strict"))},
            TypeError,
            "parameters is an array of array_api_strict, but inputs is an array of numpy",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes, error, message):
    arguments = {"inputs": PIXELS / 256, "targets": LABELS, "backend": NUMPY, **changes}
    with pytest.raises(error, match=message):
        train(MLP_342, **arguments)


def test_parameters_of_another_dtype_are_refused():
    double = MLP_342.initialize(seed=0, backend=NUMPY, dtype="float64")
    with pytest.raises(ValueError, match=r"float64.*float32|float32.*float64"):
        train(MLP_342, PIXELS / 256, LABELS, backend=NUMPY, parameters=double)


def test_two_devices_in_one_call_are_named():
    backend = get_backend("array_api_strict:device1")
    elsewhere = MLP_342.initialize(seed=0, backend=get_backend("array_api_strict:device2"))
    with pytest.raises(ValueError, match=r"device2.*device1"):
        train(MLP_342, PIXELS / 256, LABELS, backend=backend, parameters=elsewhere)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore::pluggable_mlp.PrecisionWarning")  # told of W's small numbers
def test_denormal_parameters_count_as_zero_where_bits_are_promised(dtype):
    """Some libraries take them for 0 whatever they are told; all others are kept, bit by bit."""
    smallest = np.finfo(dtype).smallest_normal
    kept = np.asarray([[smallest, -1.5], [0.1, 3e-33]], dtype=dtype)
    start = [{"W": kept, "b": np.asarray([smallest / 2, -smallest / 2], dtype=dtype)}]
    still = {"optimizer": SGD(0.0), "epochs": 1, "dtype": dtype, "arithmetic": "reproducible"}
    x, labels = np.zeros((4, 2)), np.asarray([0, 1, 1, 0])
    found = train(MLP([2, 2]), x, labels, backend=NUMPY, parameters=start, **still).parameters
    assert found[0]["W"].tobytes() == kept.tobytes()
    assert found[0]["b"].tobytes() == np.zeros(2, dtype=dtype).tobytes()
    assert start[0]["b"][0] > 0.0


@together(
    "changed, error, words",
    [
        ({"backend": "numpy"}, TypeError, "backend is 'numpy', expected one such as get_backend"),
        ({"optimizer": "sgd"}, TypeError, "optimizer is 'sgd', expected one such as SGD"),
        ({"optimizer": SGD}, TypeError, "optimizer is <class .*SGD'>, expected one such as SGD"),
        ({"backend": type(NUMPY)}, TypeError, "backend is <class .*, expected one such as get"),
        ({"mlp": [3, 2]}, TypeError, r"mlp is \[3, 2\], expected one such as MLP\(\["),
        ({"sample_weight": [1.0]}, ValueError, r"float32 of shape \(1,\), expected float32 of sh"),
        ({"epochs": 1.5}, ValueError, "epochs is 1.5"),
        ({"shuffle": "no"}, ValueError, "shuffle is 'no', expected True or False"),
        ({"callbacks": 3}, TypeError, "callbacks is 3, expected a list of functions of an Epoch"),
        ({"callbacks": [3]}, TypeError, r"callbacks is \[3\], expected a list of functions"),
        ({"class_weight": {0: "much"}}, ValueError, "class_weight is .*, expected 2 finite numb"),
        ({"targets": [[0, 1, 0, 1]] * 2}, ValueError, r"shape \(2, 4\), expected \(4,\) or \(4, 2"),
        ({"targets": [[0, 1, 0, 1]] * 4}, ValueError, r"shape \(4, 4\), expected \(4,\) or \(4, 2"),
        ({"sample_weight": [[1.0] * 4] * 2}, ValueError, r"shape \(2, 4\), expected \(4,\)"),
        (
            {"mlp": MLP([3, 1], loss="squared_error"), "targets": [[0.5] * 4] * 4},
            ValueError,
            r"targets have shape \(4, 4\), expected \(4,\) or \(4, 1\)",
        ),
        ({"class_weight": 3}, ValueError, "class_weight is 3, expected 'balanced', a mapping or a"),
        (
            {"inputs": np.ones((4, 3), dtype=np.uint8), "scale": "1/256"},
            ValueError,
            "scale is '1/256', expected a finite number above 0",
        ),
        (
            {"inputs": np.ones((4, 3), dtype=np.uint8), "scale": float("nan")},
            ValueError,
            "scale is nan, expected a finite number above 0",
        ),
        (
            {"inputs": np.ones((4, 3), dtype=np.int64)},
            ValueError,
            "inputs are int64, expected floats",
        ),
        ({"inputs": np.ones((4, 3), dtype=np.uint8)}, ValueError, "uint8 with scale=1/256"),
    ],
)
def test_likely_slips_are_named(changed, error, words):
    arguments = {
        "mlp": MLP([3, 2]),
        "inputs": np.ones((4, 3)),
        "targets": np.zeros(4, dtype=np.int64),
        "backend": get_backend("numpy"),
    } | changed
    with pytest.raises(error, match=words):
        train(**arguments)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
def test_tensors_that_require_gradients_leave_no_graph(optimizer):
    torch = pytest.importorskip("torch")
    parameters = MLP_342.initialize(seed=0, backend=get_backend("torch"))
    for array in (of[name] for of in parameters for name in of):
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
    assert not any(array.requires_grad for of in result.parameters for array in of.values())
    assert all(array.requires_grad for of in parameters for array in of.values())


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, -1])
def test_large_inputs_are_checked_in_little_memory(place):
    """Windows of a megabyte are a gigabyte of inputs; half of it would not do for magnitudes."""
    numbers = np.zeros(2**20 + 255, "float32")
    numbers[place] = np.nan  # in the first row alone, or in the last
    inputs = np.lib.stride_tricks.sliding_window_view(numbers, 256)
    tracemalloc.start()
    with pytest.raises(ValueError, match="inputs hold NaN"):
        train(MLP([256, 2, 2]), inputs, np.zeros(2**20, "int64"), backend=get_backend("numpy"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < inputs.nbytes // 2
