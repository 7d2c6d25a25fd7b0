"""Denormal numbers, which some devices take for 0, come in by every door and change no bit."""

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend, train
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.training.examples import make_examples

# Most data here have two columns that products take for 0, which causes a warning.
pytestmark = pytest.mark.filterwarnings("ignore::pluggable_mlp.PrecisionWarning")
NUMPY = get_backend("numpy")
# JAX compiles each operation for each shape: all layers are as wide, all batches as long.
SIZES, COUNT, BATCH = [6, 6, 6], 24, 8
AGES = np.float32(0.9) ** np.arange(0, 1200, 50, dtype="float32")
"""Weights of (24,) examples: half of them are denormal, or 0 where it is too small for one."""


def data(dtype="float32"):
    """Inputs, class labels and rows of numbers, all with some denormal numbers among them."""
    rng = np.random.default_rng(0)
    tiny = float(np.finfo(dtype).smallest_normal) * rng.uniform(0.0, 1.5, size=(COUNT, 1))
    inputs = rng.normal(size=(COUNT, SIZES[0]))
    inputs[:, :2] = tiny
    numbers = rng.normal(size=(COUNT, SIZES[-1]))
    numbers[:, :1] = tiny
    return inputs.astype(dtype), rng.integers(0, 6, COUNT), numbers.astype(dtype)


def trained(backend, mlp, inputs, targets, **settings):
    """The losses of two epochs and the bytes of the trained parameters."""
    result = train(
        mlp,
        inputs,
        targets,
        backend=backend,
        **{
            "arithmetic": "reproducible",
            "epochs": 2,
            "batch_size": BATCH,
            "shuffle": False,
            **settings,
        },
    )
    arrays = [backend.to_numpy(layer[name]) for layer in result.parameters for name in layer]
    return [loss.hex() for loss in result.history], [array.tobytes() for array in arrays]


@pytest.mark.parametrize(
    "settings",
    [
        {"sample_weight": AGES},
        {"sample_weight": AGES, "class_weight": [1e30] * 6},
        {"sample_weight": AGES.astype("float64"), "dtype": "float32"},
        {"class_weight": [1e-40] + [1.0] * 5},
        {"dtype": "float64"},
    ],
    ids=["ages", "ages and classes", "ages narrowed", "classes", "widened"],
)
def test_a_run_has_the_same_bits(backend, settings):
    inputs, labels, _ = data()
    mlp = MLP(SIZES, activation="relu")
    assert trained(backend, mlp, inputs, labels, **settings) == trained(
        NUMPY, mlp, inputs, labels, **settings
    )


@pytest.mark.parametrize("loss", [name for name in LOSSES if LOSSES[name].targets == "numbers"])
def test_targets_have_the_same_bits(backend, loss):
    inputs, _, numbers = data()
    mlp = MLP(SIZES, loss=loss)
    assert trained(backend, mlp, inputs, numbers) == trained(NUMPY, mlp, inputs, numbers)


@pytest.mark.parametrize("norm", [None, "layer", "batch"])
def test_a_users_parameters_have_the_same_bits(backend, norm):
    """Without a step of training: as they are given to the network's own methods."""
    mlp = MLP(SIZES, activation="relu", norm=norm)
    inputs, labels, _ = data()
    given = mlp.initialize(seed=0, backend=NUMPY)
    tiny = [
        {name: array if name == "W" else np.full_like(array, 3e-39) for name, array in of.items()}
        for of in given
    ]

    def bits(place):
        parameters = [{name: place.asarray(a) for name, a in of.items()} for of in tiny]
        x, y, w = place.asarray(inputs), place.asarray(labels), place.asarray(AGES)
        logits = mlp.logits(parameters, x, arithmetic="reproducible")
        loss, gradients = mlp.loss_and_gradients(
            parameters, x, y, sample_weight=w, arithmetic="reproducible"
        )
        arrays = [logits, loss, *(g for of in gradients for g in of.values())]
        return [place.to_numpy(array).tobytes() for array in arrays]

    assert bits(backend) == bits(NUMPY)


@pytest.mark.parametrize("of_device", [False, True], ids=["host", "device"])
def test_the_edge_of_float64_to_float32(backend, of_device):
    """What rounds up to 2^-126 was below it, and is 0: devices would disagree."""
    edge = 2.0**-126
    host = np.asarray([[edge, edge * (1 - 2.0**-30), edge * (1 + 2.0**-30), 1e-40, -edge, -1e-40]])
    inputs = backend.asarray(host) if of_device else host
    mlp = MLP([6, 6], loss="squared_error")
    examples = make_examples(
        mlp, inputs, inputs, backend=backend, dtype="float32", arithmetic="reproducible"
    )
    expected = np.asarray([[edge, 0.0, edge, 0.0, -edge, 0.0]], "float32")
    for array in (examples.inputs, examples.targets):
        assert backend.to_numpy(unwrapped(array)).tobytes() == expected.tobytes()


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_of_which_none_is_normal_are_refused(backend, arithmetic, dtype):
    inputs, labels, _ = (of[:BATCH] for of in data(dtype))
    smallest = float(np.finfo(dtype).smallest_normal)
    weights = np.full(BATCH, 0.75 * smallest, dtype)
    settings = {"backend": backend, "dtype": dtype, "arithmetic": arithmetic}
    with pytest.raises(ValueError, match=rf"sample_weight is all 0 or below {smallest:.3g}"):
        train(MLP(SIZES), inputs, labels, sample_weight=weights, **settings)
    weights[0] = smallest
    weights[1] = -smallest / 2  # no more than 0
    result = train(MLP(SIZES), inputs, labels, sample_weight=weights, epochs=1, **settings)
    assert np.isfinite(result.history[0])


def test_a_negative_denormal_count_is_zero_everywhere(backend):
    counts = np.asarray([[-1e-40], [1.0]], "float32")
    mlp = MLP([1, 1], loss="poisson")
    settings = {"backend": backend, "dtype": "float32", "arithmetic": "reproducible"}
    examples = make_examples(mlp, np.ones((2, 1), "float32"), counts, **settings)
    assert backend.to_numpy(unwrapped(examples.targets)).tolist() == [[0.0], [1.0]]
