"""What NumPy does not trace, or traces as it was: functions that look at values or own arrays."""

import warnings
from functools import partial

import numpy as np
import pytest

from pluggable_mlp.backends.numpy_recording import TracedNumpyFunction
from pluggable_mlp.backends.recording import Recorded
from tests.backends import counting

counted = partial(counting.counted, TracedNumpyFunction, xp=np)


class Changing:
    """A function that gives something else at each call."""

    def __init__(self):
        self.count = 0

    def __call__(self, x):
        self.count += 1
        return x * self.count


def own_constant(x):
    constant = np.ones(3)
    y = x * constant
    constant += 1.0
    return y + constant


def changed_by_tracer(x):
    constant = np.ones(3)
    constant += x
    return constant


NOT_TRACED = {
    "bool": lambda x: x * 2.0 if x[0] > 0 else x,
    "float": lambda x: x * float(x[1]),
    "int": lambda x: x[: int(x[1])],
    "index": lambda x: [x, -x][x[1].astype(int) % 2],
    "mask": lambda x: x[x > 1.0],
    "iteration": lambda x: sum(x) + x,
    "length": lambda x: x * len(x),
    "conversion": lambda x: np.asarray(x) * 2.0,
    "shape by values": np.unique,
    "an array of its own that it changes": own_constant,
    "out": lambda x: np.clip(x, 0.0, 1.0, out=np.empty(3)),
    "accumulation": np.add.accumulate,
    "a setting": lambda x: np.add(x, 1.0, where=np.asarray([True] * 3), out=x * 2.0),
    "an array of its own": changed_by_tracer,
    "random numbers": lambda x: x + np.random.default_rng().normal(size=3),
    "another result each time": Changing(),
    "an array of its own as a result": lambda x: (x * 2.0, np.ones(3))[1] * 1.0,
    "another dtype of the same bits": lambda x: (
        x * 0.0 if isinstance(x, np.ndarray) else (x * 0.0).astype("int64")
    ),
}


@pytest.mark.parametrize("function", NOT_TRACED.values(), ids=NOT_TRACED)
def test_what_cannot_be_traced_runs_as_it_is(function):
    traced, runs = counted(function)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(1, 6):
            x = np.asarray([n, n + 1.0, 3.0])
            before = x.copy()
            found = traced(x)
            assert not isinstance(found, Recorded)
            np.testing.assert_array_equal(x, before)
    assert len(runs) in (7, 6)
    assert not traced.programs


def test_an_argument_that_is_changed_is_changed_once():
    def change(x):
        x += 1.0
        return x * 2.0

    traced, x = counting.traced(TracedNumpyFunction, change, np), np.zeros(2)
    for n in range(1, 5):
        assert traced(x).tolist() == [2.0 * n] * 2
