"""What type checkers know of a user's script: the package, as it is installed, has types.

By pyright, strict: basedpyright's, which needs no Node.js beside it; mypy is asked of an editable
install in test_installation.py.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pluggable_mlp

pytest.importorskip("sklearn")

SCRIPT = """
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pluggable_mlp import (
    MLP, SGD, AdamW, ClipByGlobalNorm, EarlyStopping, Epoch, MLPClassifier, MLPRegressor,
    TableClassifier, compare, first_state, get_backend, load_dataset, reproducible, sweep,
    to_native, train, training_step,
)
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.runs.predict import load_run
from pluggable_mlp.testing import check_backend

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
xp = reproducible(np)


def swish(xp: Namespace, x: Array) -> tuple[Array, Callable[[Array], Array]]:
    s = 1.0 / (1.0 + xp.exp(-x))
    return x * s, lambda dy: dy * (s + x * s * (1.0 - s))


def second(epoch: Epoch) -> bool:
    return epoch.epoch == 2


clipped = ClipByGlobalNorm(AdamW(0.1), 1.0)
custom = MLP([2, 3, 2], activation=swish)
train(custom, X, y, backend=backend, optimizer=clipped, callbacks=[second, EarlyStopping(2)])
"""

# What is asked for, and what checkers are to reveal; "Array" is pluggable_mlp.arrays.LibraryArray.
EXPECTED = {
    "labels.fit(X, y)": "MLPClassifier",
    "labels.predict(X)": "Array",
    "labels.score(X, y)": "float",
    "labels.coefs_": "list[Array]",
    "labels.validation_scores_": "list[float] | None",
    "labels.parameters_sha256_": "str",
    "labels.out_activation_": "str",
    "MLPClassifier.load('file')": "MLPClassifier",
    "load_dataset('digits').preparation": "Preparation | None",
    "numbers": "MLPRegressor",
    "start": "list[dict[str, Array]]",
    "network.logits(start, X)": "Array",
    "(network.predict(start, X) == y).mean()": "Any",
    "np.mean(network.predict(start, X))": "floating[Any]",
    "float(network.predict(start, X)[0])": "float",
    "network.loss_and_gradients(own, X, y, buffers=[{}])": (
        "tuple[Array, list[dict[str, Array]], list[dict[str, Array]]]"
    ),
    "training.parameters": "list[dict[str, Array]]",
    "load_dataset('digits').test.inputs": "Any",
    "load_run(Path('run'), backend).mlp": "MLP",
    "training_step(network, SGD(), state, X, y)[0]": "Array",
    "TableClassifier().fit(X, y)": "TableClassifier",
    "TableClassifier().fit(X, y).predict(X)": "Array",
    "compare([backend, backend], network, X, y)": "Report",
    "sweep(network, X, y, [{}], backend=backend)": "Sweep",
    "check_backend(backend)": "ConformanceReport",
    "to_native(xp.exp(xp.wrap(X)))": "Any",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the package, as the wheel has it, from a checkout, too, and the script."""
    folder = tmp_path_factory.mktemp("client")
    shutil.copytree(Path(pluggable_mlp.__file__).parent, folder / "pluggable_mlp")
    backends = Path(pluggable_mlp.backends.__file__).parent
    shutil.copytree(backends, folder / "pluggable_mlp/backends", dirs_exist_ok=True)
    lines = [SCRIPT, *(f"reveal_type({text})" for text in EXPECTED)]
    (folder / "script.py").write_text("\n".join(lines), "utf-8")
    settings = {"include": ["script.py"], "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    return folder


PATTERN = r'- \w+: Type of ".*" is "(.*)"'


@pytest.mark.slow
def test_what_a_user_gets_has_a_type(folder):
    pytest.importorskip("basedpyright")
    run = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    names = re.compile(r"(?:\w+\.)+(\w+)")
    found = [names.sub(r"\1", text) for text in re.findall(PATTERN, run.stdout)]
    types = [text.replace("LibraryArray", "Array") for text in found]
    assert dict(zip(EXPECTED, types, strict=True)) == EXPECTED
