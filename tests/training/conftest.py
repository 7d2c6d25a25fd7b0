"""What is compiled in a test, and kept."""

from collections import OrderedDict

import pytest

from pluggable_mlp import compiling


@pytest.fixture
def nothing_kept(monkeypatch):
    """Of what other tests compiled."""
    monkeypatch.setattr(compiling, "_kept", OrderedDict())
