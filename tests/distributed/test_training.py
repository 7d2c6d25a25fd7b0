"""Training on several processes: under `reproducible` with the bits of one."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, DivergenceError, PrecisionWarning, get_backend, train
from tests.distributed.processes import on_processes
from tests.distributed.program import CASES, summary, training
from tests.distributed.threads import on_threads


def alone(backend, arithmetic, dtype, cases):
    """What one process gives without a communicator."""
    place = get_backend(backend)
    settings = {"backend": place, "arithmetic": arithmetic, "dtype": dtype}
    return {case: summary(training(case, **settings), place) for case in cases}


# A case has one of the dtypes, by turns.
BY_TURNS = [(case, ["float32", "float64"][i % 2]) for i, case in enumerate(CASES)]


@pytest.mark.parametrize(("case", "dtype"), BY_TURNS)
def test_three_threads_have_the_bits_of_one_process(case, dtype):
    backend = get_backend("numpy")
    settings = {"backend": backend, "arithmetic": "reproducible", "dtype": dtype}
    found = on_threads(
        3, lambda each: summary(training(case, communicator=each, **settings), backend)
    )
    assert found == [summary(training(case, **settings), backend)] * 3


NATIVE = [
    "clipped", "lbfgs", "dropout", "sample weights", "of a user", "pixels", "a last block of one",
    "micro-batches", "a last batch of one", "few rows", "stacked", "members",
    "members with an embedding", "batch norm",
]  # fmt: skip


@pytest.mark.parametrize(
    ("case", "dtype"), [*((case, "float64") for case in NATIVE), ("batch norm", "float32")]
)
def test_native_results_agree_up_to_rounding(case, dtype):
    """Biases before batch normalization, too: their gradients are roundings, which SGD keeps small.

    In float32 within 1,000 roundings: six steps of sums over 12, 9 and 7 inputs, forth and back,
    and over 25 rows have fewer.
    """
    backend = get_backend("numpy")
    settings = {"backend": backend, "arithmetic": "native", "dtype": dtype}
    found, *_ = on_threads(3, lambda each: training(case, communicator=each, **settings))
    expected = training(case, **settings)
    bounds = (1e-9, 1e-6, 1e-9) if dtype == "float64" else (1000 * np.finfo(dtype).eps / 2,) * 3
    np.testing.assert_allclose(found.history, expected.history, rtol=bounds[0])
    for layer, like in zip(found.parameters, expected.parameters, strict=True):
        for name, array in layer.items():
            np.testing.assert_allclose(array, like[name], rtol=bounds[1], atol=bounds[2])


def test_the_gradients_of_a_native_step_and_its_loss_are_one_exchange():
    def exchanges(communicator, count):
        x, y = np.tile(np.eye(6, 2), (count, 1)), np.tile(np.arange(6) % 2, count)
        settings = {"backend": get_backend("numpy"), "epochs": 1, "batch_size": 6}
        train(MLP([2, 5, 4, 2]), x, y, communicator=communicator, **settings)
        return communicator.exchanges

    few, many = (on_threads(2, lambda each, n=n: exchanges(each, n)) for n in (1, 8))
    assert [more - less for less, more in zip(few, many, strict=True)] == [7, 7]


def test_mpi_has_the_bits_of_one_process():
    cases = ["adam", "dropout", "batch norm", "long"]
    expected = alone("numpy", "reproducible", "float64", cases)
    assert on_processes(3, "numpy", "reproducible", "float64", *cases) == expected


@pytest.mark.slow
def test_processes_with_different_libraries_have_the_bits_of_one():
    pytest.importorskip("torch")
    cases = ["adam", "dropout", "batch norm", "long", "stacked", "members with an embedding"]
    expected = alone("numpy", "reproducible", "float32", cases)
    libraries = "torch,array_api_strict,numpy"
    assert on_processes(3, libraries, "reproducible", "float32", *cases) == expected


def fit(communicator, x=None, mlp=None, **changes):
    """Train a small network, on every process with these arguments."""
    x = np.eye(6, 2) if x is None else x
    arguments = {"backend": get_backend("numpy"), "epochs": 4, "batch_size": 3, **changes}
    mlp = MLP([2, 2]) if mlp is None else mlp
    return train(mlp, x, np.arange(6) % 2, communicator=communicator, **arguments)


def test_all_processes_stop_where_a_callback_of_one_says_so():
    def stop(communicator):
        ends = [lambda epoch: communicator.rank == 1 and epoch.epoch == 2]
        return len(fit(communicator, callbacks=ends).history)

    assert on_threads(3, stop) == [2, 2, 2]


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered")
def test_a_training_that_diverges_ends_on_all_processes():
    def diverge(communicator):
        with pytest.raises(DivergenceError) as caught:
            fit(communicator, x=np.full((6, 2), 1e150), optimizer=SGD(1e200), dtype="float64")
        return str(caught.value), len(caught.value.reached.history)

    with pytest.raises(DivergenceError) as alone:
        fit(None, x=np.full((6, 2), 1e150), optimizer=SGD(1e200), dtype="float64")
    expected = str(alone.value), len(alone.value.reached.history)
    assert on_threads(3, diverge) == [expected] * 3


def test_numbers_that_get_lost_are_warned_of():
    x = np.eye(6, 2) + np.eye(6, 2)[:, ::-1] * 1e-30
    with pytest.warns(PrecisionWarning) as alone:
        fit(None, x=x, arithmetic="reproducible")
    with pytest.warns(PrecisionWarning) as caught:
        on_threads(3, lambda each: fit(each, x=x, arithmetic="reproducible"))
    assert {str(one.message) for one in caught} == {str(one.message) for one in alone}


@pytest.mark.parametrize("name", ["x", "targets"])
def test_data_must_be_the_same(name):
    def other(communicator):
        x, targets = np.eye(6, 2).tolist(), (np.arange(6) % 2).tolist()
        if communicator.rank == 1:
            x[5][1] += 1e-15 if name == "x" else 0.0
            targets[0] += name == "targets"
        return train(
            MLP([2, 2]), x, targets, backend=get_backend("numpy"), communicator=communicator,
        )  # fmt: skip

    differing = "inputs" if name == "x" else "targets"
    with pytest.raises(ValueError, match=f"^{differing} of process 1 differs"):
        on_threads(2, other)


def test_native_processes_have_the_same_libraries():
    def unlike(communicator):
        names = ("numpy", "array_api_strict")
        return fit(communicator, backend=get_backend(names[communicator.rank]))

    with pytest.raises(ValueError, match="libraries of process 1 differs"):
        on_threads(2, unlike)


def test_arithmetic_must_be_the_same():
    names = ["native", "reproducible", "native"]
    with pytest.raises(
        ValueError, match="^arithmetic of process 1 is 'repro.*; libraries of process 1 differs"
    ):
        on_threads(3, lambda each: fit(each, arithmetic=names[each.rank]))


def test_arguments_must_be_the_same():
    with pytest.raises(ValueError, match="^epochs of process 2 is 3, expected 2 as on process 0"):
        on_threads(3, lambda each: fit(each, epochs=2 + each.rank // 2))


def linear(slope):
    """An activation of the user's."""
    return lambda xp, x: (slope * x, lambda dy: slope * dy)


def scaled_loss(factor):
    """A loss of the user's."""

    def loss(xp, z, targets, sample_weight=None):
        error = z - targets
        return factor * xp.mean(xp.sum(error * error, axis=-1)), 2 * factor / z.shape[-2] * error

    return loss


def wrong_backward(slope):
    """An activation whose derivative alone differs."""
    return lambda xp, x: (0.5 * x, lambda dy: slope * dy)


@dataclass(frozen=True)
class Scaling(SGD):
    """An optimizer of the user's, with a function as a setting."""

    factor: Callable[[], float] = float

    def rule(self, xp, c, w, g):
        """Return the new parameter."""
        return (w - c["rate"] * self.factor() * g,)

    def gradient_scale(self, c):
        """Return None: the rule is applied."""
        return None


def falling(rate):
    """A schedule of the user's, which differs from the fourth update on."""
    return lambda t: 0.1 if t < 3 else rate


class Line:
    """An activation of the user's, an object whose `repr` tells nothing."""

    def __init__(self, slope):
        self.slope = slope

    def __call__(self, xp, x):
        """Return y, and the backward."""
        return self.slope * x, lambda dy: self.slope * dy

    def method(self, xp, x):
        """Return the same."""
        return self(xp, x)


FUNCTIONS = {
    "activation": lambda n: {"mlp": MLP([2, 3, 2], activation=linear(n))},
    "backward": lambda n: {"mlp": MLP([2, 3, 2], activation=wrong_backward(n))},
    "loss": lambda n: {"mlp": MLP([2, 2], loss=scaled_loss(n))},
    "rule": lambda n: {"optimizer": Scaling(0.1, factor=lambda: n)},
    "schedule": lambda n: {"optimizer": SGD(falling(n))},
    "default": lambda n: {"optimizer": SGD(lambda t, rate=n: rate)},
    "code": lambda n: {"optimizer": SGD([lambda t: 0.5 + t, lambda t: 0.5 * t][n > 0.3])},
    "partial": lambda n: {"optimizer": SGD(partial(math.ldexp, n))},
    "object": lambda n: {"mlp": MLP([2, 3, 2], activation=Line(n))},
    "method": lambda n: {"mlp": MLP([2, 3, 2], activation=Line(n).method)},
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_that_differ_are_refused(name):
    def trained(communicator, numbers):
        settings = {"mlp": MLP([2, 2]), **FUNCTIONS[name](numbers[communicator.rank])}
        x, y = np.eye(6, 2) - 0.5, np.eye(6, 2) if name == "loss" else np.arange(6) % 2
        numpy = get_backend("numpy")
        return train(inputs=x, targets=y, backend=numpy, communicator=communicator, **settings)

    with pytest.raises(ValueError, match="(mlp|optimizer) of process 1 (is|differs)"):
        on_threads(2, lambda each: trained(each, [0.5, 0.25]))
    first, second = on_threads(2, lambda each: trained(each, [0.5, 0.5]).history)
    assert first == second


def test_there_must_be_an_example_for_each_process():
    def few(communicator):
        return train(
            MLP([2, 2]), np.zeros((2, 2)), np.zeros(2, dtype=int), backend=get_backend("numpy"),
            communicator=communicator,
        )  # fmt: skip

    with pytest.raises(ValueError, match="inputs has 2 examples for 3 processes"):
        on_threads(3, few)
