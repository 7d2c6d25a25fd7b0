"""What is kept from one training for the next."""

from collections import deque
from types import SimpleNamespace

import pytest

from pluggable_mlp import MLP, SGD
from pluggable_mlp.training import kept
from pluggable_mlp.training.kept import made_once

OWN = MLP([3, 2]), SGD()


@pytest.fixture(autouse=True)
def recent(monkeypatch):
    monkeypatch.setattr(kept, "_recent", deque(maxlen=2))
    return kept._recent


def test_equal_things_are_made_once():
    first = made_once(OWN, (1,), object)
    assert made_once((MLP([3, 2]), SGD()), (1,), object) is first
    assert made_once(OWN, (2,), object) is not first
    assert made_once((MLP([3, 4, 2]), SGD()), (1,), object) is not first


def test_what_runs_uncompiled_is_not_given_to_another_training():
    """So that each training tells its user."""
    first = made_once(OWN, (), lambda: SimpleNamespace(fell_back=False))
    assert made_once(OWN, (), object) is first
    first.fell_back = True
    second = made_once(OWN, (), object)
    assert second is not first
    assert made_once(OWN, (), object) is second


def test_nothing_is_kept_where_nothing_compiles(recent):
    assert made_once(OWN, (), lambda: None) is None
    assert not recent


def test_components_of_a_user_are_not_compared(recent):
    class Loss:
        def __call__(self, xp, z, targets, sample_weight=None):
            return xp.mean(z), z

        def __eq__(self, other):
            raise AssertionError

        __hash__ = None

    components = MLP([3, 2], loss=Loss()), SGD()
    assert made_once(components, (), object) is not made_once(components, (), object)
    assert not recent
