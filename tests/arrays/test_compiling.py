"""What is kept of compiled functions, and for whom; trials, and ways that fail."""

import warnings
from collections import OrderedDict
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD
from pluggable_mlp.arrays import compiling
from pluggable_mlp.arrays.compiling import Fallback, Unsuitable, compiled, trusted


def some_function(xp, *components):
    return xp, components


class Compiler:
    """A backend that compiles functions to new objects."""

    device = "cpu"

    def __init__(self, make=object):
        self.make = make

    def compile(self, function, used_up=(), *, exact=False, most=1):
        return self.make()


class AnotherCompiler(Compiler):
    """Another one."""


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    monkeypatch.setattr(compiling, "_kept", OrderedDict())
    monkeypatch.setattr(compiling, "_MOST", 2)
    monkeypatch.setattr(compiling, "_trials", {})
    return compiling._kept


@pytest.fixture
def builtin(monkeypatch):
    monkeypatch.setattr(compiling, "is_builtin_call", lambda function: True)


def compiled_of(*components, backend=None, **settings):
    return compiled(backend or Compiler(), partial(some_function, np, *components), **settings)


@pytest.mark.usefixtures("builtin")
def test_equal_functions_are_compiled_once():
    first = compiled_of(MLP([3, 2]), SGD())
    assert compiled_of(MLP([3, 2]), SGD()) is first
    assert compiled_of(MLP([3, 4, 2]), SGD()) is not first
    assert compiled_of(MLP([3, 2]), SGD()) is first
    assert compiled_of(MLP([3, 2]), SGD(), backend=AnotherCompiler()) is not first


@pytest.mark.usefixtures("builtin")
def test_nothing_is_kept_where_nothing_compiles(kept):
    assert compiled_of(1, backend=Compiler(lambda: None)) is None
    assert compiled_of(1, backend=SimpleNamespace(traces=False)) is None
    assert compiled(None, partial(some_function, np)) is None
    assert not kept


def test_components_of_a_user_are_not_compared(kept):
    class Loss:
        def __call__(self, xp, z, targets, sample_weight=None):
            return xp.mean(z), z

        def __eq__(self, other):
            raise AssertionError

        __hash__ = None

    mlp = MLP([3, 2], loss=Loss())
    assert compiled_of(mlp) is not compiled_of(mlp)
    assert not kept


def failing(error):
    def fail():
        raise error

    return fail


def test_a_trial_is_made_once_and_its_failure_told_once():
    trials = []

    def trial():
        trials.append(0)
        return False

    with pytest.warns(UserWarning, match="^goes on slowly: its results differ$"):
        assert not trusted("key", trial, "goes on slowly")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not trusted("key", trial, "goes on slowly")
    assert len(trials) == 1
    assert trusted("another key", lambda: True)
    assert trusted("another key", trial)


def test_an_error_of_a_trial_is_told_or_raised():
    with pytest.warns(UserWarning, match="^goes on: KeyError: 'x'$"):
        assert not trusted("told", failing(KeyError("x")), "goes on")
    for key in ("raised", "raised"):  # and tried again
        with pytest.raises(KeyError):
            trusted(key, failing(KeyError("x")))
    with pytest.raises(MemoryError):
        trusted("memory", failing(MemoryError()), "goes on")
    assert trusted("memory", lambda: True)


def test_a_way_that_fails_is_not_taken_again():
    fallback = Fallback("goes on", (KeyError,))
    assert fallback.attempt(abs, -1) == 1
    for error in (MemoryError(), ValueError()):
        with pytest.raises(type(error)):
            fallback.attempt(failing(error))
    assert fallback.attempt(abs, -1) == 1
    with pytest.warns(UserWarning, match="^goes on: KeyError: 'x'$"):
        assert fallback.attempt(failing(KeyError("x"))) is NotImplemented
    assert fallback.failed
    assert fallback.attempt(abs, -1) is NotImplemented


def test_what_a_way_is_not_for_needs_no_warning():
    fallback = Fallback("goes on")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fallback.attempt(failing(Unsuitable())) is NotImplemented
    assert fallback.failed
