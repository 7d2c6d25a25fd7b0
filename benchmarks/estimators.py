"""The estimators beside scikit-learn's: the same data, settings and seeds, by turns.

Each has a process of its own: ours makes the C library keep memory, which would help theirs, too.
Each seed splits the data anew and is that of all models.  They have scikit-learn's defaults, but
for the number of epochs on Fashion-MNIST, of which a part is used.  Ours are given the same NumPy
arrays on every backend.
"""

import time
import warnings
from concurrent.futures import Executor
from contextlib import ExitStack
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import sklearn.datasets as known
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

from benchmarks.contenders.contender import rest
from benchmarks.data_folder import data_folder
from benchmarks.field import process, say
from pluggable_mlp import load_dataset

__all__ = ["estimators", "fit"]

SEEDS = 5
BACKENDS = {"ours": "numpy", "ours-torch": "torch", "ours-jax": "jax"}
CLASSIFIER, REGRESSOR = "MLPClassifier", "MLPRegressor"
_IMAGES = 20000  # of which three in four are for training


def estimators(backend: str, quick: bool) -> dict[str, Any]:
    """Return {"cases": [{data, examples, features, scores, seconds}]}, by the contenders' names."""
    del backend  # each contender has its own
    names = ["theirs", *(name for name, library in BACKENDS.items() if find_spec(library))]
    with ExitStack() as stack:
        executors: dict[str, Executor] = {name: stack.enter_context(process()) for name in names}
        chosen = list(_cases())[: 1 if quick else None]
        return {"cases": [_measure(executors, data, 1 if quick else SEEDS) for data in chosen]}


def _measure(executors: dict[str, Executor], data: str, seeds: int) -> dict[str, Any]:
    say(f"estimators: {data}")
    scores: dict[str, list[float]] = {name: [] for name in executors}
    seconds: dict[str, list[float]] = {name: [] for name in executors}
    for seed in (-1, *range(seeds)):  # the first warms up, and does not count
        for name, executor in executors.items():
            taken, score, shape = executor.submit(fit, name, data, max(seed, 0)).result()
            if seed >= 0:
                seconds[name].append(taken)
                scores[name].append(score)
    sizes = {"data": data, "examples": shape[0], "features": shape[1]}
    return {**sizes, "scores": scores, "seconds": seconds}


def fit(name: str, data: str, seed: int) -> tuple[float, float, tuple[int, int]]:
    """Return the seconds of a fit, its score, and the shape of its inputs."""
    estimator, X, y, settings = _cases()[data]
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=seed)
    module = import_module("pluggable_mlp" if name in BACKENDS else "sklearn.neural_network")
    backend = {"backend": BACKENDS[name]} if name in BACKENDS else {}
    model = getattr(module, estimator)(random_state=seed, **settings, **backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged
        rest()
        begin = time.perf_counter()
        model.fit(X_train, y_train)
        taken = time.perf_counter() - begin
    return taken, float(model.score(X_test, y_test)), X_train.shape


@cache
def _cases() -> dict[str, tuple[str, Any, Any, dict[str, Any]]]:
    """Return estimator, X, y, settings of each data set; Fashion-MNIST where it is at hand."""
    digits, labels = known.load_digits(return_X_y=True)
    friedman = known.make_friedman1(2000, noise=1.0, random_state=0)
    linear = known.make_regression(5000, 20, noise=10.0, random_state=0)
    cases: dict[str, tuple[str, Any, Any, dict[str, Any]]] = {
        "iris": (CLASSIFIER, *known.load_iris(return_X_y=True), {}),
        "breast_cancer": (CLASSIFIER, *_scaled(*known.load_breast_cancer(return_X_y=True)), {}),
        "digits": (CLASSIFIER, digits / 16, labels, {}),
        "diabetes": (REGRESSOR, *_scaled(*known.load_diabetes(return_X_y=True)), {}),
        "make_friedman1": (REGRESSOR, friedman[0], scale(friedman[1]), {}),
        "make_regression": (REGRESSOR, linear[0], scale(linear[1]), {}),
    }
    place = data_folder()
    if place is not None and (place / "fashion-mnist").is_dir():
        images = load_dataset(place / "fashion-mnist").train
        X, y = images.inputs[:_IMAGES] / 256, images.targets[:_IMAGES]
        cases["Fashion-MNIST"] = CLASSIFIER, X, y, {"max_iter": 5}
        single = X.astype("float32")
        cases["Fashion-MNIST, float32"] = CLASSIFIER, single, y, {"max_iter": 5}
    return cases


def _scaled(X: Any, y: Any) -> tuple[Any, Any]:
    """Return data of mean 0 and deviation 1, numbers to predict likewise."""
    return scale(X), y if np.issubdtype(y.dtype, np.integer) else scale(y)
