"""JAX's compiler: one compilation, memory that is used up, and functions that look at values."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

from pluggable_mlp import MLP, train
from pluggable_mlp.backends import get_backend

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


def test_an_error_of_the_function_itself_is_raised():
    def faulty(x):
        raise ZeroDivisionError("its own")

    with pytest.raises(ZeroDivisionError, match="its own"):
        CompiledFunction(faulty, ())(jax.numpy.zeros(1))


def test_an_activation_that_branches_on_values_trains_as_it_did():
    """As relu, but written with a look at the numbers."""

    def positive_part(xp, x):
        return x if bool(xp.all(x > 0.0)) else xp.where(x > 0.0, x, 0.0)

    def slope(xp, x):
        return xp.astype(x > 0.0, x.dtype)

    backend = get_backend("jax:cpu")
    x, labels = [[0.5, -1.0], [2.0, 0.25], [-0.5, 1.0]], [0, 1, 0]
    settings = {"backend": backend, "dtype": "float64", "epochs": 2, "batch_size": 2}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")  # whole batches and the last are compiled, and told once
        own = train(MLP([2, 3, 2], activation=(positive_part, slope)), x, labels, **settings)
    assert [str(each.message)[:4] for each in caught] == ["JAX "]
    relu = train(MLP([2, 3, 2], activation="relu"), x, labels, **settings)
    assert own.history == pytest.approx(relu.history, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arithmetic", "compiled"), [("native", "jit_looped"), ("reproducible", "jit_guarded")]
)
def test_another_process_finds_what_was_compiled(tmp_path, arithmetic, compiled):
    kept = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "kept"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = f"train --backend jax --data digits --epochs 2 --arithmetic {arithmetic} --quiet"
    code = [sys.executable, "-m", "pluggable_mlp", *command.split()]

    def found():
        subprocess.run(code, env={**os.environ, **kept}, cwd=tmp_path, check=True)
        return {file.name for file in (tmp_path / "kept").iterdir() if file.name.endswith("-cache")}

    first = found()
    assert any(name.startswith(compiled) for name in first), first
    assert found() == first


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_no_traced_array_is_asked_for_its_device(arithmetic, monkeypatch):
    """The error that says that it has none takes longer with each operation before."""
    asked = []
    monkeypatch.setattr(jax.core.Tracer, "device", property(asked.append))
    X, y = np.eye(8, 3), np.arange(8) % 2
    backend = get_backend("jax:cpu")
    train(MLP([3, 4, 2], norm="layer"), X, y, backend=backend, epochs=2, arithmetic=arithmetic)
    assert asked == []
