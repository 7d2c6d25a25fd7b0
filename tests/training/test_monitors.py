"""What watches a training: early stopping, the place of a divergence, numbers lost as 0."""

import warnings

import numpy as np
import pytest

from pluggable_mlp import (
    MLP,
    SGD,
    DivergenceError,
    EarlyStopping,
    PrecisionWarning,
    get_backend,
    train,
)
from pluggable_mlp.namespaces.reproducible.operand import FixedPoint
from pluggable_mlp.namespaces.reproducible.products import lost
from pluggable_mlp.training.early_stopping import BestEpoch
from pluggable_mlp.training.examples import make_examples
from tests.namespaces.reproducible.kernels import matmul
from tests.training.loops import training

NUMPY = get_backend("numpy")
pytestmark = pytest.mark.filterwarnings("ignore:.*(overflow|invalid value).*:RuntimeWarning")

LOSSES = [3.0, 2.0, 2.5, 1.0, 1.0, 1.5, 2.0, 0.5, 0.1]


def run(backend, callback, epochs=9):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(20, 3)), generator.integers(0, 2, size=20)
    mlp = MLP([3, 4, 2])
    return train(
        mlp, x, y, backend=backend, optimizer=SGD(0.1), epochs=epochs, batch_size=5,
        callbacks=[callback],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("patience", "epochs", "best"), [(1, 3, 2), (2, 6, 4), (3, 7, 4), (4, 9, 9)]
)
def test_it_ends_after_so_many_epochs_without_a_smaller_loss(backend, patience, epochs, best):
    """An equal loss is not smaller; the parameters are those of a run to the best epoch."""
    stopping = EarlyStopping(patience, loss=lambda epoch: LOSSES[epoch.epoch - 1])
    result = run(backend, stopping)
    assert len(result.history) == epochs
    assert (stopping.best_epoch, stopping.best_loss) == (best, LOSSES[best - 1])
    expected = run(backend, lambda epoch: None, epochs=best).parameters
    for kept, other in zip(stopping.parameters, expected, strict=True):
        for name, array in kept.items():
            assert (backend.to_numpy(array) == backend.to_numpy(other[name])).all()


def test_the_training_loss_is_watched_by_default(backend):
    stopping = EarlyStopping(2)
    result = run(backend, stopping, epochs=4)
    assert stopping.best_loss == min(result.history)


@pytest.mark.parametrize("patience", [0, -1, 1.5, True])
def test_another_patience_is_refused(patience):
    with pytest.raises(ValueError, match="patience is .*, expected an integer of at least 1"):
        EarlyStopping(patience)


def test_a_first_loss_that_is_no_number_is_undercut_by_any():
    stopping = EarlyStopping(5, loss=lambda epoch: [float("nan"), 2.0, 1.0][epoch.epoch - 1])
    run(NUMPY, stopping, epochs=3)
    assert (stopping.best_epoch, stopping.best_loss) == (3, 1.0)


def test_a_second_loss_breaks_ties_of_the_first():
    best, losses = BestEpoch(), [(1, float("nan")), (1, 3), (1, 4), (1, 3), (1, 2), (2, 0), (0, 9)]
    found = [best.is_best(epoch, *pair) for epoch, pair in enumerate(losses, 1)]
    assert found == [True, True, False, False, True, False, True]


def test_losses_of_stacked_networks_raise():
    mlp, backend = MLP([3, 2]), NUMPY
    stacked = [
        {name: np.stack([w, w]) for name, w in layer.items()}
        for layer in mlp.initialize(seed=0, backend=backend)
    ]
    x, y = np.zeros((4, 3), dtype="float32"), np.zeros(4, dtype=int)
    with pytest.raises(ValueError, match=r"the loss of epoch 1 is \[.*\], one for each network"):
        train(mlp, x, y, backend=backend, parameters=stacked, callbacks=[EarlyStopping(1)])


# Divergence in step 67 of 70, which is traced, as the first is not

STEPS, FAULT = 70, 66
HUGE = 3e38


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
    options = {"optimizer": SGD(0.0), "batch_size": 1, "epochs": 1, "shuffle": False} | settings
    with pytest.raises(DivergenceError) as error:
        train(mlp, x, y, backend=backend, parameters=start, **options)
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


# Numbers of a range wider than the slices of a product

SIZES, COUNT = [20, 8, 3], 50


def of_wide_range(shape, sigma, dtype="float32"):
    """Log-normal numbers of either sign."""
    rng = np.random.default_rng(0)
    x = np.exp(sigma * rng.normal(size=shape)) * rng.choice([-1.0, 1.0], size=shape)
    return x.astype(dtype)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_counted_is_lost_and_what_is_not_is_kept(backend, dtype, pixels, side):
    """A product with ones on the diagonal returns all that its slices hold."""
    x = of_wide_range((20, 20), {"float32": 8.0, "float64": 14.0}[dtype], dtype)
    x[:, 3] = 0.0
    # As the largest is a power of two, and no other number is near the edge, the count is exact.
    largest = 2.0 ** np.ceil(np.log2(np.abs(x).max()))
    x[:, 0] = largest
    unit = np.eye(20, dtype="uint8")
    one = FixedPoint(backend.xp, backend.asarray(unit), 1.0, getattr(backend.xp, dtype))
    one = one if pixels else backend.asarray(unit.astype(dtype))
    if side == "left":
        there = backend.asarray(x)
        product = matmul(backend.xp, there, one)
        count = lost(backend.xp, there, -1, beside_fixed_point=pixels)
    else:
        there = backend.asarray(np.ascontiguousarray(x.T))
        product = matmul(backend.xp, one, there)
        count = lost(backend.xp, there, -2, beside_fixed_point=pixels)
    gone = (backend.to_numpy(product) == 0.0) & (backend.to_numpy(there) != 0.0)
    assert int(count) == gone.sum() > 20


def told(inputs, *, sizes=SIZES, **settings):
    """The warnings of three epochs of training."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        labels = np.arange(len(inputs)) % sizes[-1]
        settings = {"arithmetic": "reproducible", "epochs": 3, **settings}
        train(MLP(sizes), inputs, labels, backend=NUMPY, **settings)
    assert all(one.category is PrecisionWarning for one in caught)
    return [str(one.message) for one in caught]


def test_data_are_told_of_once():
    inputs = of_wide_range((COUNT, SIZES[0]), 6.0)
    count = int(lost(NUMPY.xp, inputs, -1))
    for settings in ({}, {"block_size": 20, "batch_size": 10}):
        (message,) = told(inputs, **settings)
        assert message.startswith(
            f"{count} of the 1,000 numbers of inputs ({count / 1000:.1%}) are so far below the "
            "largest of their row that reproducible products take them for 0: native ones are more "
            "accurate"
        )
    assert not told(inputs, arithmetic="native")


@pytest.mark.parametrize(
    ("pixels", "scale", "lost"),
    [
        (False, 1e-20, 0),  # in both layers, told of the first
        (False, 2.0**-33, 0),
        (True, 2.0**-33, 1),  # beside pixels slices are of 35 bits
    ],
)
def test_weights_are_told_of_once(pixels, scale, lost):
    parameters = MLP(SIZES).initialize(seed=0, backend=NUMPY)
    for layer in parameters:
        layer["W"][...] = 1.0
        layer["W"][::2] = scale
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 256, size=(COUNT, SIZES[0]), dtype="uint8")
    settings = {"parameters": parameters, "optimizer": SGD(1e-30), "scale": 1 / 256}
    if not pixels:
        inputs, settings["scale"] = inputs / 256, None
    (message,) = told(inputs, **settings)
    size = SIZES[lost] * SIZES[lost + 1]
    assert f"{size // 2} of the {size} numbers of parameters[{lost}]['W'] (50.0%)" in message
    assert "the largest of their column" in message
    for layer in parameters:
        layer["W"][...] = 1.0
        layer["W"][:, ::2] = scale  # columns for themselves, as slices are cut
    assert not told(inputs, **settings)


def test_ordinary_data_are_not_told_of():
    shape, rng = (COUNT, SIZES[0]), np.random.default_rng(0)
    assert not told(rng.normal(size=shape))
    assert not told(of_wide_range(shape, 2.0))
    assert not told(rng.integers(0, 256, size=shape, dtype="uint8"), scale=1 / 256)


def test_a_few_are_not_told_of():
    inputs = np.random.default_rng(0).normal(size=(150, SIZES[0])).astype("float32")
    inputs[0, 0], inputs[1, 1] = 1e-20, 1e-20
    assert not told(inputs)
    inputs[2, 2] = 1e-20
    (message,) = told(inputs)
    assert message.startswith("3 of the 3,000 numbers of inputs (0.1%)")
