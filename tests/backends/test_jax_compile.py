"""JAX's compiler: one compilation, memory that is used up, and functions that look at values."""

from functools import partial

import numpy as np
import pytest

from pluggable_mlp import get_backend
from pluggable_mlp.testing.contract_checks import compiled_loops

pytestmark = pytest.mark.as_user

jax = pytest.importorskip("jax")

from pluggable_mlp.backends.jax_compile import CompiledFunction  # noqa: E402 (only if it is there)


def test_a_function_is_traced_once_and_its_numbers_are_arguments():
    runs = []

    def scale(x, factor):
        runs.append(factor)
        return x * factor

    compiled = CompiledFunction(scale, ())
    x = jax.numpy.arange(3.0, dtype="float32")
    assert [compiled(x, factor).tolist() for factor in (2.0, 3.0)] == [[0, 2, 4], [0, 3, 6]]
    assert compiled(x, 2.0).dtype == "float32"
    assert len(runs) == 1


@pytest.mark.parametrize(
    "look",
    [
        bool,
        lambda value: value[value > 0],
        int,
        float,
        lambda value: [1, 2, 3][value.astype(int)],
        np.asarray,
    ],
)
def test_branching_on_values_runs_uncompiled_with_a_warning(look):
    def looking(x, other):
        look(x[0])
        return x + other

    compiled = CompiledFunction(looking, (0,))
    x = jax.numpy.asarray([1.0, 2.0])
    with pytest.warns(UserWarning, match=r"JAX [0-9.]+ cannot compile a function") as caught:
        first = compiled(x, 1.0)
    assert len(caught) == 1
    assert (first.tolist(), compiled(x, 2.0).tolist()) == ([2.0, 3.0], [3.0, 4.0])  # and x is there


def test_a_loop_that_branches_on_values_passes_the_check_of_loops(monkeypatch):
    def looking(function, carry, *others):
        assert bool(carry[0][0] > 0.0)
        return function(carry, *others)

    backend = get_backend("jax")
    own = backend.compile
    monkeypatch.setattr(backend, "compile", lambda f, most: own(partial(looking, f), most=most))
    with pytest.warns(UserWarning, match=r"JAX [0-9.]+ cannot compile a function"):
        compiled_loops(backend)


def test_an_error_of_the_function_itself_is_raised():
    def faulty(x):
        raise ZeroDivisionError("its own")

    with pytest.raises(ZeroDivisionError, match="its own"):
        CompiledFunction(faulty, ())(jax.numpy.zeros(1))
