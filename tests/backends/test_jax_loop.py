"""JAX's loops: compiled, and operation by operation, they give the same."""

import pytest

jax = pytest.importorskip("jax")

from pluggable_mlp.backends.jax_compile import compiled_loop  # noqa: E402 (only if it is there)

ROWS = [0.0, 1.0, 2.0, 3.0]


def recurrence(carry, index, row, shared):
    """Return 2 carry + n, and what it was with the index."""
    x, nothing = carry["x"], shared[1]
    assert nothing is None
    return {"x": shared[0] * x + row["n"]}, [x, (index + 0 * row["n"], nothing)]


def looking(carry, index, row, shared):
    """The same, of a function that cannot be compiled."""
    assert bool(carry["x"][0] > 0.0)
    return recurrence(carry, index, row, shared)


@pytest.mark.parametrize("function", [recurrence, looking])
@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.filterwarnings("ignore:JAX .* cannot compile")
def test_rows_are_taken_one_after_the_other(function, count):
    start = {"x": jax.numpy.asarray([1.0, 10.0])}
    loop = compiled_loop(function, (0,), 4)
    carry, (before, (index, nothing)) = loop(start, {"n": ROWS[:count]}, (2.0, None), count)
    expected = [[1.0, 10.0], [2.0, 20.0], [5.0, 41.0], [12.0, 84.0], [27.0, 171.0]]  # by hand
    assert carry["x"].tolist() == expected[count]
    assert before[:count].tolist() == expected[:count]
    assert index[:count].tolist() == [0, 1, 2, 3][:count]
    assert nothing is None
