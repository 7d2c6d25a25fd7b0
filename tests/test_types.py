"""What a type checker knows of a user's script: the package, as it is installed, has types."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pluggable_mlp

pytest.importorskip("mypy")
pytest.importorskip("sklearn")

SCRIPT = """
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluggable_mlp import (
    MLP, SGD, Epoch, MLPClassifier, MLPRegressor, first_state, get_backend, load_dataset, train,
    training_step,
)
from pluggable_mlp.runs.predict import load_run

X: NDArray[np.float64] = np.zeros((6, 2))
y: NDArray[np.int64] = np.arange(6) % 2
labels = MLPClassifier((4,), max_iter=2, callbacks=lambda fitted: fitted.loss_ < 0.1)
labels.fit(X, y)
numbers = MLPRegressor("huber", [4, 3], activation=["tanh", "relu"], solver=SGD(0.1)).fit(X, y)
network, backend = MLP([2, 3, 2]), get_backend("numpy")
start = network.initialize(seed=0, backend=backend)
training = train(network, X, y, backend=backend, parameters=start, optimizer=SGD(0.1))
state, epochs = first_state(network, SGD(), start), list[Epoch]()
own: list[dict[str, NDArray[np.float64]]] = [{"W": np.zeros((2, 2)), "b": np.zeros(2)}]
"""

# What is asked for, and what mypy is to reveal; "Array" is pluggable_mlp.arrays.LibraryArray.
EXPECTED = {
    "labels.fit(X, y)": "MLPClassifier",
    "labels.partial_fit(X, y, classes=[0, 1])": "MLPClassifier",
    "labels.predict(X)": "Array",
    "labels.predict_proba(X)": "Array",
    "labels.predict_log_proba(X)": "Array",
    "labels.score(X, y)": "float",
    "labels.coefs_": "list[Array]",
    "labels.norms_": "list[dict[str, Array]]",
    "labels.classes_": "Array",
    "labels.loss_": "float",
    "labels.loss_curve_": "list[float]",
    "labels.validation_scores_": "list[float] | None",
    "labels.certificate_": "dict[str, Any]",
    "labels.n_iter_": "int",
    "labels.out_activation_": "str",
    "MLPClassifier.load('file')": "MLPClassifier",
    "MLPClassifier.verify({}, X, y)": "MLPClassifier",
    "MLPClassifier.from_sklearn(None)": "MLPClassifier",
    "numbers": "MLPRegressor",
    "numbers.partial_fit(X, y)": "MLPRegressor",
    "numbers.predict(X)": "Array",
    "start": "list[dict[str, Array]]",
    "network.logits(start, X)": "Array",
    "network.predict(own, X)": "Array",
    "network.predict_proba(training.parameters, X)": "Array",
    "network.predict(start, X) == y": "Array",
    "(network.predict(start, X) == y).mean()": "Any",
    "np.mean(network.predict(start, X))": "floating[Any]",
    "float(network.predict(start, X)[0])": "float",
    "network.loss_and_gradients(own, X, y)": "tuple[Array, list[dict[str, Array]]]",
    "network.loss_and_gradients(own, X, y, buffers=[{}])": (
        "tuple[Array, list[dict[str, Array]], list[dict[str, Array]]]"
    ),
    "training": "Training",
    "training.parameters": "list[dict[str, Array]]",
    "load_dataset('digits').test.inputs": "Any",
    "load_run(Path('run'), backend).mlp": "MLP",
    "load_run(Path('run'), backend).parameters": "list[dict[str, Array]]",
    "epochs[0].parameters": "list[dict[str, Array]]",
    "training_step(network, SGD(), state, X, y)[0]": "Array",
    "state.inference_parameters": "list[dict[str, Array]]",
}


def revealed(folder):
    """Return what mypy says of each expression, by the expression."""
    package = Path(pluggable_mlp.__file__).parent  # as the wheel has it, from a checkout, too
    shutil.copytree(package, folder / "pluggable_mlp")
    backends = Path(pluggable_mlp.backends.__file__).parent
    shutil.copytree(backends, folder / "pluggable_mlp/backends", dirs_exist_ok=True)
    lines = ["from pathlib import Path", SCRIPT, *(f"reveal_type({text})" for text in EXPECTED)]
    script = folder / "script.py"
    script.write_text("\n".join(lines), "utf-8")
    options = ["--strict", "--follow-imports=silent", "--ignore-missing-imports", "--no-pretty"]
    command = [sys.executable, "-m", "mypy", "--config-file=", *options, "script.py"]
    run = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found = re.findall(r'script.py:(\d+): note: Revealed type is "(.*)"', run.stdout)
    names = re.compile(r"(?:\w+\.)+(\w+)")
    texts = [names.sub(r"\1", text).replace("LibraryArray", "Array") for _, text in found]
    return dict(zip(EXPECTED, texts, strict=True))


@pytest.mark.slow
def test_what_a_user_gets_has_a_type(tmp_path):
    assert revealed(tmp_path) == EXPECTED
