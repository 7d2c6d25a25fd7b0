"""What is special of JAX: its settings, its devices, its laziness."""

import os
import subprocess
import sys

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, first_state, reproducible, train, training_step
from pluggable_mlp.backends import BackendUnavailable, get_backend

pytestmark = pytest.mark.as_user

jax = pytest.importorskip("jax")


def run_alone(code):
    """Run code in a process without settings of JAX in its environment."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    return subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(("chosen", "used"), [(None, "highest"), ("tensorfloat32",) * 2])
def test_the_context_has_64_bits_and_full_products_unless_the_user_chose(chosen, used, wide):
    config, backend = jax.config, get_backend("jax")
    with jax.enable_x64(wide), jax.default_matmul_precision(chosen):
        with backend.context():
            assert (config.jax_enable_x64, config.jax_default_matmul_precision) == (True, used)
        assert (config.jax_enable_x64, config.jax_default_matmul_precision) == (wide, chosen)


def test_slots_are_where_their_parameters_are():
    """A compiled function has no operand that it does not use, and without one no device."""
    code = """
import jax
from jax.sharding import NamedSharding, PartitionSpec
jax.config.update("jax_num_cpu_devices", 2)
from pluggable_mlp import MLP, Adam, first_state, get_backend
mlp, divided = MLP([2, 2]), NamedSharding(jax.make_mesh((2,), "x"), PartitionSpec("x"))
on_second = mlp.initialize(seed=0, backend=get_backend("jax:cpu:1"))
for parameters in (on_second, jax.device_put(on_second, divided)):
    for tree in first_state(mlp, Adam(), parameters).slots.values():
        print(tree[0]["W"].sharding == parameters[0]["W"].sharding)
"""
    assert run_alone(code).stdout.split() == ["True"] * 4


def test_nan_in_inputs_that_are_divided_among_devices_is_refused():
    """In so many elements that the extremes of XLA lose it."""
    code = """
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec
jax.config.update("jax_num_cpu_devices", 2)
from pluggable_mlp import get_backend
from pluggable_mlp.training.examples import all_within
get_backend("jax")
inputs = np.zeros((512, 17), "float32")
inputs[-1, -1] = np.nan
divided = NamedSharding(jax.make_mesh((2,), "x"), PartitionSpec("x"))
print(all_within(jax.device_put(inputs, divided), 1.0))
"""
    assert run_alone(code).stdout.split() == ["False"]


REFUSED = [
    ("jax_default_matmul_precision", "BF16_BF16_F32", "'BF16_BF16_F32', and such an algorithm"),
    ("jax_numpy_dtype_promotion", "strict", "is 'strict', and JAX then refuses"),
    ("jax_numpy_rank_promotion", "raise", "is 'raise', and JAX then refuses"),
]


@pytest.mark.parametrize(("name", "value", "message"), REFUSED)
@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_settings_that_change_results_are_refused(name, value, message, arithmetic):
    """Before a backend is made, and before each run."""
    backend, before = get_backend("jax"), getattr(jax.config, name)
    x, y, mlp = np.zeros((2, 3)), np.asarray([0, 1]), MLP([3, 2])
    settings = {"backend": backend, "arithmetic": arithmetic, "epochs": 1}
    try:
        jax.config.update(name, value)
        with pytest.raises(BackendUnavailable, match=message):
            train(mlp, x, y, **settings)
        with pytest.raises(BackendUnavailable, match=message) as caught:
            get_backend("jax")
        exec(caught.value.remedy.removeprefix("set it by "), {"jax": jax})
    finally:
        remedied = getattr(jax.config, name)
        jax.config.update(name, before)
    assert remedied != value
    train(mlp, x, y, **settings)


FUNCTIONS = {
    "logits": lambda mlp, state, x, y: mlp.logits(state.parameters, x),
    "predict": lambda mlp, state, x, y: mlp.predict(state.parameters, x),
    "gradients": lambda mlp, state, x, y: mlp.loss_and_gradients(state.parameters, x, y),
    "step": lambda mlp, state, x, y: training_step(mlp, SGD(), state, x, y),
    "state": lambda mlp, state, x, y: first_state(mlp, SGD(), state.parameters),
    "namespace": lambda mlp, state, x, y: reproducible(jax.numpy),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_without_a_backend_check_the_settings(name):
    """A dot algorithm of one block of code is refused within it, by all that needs no backend."""
    backend, mlp = get_backend("jax"), MLP([3, 2])
    x, y = backend.asarray(np.zeros((2, 3), "float32")), backend.asarray([0, 1])
    state = first_state(mlp, SGD(), mlp.initialize(seed=0, backend=backend))
    with (
        jax.enable_x64(True),
        jax.default_matmul_precision("BF16_BF16_F32"),
        pytest.raises(BackendUnavailable, match="'BF16_BF16_F32', and such an algorithm"),
    ):
        FUNCTIONS[name](mlp, state, x, y)
    with jax.enable_x64(True):
        FUNCTIONS[name](mlp, state, x, y)


def test_without_64_bits_the_reproducible_arithmetic_is_refused_where_no_backend_was_made():
    code = "import jax.numpy as jnp; from pluggable_mlp import reproducible; reproducible(jnp)"
    said = run_alone(code).stderr
    assert "jax_enable_x64 is False, and JAX makes float32 of float64" in said
    assert "jax.config.update('jax_enable_x64', True)" in said


@pytest.mark.parametrize("spec", ["jax:cpu", "jax:cpu:0"])
def test_arrays_are_committed_to_the_device(spec):
    backend = get_backend(spec)
    array = backend.asarray([1.0])
    assert backend.device == "cpu:0"
    assert array.device == jax.devices("cpu")[0]
    assert array.committed


def test_a_compiled_function_overwrites_only_used_up_arguments():
    backend = get_backend("jax:cpu")
    kept, given_up = (backend.asarray([1.0]) for _ in range(2))
    compiled = backend.compile(lambda state, x: state["w"] + x, used_up=(0,))
    assert compiled({"w": given_up}, kept).tolist() == [2.0]
    assert given_up.is_deleted()
    assert kept.tolist() == [1.0]
