"""What is kept of compiled functions, and for whom."""

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, compile_cache
from pluggable_mlp.training.step import step


def some_function(xp, *components):
    return xp, components


@pytest.fixture
def recent(monkeypatch):
    monkeypatch.setattr(compile_cache, "_recent", deque(maxlen=2))
    monkeypatch.setattr(compile_cache, "is_builtin_call", lambda function: True)
    return compile_cache._recent


def kept(*components, made=None, owner="numpy"):
    function = partial(some_function, np, *components)
    return compile_cache.compiled_once(lambda function: (made or object)(), owner, function)


@pytest.mark.usefixtures("recent")
def test_equal_functions_are_compiled_once():
    first = kept(MLP([3, 2]), SGD())
    assert kept(MLP([3, 2]), SGD()) is first
    assert kept(MLP([3, 4, 2]), SGD()) is not first
    assert kept(MLP([3, 2]), SGD()) is first
    assert kept(MLP([3, 2]), SGD(), owner="torch") is not first


@pytest.mark.usefixtures("recent")
def test_functions_of_the_same_components_are_others():
    first = kept(MLP([3, 2]), SGD())
    other = partial(step, np, MLP([3, 2]), SGD())
    assert compile_cache.compiled_once(lambda function: object(), "numpy", other) is not first
    assert kept(MLP([3, 2]), SGD()) is first


@pytest.mark.usefixtures("recent")
@pytest.mark.parametrize(("used_up", "settings"), [((), {"exact": True}), ((0,), {})])
def test_functions_compiled_with_other_settings_are_others(used_up, settings):
    function = partial(some_function, np)

    def made(*used_up, **settings):
        return compile_cache.compiled_once(
            lambda function, **settings: object(), "numpy", function, *used_up, **settings
        )

    plain = made()
    other = made(*used_up, **settings)
    assert other is not plain
    assert made() is plain
    assert made(*used_up, **settings) is other


@pytest.mark.usefixtures("recent")
def test_what_runs_uncompiled_is_not_given_to_another_training():
    """So that each training tells its user."""

    class Made:
        fell_back = False

    first = kept(1, made=Made)
    assert kept(1) is first
    first.fell_back = True
    second = kept(1)
    assert second is not first
    assert kept(1) is second


def test_nothing_is_kept_where_nothing_compiles(recent):
    assert kept(1, made=lambda: None) is None
    assert not recent


def test_components_of_a_user_are_not_compared(monkeypatch):
    monkeypatch.setattr(compile_cache, "_recent", deque(maxlen=2))

    class Loss:
        def __call__(self, xp, z, targets, sample_weight=None):
            return xp.mean(z), z

        def __eq__(self, other):
            raise AssertionError

        __hash__ = None

    mlp = MLP([3, 2], loss=Loss())
    assert kept(mlp) is not kept(mlp)
    assert not compile_cache._recent


@pytest.mark.usefixtures("recent")
def test_what_several_threads_ask_for_is_compiled_once():
    """Compiling takes seconds: who asks meanwhile waits for it."""
    made = []

    def make():
        time.sleep(0.01)
        made.append(object())
        return made[-1]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: kept(1, made=make), range(8)))
    assert set(found) == {made[0]}
    assert len(made) == 1
