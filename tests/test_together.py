"""Cases that run as one test: each runs, and those that fail are named."""

import inspect

import pytest

from tests.together import together


def test_every_case_runs_and_those_that_fail_are_named():
    seen = []

    @together("a, b", [(1, 2), (3, 4)])
    @pytest.mark.slow
    @together("c", "xyz")
    def check(fixture, a, b, c):
        seen.append((fixture, a, b, c))
        assert (a, c) != (3, "y"), "wrong"

    assert [mark.name for mark in check.pytestmark] == ["slow"]
    assert list(inspect.signature(check).parameters) == ["fixture"]
    with pytest.raises(ExceptionGroup, match="1 of 6 cases") as caught:
        check(fixture=0)
    assert seen == [(0, a, b, c) for a, b in ((1, 2), (3, 4)) for c in "xyz"]
    (error,) = caught.value.exceptions
    assert str(error).startswith("wrong")
    assert error.__notes__ == ["a = 3, b = 4, c = 'y'"]
