"""JAX's loops: compiled, and operation by operation, they give the same."""

import pytest

jax = pytest.importorskip("jax")

from pluggable_mlp.backends.jax_loop import looped, one_by_one  # noqa: E402 (only if it is there)

ROWS = ({"n": jax.numpy.arange(4.0)}, jax.numpy.arange(4))


def recurrence(carry, row, shared):
    """Return 2 carry + n, and what it was with the index."""
    numbers, index = row
    x, nothing = carry["x"], shared[1]
    assert nothing is None
    return {"x": shared[0] * x + numbers["n"]}, [x, (index, nothing)]


@pytest.mark.parametrize("loop", [looped, jax.jit(looped, static_argnums=0), one_by_one])
@pytest.mark.parametrize("count", [1, 3, 4])
def test_rows_are_taken_one_after_the_other(loop, count):
    start = {"x": jax.numpy.asarray([1.0, 10.0])}
    carry, (before, (index, nothing)) = loop(recurrence, start, ROWS, (2.0, None), count)
    expected = [[1.0, 10.0], [2.0, 20.0], [5.0, 41.0], [12.0, 84.0], [27.0, 171.0]]  # by hand
    assert carry["x"].tolist() == expected[count]
    assert before[:count].tolist() == expected[:count]
    assert index[:count].tolist() == [0, 1, 2, 3][:count]
    assert nothing is None


def test_a_loop_is_traced_once_for_all_counts():
    traced = []

    def noting(carry, row, shared):
        traced.append(row)
        return carry + row, carry

    compiled = jax.jit(looped, static_argnums=0)
    row = jax.numpy.ones(4)
    assert [float(compiled(noting, 0.0, row, None, count)[0]) for count in (1, 2, 4)] == [1, 2, 4]
    once = len(traced)
    compiled(noting, 0.0, row, None, 3)
    assert len(traced) == once <= 3
