"""Run folders: what was trained, saved and loaded again is what was measured."""

import gc
import json
import subprocess
import sys
import weakref
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from pluggable_mlp.arrays.shortcuts import backend_context
from pluggable_mlp.backends import BackendUnavailable, get_backend
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.options import Options
from pluggable_mlp.runs import run as run_module
from pluggable_mlp.runs.folder import RunFolder
from pluggable_mlp.runs.run import Run
from pluggable_mlp.training.components import OPTIMIZERS
from pluggable_mlp.training.divergence import DivergenceError
from tests.conftest import MAKERS

pytestmark = pytest.mark.as_user

ROOT = Path(__file__).parents[2]

# Evaluates folder after folder on a backend, as the console script does; a line for each.
EVALUATE = """
import sys
from pluggable_mlp.cli import main
backend, *folders = sys.argv[1:]
for folder in folders:
    sys.argv = ["pluggable-mlp", "evaluate", "--json", folder, "--backend", backend]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, folder
"""

# Of these, some leave arrays by columns after a step.
QUICK = ("rmsprop", "lbfgs")
OTHERS = tuple(name for name in OPTIMIZERS if name not in QUICK)
ON_JAX = ("sgd",)


def cases():
    """Every backend with the quick optimizers; NumPy with the others, too.

    JAX compiles each step or operation before its first use: it has one, in native arithmetic.
    The other device of array-api-strict stands for both in the default suite.
    """
    chosen = [(label, ON_JAX if label.startswith("jax") else QUICK) for label in MAKERS]
    for label, optimizers in (*chosen, ("numpy", OTHERS)):
        long = optimizers is not QUICK or label == "array_api_strict"
        yield pytest.param(
            label,
            optimizers,
            id=f"{label}-{'others' if optimizers is OTHERS else 'quick'}",
            marks=pytest.mark.slow if long else (),
        )


@pytest.mark.parametrize(("backend", "optimizers"), [*cases()], indirect=["backend"])
def test_a_saved_run_measures_the_same_in_another_process(backend, optimizers, tmp_path):
    spec = f"{backend.name}:{backend.device}"
    try:
        get_backend(spec)
    except (BackendUnavailable, ValueError):
        pytest.skip("no other process knows this backend by its name")
    reached = {}
    arithmetics = ("native",) if backend.name == "jax" else ARITHMETICS
    for arithmetic, optimizer in product(arithmetics, optimizers):
        settings = Options(
            optimizer=optimizer,
            arithmetic=arithmetic,
            hidden=(12,),
            epochs=1,
            batch_size=2000 if optimizer == "lbfgs" else 512,
        )
        folder = tmp_path / f"{arithmetic} {optimizer}"
        with backend_context(backend):
            run = Run.of(settings, backend)
            with RunFolder(folder, run):
                list(run.train())
            measured = run.test_measures()
        reached[str(folder)] = measured["loss"], measured["accuracy"]
    done = subprocess.run(
        [sys.executable, "-c", EVALUATE, spec, *reached],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    measured = map(json.loads, done.stdout.splitlines())
    found = [(one["loss"], one["accuracy"]) for one in measured]
    assert dict(zip(reached, found, strict=True)) == reached


@pytest.mark.filterwarnings("ignore:.*(overflow|invalid value).*:RuntimeWarning")
def test_a_record_ends_training_that_diverged():
    """Not the end of the epoch, of 97 steps; every fourth is recorded."""
    settings = Options(epochs=3, hidden=(12,), batch_size=16, learning_rate=1e30)
    run = Run.of(settings, get_backend("numpy"))
    with pytest.raises(DivergenceError, match="epoch 1: its loss is nan from step . of 97 on"):
        list(run.train())
    assert list(run.records) == [4]


def test_a_folder_keeps_no_parameters_of_its_last_checkpoint_in_memory(tmp_path):
    """It is the first epoch's: the others follow within a second."""
    run = Run.of(Options(epochs=3, hidden=()), get_backend("numpy"))
    with RunFolder(tmp_path / "run", run) as folder:
        ended = []
        for progress in run.train():
            if progress.ended:
                folder.record()
                ended.append(weakref.ref(run.position.state.parameters[0]["W"]))
        gc.collect()
        assert ended[0]() is None


def test_the_dropout_of_a_recipe_ends_with_the_training():
    """RealMLP's is 0.15 for the first half, then half a cosine wave to 0."""
    run = Run.of(Options(recipe="realmlp-td", epochs=2, batch_size=180), get_backend("numpy"))
    dropout, quarter = next(run.train()).steps.mlp.dropout, run.plan.steps_per_epoch // 2
    assert run.plan.steps_per_epoch == 2 * quarter
    found = [dropout(part * quarter) for part in (0, 2, 3, 4)]
    assert found == pytest.approx([0.15, 0.15, 0.075, 0.0])


def test_rows_of_initial_parameters_are_spread_over_all(monkeypatch):
    monkeypatch.setattr(run_module, "MOST_ROWS", 10)
    run = Run.of(Options(epochs=1), get_backend("numpy"))
    count = len(run.dataset.train.inputs)
    expected = run.dataset.train.inputs[[k * count // 10 for k in range(10)]]
    assert np.array_equal(run._some_rows(), expected)
