"""Training on several processes: under `reproducible` with the bits of one."""

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


def test_components_must_be_the_same_and_functions_of_users_are_trusted():
    with pytest.raises(ValueError, match="^optimizer of process 1 differs"):
        on_threads(2, lambda each: fit(each, optimizer=SGD((0.5, 0.25)[each.rank])))

    def trained(communicator):
        return train(
            MLP([2, 3, 2], activation=linear(0.5)), np.eye(6, 2), np.arange(6) % 2,
            backend=get_backend("numpy"), communicator=communicator,
        ).history  # fmt: skip

    first, second = on_threads(2, trained)
    assert first == second


def test_there_must_be_an_example_for_each_process():
    def few(communicator):
        return train(
            MLP([2, 2]), np.zeros((2, 2)), np.zeros(2, dtype=int), backend=get_backend("numpy"),
            communicator=communicator,
        )  # fmt: skip

    with pytest.raises(ValueError, match="inputs has 2 examples for 3 processes"):
        on_threads(3, few)
