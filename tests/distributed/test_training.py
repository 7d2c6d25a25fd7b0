"""Training on several processes: under `reproducible` with the bits of one."""

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend, train
from tests.distributed.processes import on_processes
from tests.distributed.program import CASES, summary, training
from tests.distributed.threads import on_threads

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
JAX_CASES = ["adam", "dropout", "batch norm", "pixels", "sample weights", "a last batch of one"]


def alone(backend, arithmetic, dtype, cases):
    """What one process gives without a communicator."""
    made = get_backend(backend)
    settings = {"backend": made, "arithmetic": arithmetic, "dtype": dtype}
    return {case: summary(training(case, **settings), made) for case in cases}


@DTYPES
@pytest.mark.parametrize("case", CASES)
def test_three_threads_have_the_bits_of_one_process(case, dtype):
    backend = get_backend("numpy")
    settings = {"backend": backend, "arithmetic": "reproducible", "dtype": dtype}
    found = on_threads(
        3, lambda each: summary(training(case, communicator=each, **settings), backend)
    )
    assert found == [summary(training(case, **settings), backend)] * 3


@pytest.mark.parametrize("case", [case for case in CASES if case != "batch norm"])
def test_native_results_agree_up_to_rounding(case):
    """Not after batch normalization: gradients of biases before it are roundings alone."""
    backend = get_backend("numpy")
    settings = {"backend": backend, "arithmetic": "native", "dtype": "float64"}
    found, *_ = on_threads(3, lambda each: training(case, communicator=each, **settings))
    expected = training(case, **settings)
    np.testing.assert_allclose(found.history, expected.history, rtol=1e-9)


@DTYPES
def test_mpi_has_the_bits_of_one_process(dtype):
    cases = ["adam", "dropout", "batch norm", "long"]
    expected = alone("numpy", "reproducible", dtype, cases)
    assert on_processes(3, "numpy", "reproducible", dtype, *cases) == expected


@pytest.mark.slow
@DTYPES
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_any_number_of_processes_has_the_bits_of_one(backend, count, dtype):
    pytest.importorskip(backend)
    expected = alone("numpy", "reproducible", dtype, CASES)
    assert on_processes(count, backend, "reproducible", dtype, *CASES) == expected


@pytest.mark.slow
@DTYPES
@pytest.mark.parametrize("count", [2, 3])
def test_processes_with_jax_have_the_bits_of_one(count, dtype):
    pytest.importorskip("jax")
    expected = alone("numpy", "reproducible", dtype, JAX_CASES)
    assert on_processes(count, "jax:cpu", "reproducible", dtype, *JAX_CASES) == expected


@pytest.mark.slow
@pytest.mark.parametrize("others", ["numpy,torch", "torch,array_api_strict,numpy"])
def test_processes_with_different_libraries_have_the_bits_of_one(others):
    pytest.importorskip("torch")
    count = others.count(",") + 1
    expected = alone("numpy", "reproducible", "float32", CASES)
    assert on_processes(count, others, "reproducible", "float32", *CASES) == expected


class CountedRows:
    """Rows that can only be read in slices, and how many were read."""

    def __init__(self, values):
        self.values, self.read = values, 0
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __len__(self):
        return len(self.values)

    def __getitem__(self, rows):
        found = self.values[rows]
        self.read += len(found)
        return found


def test_a_process_reads_its_own_rows_only():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((90, 4)), rng.integers(0, 3, 90)

    def read(communicator, epochs):
        rows = CountedRows(x)
        train(
            MLP([4, 3]), rows, y, backend=get_backend("numpy"), epochs=epochs, batch_size=30,
            communicator=communicator,
        )  # fmt: skip
        return rows.read

    first, last = (on_threads(3, lambda each, n=n: read(each, n)) for n in (1, 5))
    assert [more - less for less, more in zip(first, last, strict=True)] == [4 * 30] * 3


def test_arguments_must_be_the_same():
    def fit(communicator):
        return train(
            MLP([2, 2]), np.zeros((6, 2)), np.zeros(6, dtype=int), backend=get_backend("numpy"),
            epochs=2 + communicator.rank // 2, communicator=communicator,
        )  # fmt: skip

    with pytest.raises(ValueError, match="epochs of process 2 differs from that of process 0"):
        on_threads(3, fit)


def test_there_must_be_an_example_for_each_process():
    def fit(communicator):
        return train(
            MLP([2, 2]), np.zeros((2, 2)), np.zeros(2, dtype=int), backend=get_backend("numpy"),
            communicator=communicator,
        )  # fmt: skip

    with pytest.raises(ValueError, match="inputs has 2 examples for 3 processes"):
        on_threads(3, fit)
