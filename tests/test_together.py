"""Cases that run as one test: each runs, and those that fail are named."""

import inspect
from types import SimpleNamespace

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


@pytest.mark.parametrize(("name", "count"), [("numpy", 6), ("jax", 3)])
def test_jax_has_every_other_cell_with_each_value(name, count):
    seen = []

    @together("a", [1, 2])
    @together("c", "xyz")
    def check(backend, a, c):
        seen.append((a, c))

    check(backend=SimpleNamespace(name=name))
    assert len({*seen}) == len(seen) == count
    assert [{*values} for values in zip(*seen, strict=True)] == [{1, 2}, {*"xyz"}]


@pytest.mark.parametrize("end", [pytest.skip, pytest.fail])
def test_no_case_is_skipped_unseen(end):
    @together("a", [1, 2])
    def check(a):
        end("no")

    with pytest.raises(BaseExceptionGroup, match="2 of 2 cases"):
        check()
