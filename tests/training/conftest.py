"""What is compiled in a test, and kept."""

from collections import deque

import pytest

from pluggable_mlp import compile_cache


@pytest.fixture
def nothing_kept(monkeypatch):
    """Of what other tests compiled."""
    monkeypatch.setattr(compile_cache, "_recent", deque(maxlen=32))
