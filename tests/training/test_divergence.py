"""Where training diverges: the error names the step and the layer in which it began.

Step 67 of 70 is at fault, which is traced where the first 32 are not.
"""

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, DivergenceError, get_backend, train
from pluggable_mlp.training.examples import make_examples
from tests.training.loops import training

STEPS, FAULT = 70, 66
HUGE = 3e38
NUMPY = get_backend("numpy")

pytestmark = pytest.mark.filterwarnings("ignore:.*(overflow|invalid value).*:RuntimeWarning")


def faulty(value, ordinary=1.0):
    """A number for each step, another for the one at fault."""
    numbers = np.full((STEPS, 1), ordinary, dtype="float32")
    numbers[FAULT] = value
    return numbers


def message(backend, mlp, weights, x, y, **settings):
    """What is said of training with batches of one example, in their order."""
    start = [
        {"W": backend.asarray([[w]], dtype="float32"), "b": backend.asarray([0.0], dtype="float32")}
        for w in weights
    ]
    given = {"optimizer": SGD(0.0), "batch_size": 1, "epochs": 1, "shuffle": False} | settings
    with pytest.raises(DivergenceError) as error:
        train(mlp, x, y, backend=backend, parameters=start, **given)
    remedy = "input_noise" if mlp.input_noise else "learning rate, gradients clipped by clip_norm"
    assert str(error.value) == (
        f"training diverged in epoch {error.value.epoch}: {error.value.found}; try a smaller "
        f"{remedy}, or inputs scaled to about -1 to 1"
    )
    return error.value.found


# The steps that an arithmetic takes end at the fault; where it began is found alike in either.
@pytest.mark.parametrize(
    ("arithmetic", "weights", "place"),
    [
        ("native", (1.0, 10.0, 0.1), "the output of layer 1 (Dense)"),
        ("native", (10.0, 1.0, 0.1), "the output of layer 0 (Dense)"),
        ("native", (1.0, 1.0, 0.1), None),
        ("reproducible", (1.0, 10.0, 0.1), "the output of layer 1 (Dense)"),
        pytest.param("reproducible", (1.0, 1.0, 0.1), None, marks=pytest.mark.slow),
    ],
)
def test_the_layer_whose_output_is_not_finite(backend, arithmetic, weights, place):
    mlp = MLP([1, 1, 1, 1], activation="identity", loss="squared_error")
    found = message(backend, mlp, weights, faulty(HUGE), faulty(1.0), arithmetic=arithmetic)
    loss, _, since = found.partition(" from step ")
    assert loss in ("its loss is nan", "its loss is inf")
    where = "the outputs of all layers are finite, their loss is not"
    if place is not None:
        where = f"{place} is the first that is not finite"
    assert since == f"67 of 70 on, where {where}"


class Spoilt:
    """Rows of a file that someone writes infinity into, once they have been checked."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim
        self.read = 0

    def __getitem__(self, rows):
        found = self.array[rows].copy()
        if self.read >= len(self.array):
            found[self.array[rows] == HUGE] = np.inf
        self.read += len(found)
        return found


def test_inputs_that_became_infinite_are_named():
    mlp = MLP([1, 1], loss="squared_error")
    settings = {"arithmetic": "native", "block_size": 16}
    found = message(NUMPY, mlp, (1e-39,), Spoilt(faulty(HUGE)), faulty(1.0), **settings)
    assert found.endswith("from step 67 of 70 on, whose inputs hold NaN or infinity")


def test_an_activation_is_named_after_its_layer():
    square = (lambda xp, x: x * x, lambda xp, x: 2 * x)
    mlp = MLP([1, 1, 1], activation=square, loss="absolute_error")
    found = message(NUMPY, mlp, (1.0, 0.0), faulty(1e20), faulty(1.0))
    assert found.endswith("where the output of the activation after layer 0 is the first that is n"
                          "ot finite")  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("dropout", {"input_dropout": 0.5}), ("noise", {"input_noise": 3e38})],
)
def test_what_changes_the_inputs_is_named(kind, settings):
    """Of an input of 3e38, twice itself is infinite, and so is its sum with another."""
    mlp = MLP([1, 1], loss="absolute_error", **settings)
    found = message(NUMPY, mlp, (0.0,), np.full((70, 1), 3e38), faulty(1.0))
    assert found.endswith(f"the output of the {kind} of the inputs is the first that is not finite")


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_the_gradient_that_is_not_finite(backend, arithmetic):
    """The loss 5e37 is finite, its gradient 1e19 * 1e25 is not; the next loss tells."""
    mlp = MLP([1, 1], loss="squared_error")
    settings = {"optimizer": SGD(0.1), "arithmetic": arithmetic}
    found = message(backend, mlp, (0.0,), faulty(1e25, 0.0), faulty(1e19, 0.0), **settings)
    assert found == (
        "its loss is nan from step 68 of 70 on: in step 67 the gradient of W of layer 0 is not "
        "finite"
    )


@pytest.mark.parametrize(("x", "weights"), [(HUGE, (1e-13, 1e-7)), (1e25, (1.0, 1e-7))])
def test_the_gradient_of_the_last_such_layer_is_named(x, weights):
    """They go from the last layer to the first: some 1e25 * -1e19; then x * -1e12, HUGE or not."""
    mlp = MLP([1, 1, 1], activation="identity", loss="squared_error")
    x, y = faulty(x, 0.0), faulty(1e19, 0.0)
    found = message(NUMPY, mlp, weights, x, y, optimizer=SGD(0.1))
    assert found.endswith("in step 67 the gradient of W of layer 1 is not finite")


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_step_that_is_too_long(epochs):
    """The last of the first epoch, or one within it."""
    mlp = MLP([1, 1], loss="squared_error")
    x = np.asarray([[16.0], [-16.0]], dtype="float32")
    settings = {"optimizer": SGD(HUGE), "batch_size": 2, "epochs": epochs}
    found = message(NUMPY, mlp, (1.0,), x, x / 2, **settings)
    assert found == (
        "parameters[0]['W'] holds NaN or infinity after it: step 1 made W of layer 0 infinite or "
        "NaN, with gradients that are finite"
    )
    found = message(NUMPY, mlp, (1.0,), x, x / 2, **settings | {"batch_size": 1})
    assert found == (
        "its loss is nan from step 2 of 2 on: step 1 made W of layer 0 infinite or NaN, with "
        "gradients that are finite"
    )


def progress_from(start=None, every=None):
    """Training whose step 67 is at fault, on NumPy."""

    mlp = MLP([1, 1], loss="squared_error")
    examples = make_examples(mlp, faulty(HUGE), faulty(1.0), backend=NUMPY, dtype="float32")
    parameters = [{"W": np.full((1, 1), 10.0, "float32"), "b": np.zeros(1, "float32")}]
    return training(
        mlp, parameters, examples, backend=NUMPY, optimizer=SGD(0.0), arithmetic="native",
        epochs=1, batch_size=1, seed=0, shuffle=False, start=start, every=every,
    )  # fmt: skip


def test_training_ends_where_a_record_shows_it():
    """Not at the end of a long epoch."""
    for progress in progress_from(every=17):
        if progress.done == 68:  # a multiple of 17
            break
    with pytest.raises(DivergenceError, match="step 67 of 70 on, where the output of layer 0"):
        progress.mean_loss()
