"""The loop: what it visits, what it reports, what it waits for, and that a seed decides it."""

import math
from itertools import chain

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, DivergenceError, Training, get_backend, train
from pluggable_mlp.host import randomness
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.network.feature_layers import BatchNorm
from pluggable_mlp.training.examples import make_examples
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.loop import epochs_of
from tests.training.compilers import Uncompiled
from tests.training.loops import training

SIZES = [3, 4, 2]
SETTINGS = {"arithmetic": "native", "epochs": 2, "batch_size": 4, "seed": 5}


def data(count=10):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 3)), rng.integers(0, 2, size=count)


def start(backend, count=10):
    """A network, its parameters and examples in float64."""
    mlp = MLP(SIZES, activation="tanh")
    x, labels = data(count)
    return (
        mlp,
        mlp.initialize(seed=1, backend=backend, dtype="float64"),
        make_examples(mlp, x, labels, backend=backend, dtype="float64"),
    )


def progress_of(backend, mlp, parameters, examples, **changes):
    settings = {**SETTINGS, "optimizer": SGD(0.125), **changes}
    return training(mlp, parameters, examples, backend=backend, **settings)


def run(*network, **changes):
    return list(epochs_of(progress_of(*network, **changes)))


class Recorder:
    """In a network's place: it notes the labels of every batch and leaves the parameters alone."""

    def __init__(self, backend):
        self.backend, self.seen = backend, []

    dropout, ensemble, shapes = 0.0, None, MLP([1, 10]).shapes
    layers_with_parameters = MLP([1, 10]).layers_with_parameters

    def numbers_at(self, t):
        return ()

    @property
    def general(self):
        return self

    def split(self, parameters):
        return parameters, [{} for _ in parameters]

    def loss_gradients_and_buffers(self, xp, parameters, buffers, x, labels, *_):
        assert x.shape[0] == labels.shape[0]
        self.seen.append(self.backend.to_numpy(labels).tolist())
        zeros = [{name: xp.zeros_like(w) for name, w in layer.items()} for layer in parameters]
        return xp.mean(x), zeros, buffers


def visited(backend, **changes):
    """The labels of each batch, where every example has its own.

    A compiled step has no labels to look at: `test_steps.py` compares its batches.
    """
    backend = Uncompiled(backend)
    recorder = Recorder(backend)
    mlp = MLP([1, 10])
    examples = make_examples(
        mlp, np.zeros((10, 1)), np.arange(10), backend=backend, dtype="float64"
    )
    run(backend, recorder, mlp.initialize(seed=0, backend=backend), examples, **changes)
    return recorder.seen


@pytest.mark.parametrize(("batch_size", "sizes"), [(4, [4, 4, 2]), (6, [6, 4])])
def test_an_epoch_visits_everything_once_in_a_new_order(backend, batch_size, sizes):
    seen = visited(backend, batch_size=batch_size, epochs=3)
    assert [len(batch) for batch in seen] == sizes * 3
    steps = len(sizes)
    epochs = [[*chain(*seen[k : k + steps])] for k in range(0, 3 * steps, steps)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    # The same on every backend: the order is drawn on the host.
    assert epochs == [randomness.permutation(5, "shuffle", e, 10).tolist() for e in (1, 2, 3)]


@pytest.mark.parametrize("batch_size", [4, 5, 10, 11])
def test_whole_batches_leave_out_a_smaller_last_one(batch_size):
    """Those of a set smaller than a batch are none."""
    backend = get_backend("numpy")
    seen, others = (
        visited(backend, batch_size=batch_size, whole_batches=whole) for whole in (True, False)
    )
    assert seen == [batch for batch in others if len(batch) == min(batch_size, 10)]


def test_without_shuffling_the_order_is_theirs(backend):
    assert visited(backend, shuffle=False, epochs=2) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] * 2


class Told:
    """A loss that is the mean of the targets, times a factor: no parameter can change it."""

    targets = "numbers"

    def __init__(self, factor=1.0):
        self.factor = factor

    def __call__(self, xp, z, targets, sample_weight=None):
        return xp.mean(targets) * self.factor, xp.zeros_like(z)

    def predict(self, xp, z):
        return z


def test_an_epochs_loss_is_summed_without_rounding():
    """The running sums of Python 3.11, plain, and of 3.12, compensated, both give 0 here."""
    targets = np.asarray([1e100, 1e50, 1.0, -1e50, -1e100])
    mlp = MLP([1, 1], loss=Told())
    settings = {"dtype": "float64", "batch_size": 1, "epochs": 1, "shuffle": False}
    result = train(mlp, np.zeros((5, 1)), targets, backend=get_backend("numpy"), **settings)
    assert result.history == [1.0 / 5]


def test_each_of_many_losses_counts_by_its_own_batch():
    """Of 130, which are more than are stacked at once, the last is of one example of 259."""
    targets = np.zeros(259)
    targets[-1] = 259.0
    mlp = MLP([1, 1], loss=Told())
    settings = {"dtype": "float64", "batch_size": 2, "epochs": 1, "shuffle": False}
    result = train(mlp, np.zeros((259, 1)), targets, backend=get_backend("numpy"), **settings)
    assert result.history == [1.0]


@pytest.mark.parametrize(
    ("network", "batch_size", "message"),
    [
        (
            {"norm": "batch"},
            10,
            "^norm is 'batch', and lbfgs needs one and the same loss at every eval",
        ),
        ({"norm": BatchNorm(momentum=0.0)}, 10, r"^norm is BatchNorm\(.*: leave norm out, or"),
        ({"dropout": 0.25}, 10, r"^dropout is 0\.25, .*: leave dropout out, or choose another"),
        ({"input_dropout": 0.25}, 10, r"^input_dropout is 0\.25, .*: leave input_dropout out"),
        ({"input_noise": 0.25}, 10, r"^input_noise is 0\.25, .*: leave input_noise out"),
        ({}, 9, "batch_size is 9, expected at least the 10 examples"),
    ],
)
def test_lbfgs_takes_no_loss_that_changes_by_itself(network, batch_size, message):
    settings = {"optimizer": LBFGS(), "backend": get_backend("numpy")}
    with pytest.raises(ValueError, match=message):
        train(MLP(SIZES, **network), *data(), batch_size=batch_size, **settings)
    fits = {"norm": "layer"} if "norm" in network else {}
    train(MLP(SIZES, **fits), *data(), batch_size=10, epochs=1, **settings)


def test_each_step_and_each_end_of_an_epoch_is_reported():
    backend = get_backend("numpy")
    found = [
        (progress.epoch, progress.count, progress.done, progress.ended)
        for progress in progress_of(backend, *start(backend))
    ]
    assert found == [
        *((epoch, *of) for epoch in (1, 2) for of in (
            (4, 4, False), (4, 8, False), (2, 10, False), (0, 10, True)
        )),
    ]  # fmt: skip


def diverging(loss="squared_error", **changes):
    """Squared losses whose gradient is too steep: the weight grows 511-fold at every step."""
    mlp = MLP([1, 1], loss=loss)
    x = np.asarray([[16.0], [-16.0]])
    settings = {"optimizer": SGD(1.0), "batch_size": 2, "epochs": 100, "shuffle": False}
    return train(mlp, x, x[:, 0] / 2, backend=get_backend("numpy"), **settings | changes)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_divergence_is_an_error_that_keeps_what_was_reached(arithmetic):
    epochs = []
    settings = {"arithmetic": arithmetic, "callbacks": [epochs.append]}
    with pytest.raises(DivergenceError, match="training diverged in epoch .*; try a smaller") as e:
        diverging(**settings)
    assert [epoch.epoch for epoch in epochs] == list(range(1, e.value.epoch))
    reached = e.value.reached
    assert reached.history == [epoch.train_loss for epoch in epochs]
    assert all(np.isfinite(loss) for loss in reached.history)
    assert reached.history[-1] > 1e30
    assert all(np.isfinite(w).all() for layer in reached.parameters for w in layer.values())
    assert reached.parameters is epochs[-1].parameters


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_parameters_that_the_last_step_spoilt_are_no_result():
    """The loss is taken before the step: that of the only epoch is 0.48, and W then infinite."""
    with pytest.raises(DivergenceError, match=r"epoch 1: parameters\[0\]\['W'\] holds NaN or inf"):
        diverging(optimizer=SGD(3e38), epochs=1)


def test_divergence_in_the_first_epoch_leaves_the_start():
    start = MLP([1, 1], loss="squared_error").initialize(seed=3, backend=get_backend("numpy"))
    with pytest.raises(DivergenceError, match="epoch 1: its loss is nan") as error:
        diverging(loss=Told(math.nan), parameters=start)
    assert error.value.reached == Training(start, [])
