"""The estimators beside scikit-learn's: the same data, settings and seeds, by turns.

Each has a process of its own: ours makes the C library keep memory, which would help theirs, too;
before each fit, the threads of the one before come to rest.
Each seed splits the data anew and is that of all models.  They have scikit-learn's defaults, but
for the number of epochs on Fashion-MNIST, of which a part is used.  Ours are given the same NumPy
arrays on every backend.
"""

import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any

import numpy as np
import sklearn.datasets as known
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

from benchmarks.measure import say
from benchmarks.parts.images import images
from benchmarks.workers import SETTLING
from pluggable_mlp import load_dataset

__all__ = ["measure"]

SEEDS = 5
_OURS = "pluggable_mlp"
CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "theirs": ("sklearn.neural_network", {}),
    "ours": (_OURS, {}),
    "ours-torch": (_OURS, {"backend": "torch"}),
    "ours-jax": (_OURS, {"backend": "jax"}),
}
CLASSIFIER, REGRESSOR = "MLPClassifier", "MLPRegressor"
_IMAGES = 20000  # of which three in four are for training


def measure(backend: str, quick: bool, seconds: float) -> dict[str, Any]:
    """Return {"cases": [{data, examples, features, scores, seconds}]}, by the contenders' names."""
    del backend, seconds  # the work is fixed
    names = [case[0] for case in _cases(quick)]
    spawn = get_context("spawn")
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(ProcessPoolExecutor(1, mp_context=spawn))
            for name, (_, settings) in CONTENDERS.items()
            if find_spec(settings.get("backend", "numpy"))
        }
        return {"cases": [_measure(workers, data, quick) for data in names]}


def _measure(workers: dict[str, Any], data: str, quick: bool) -> dict[str, Any]:
    say(f"estimators: {data}")
    scores: dict[str, list[float]] = {name: [] for name in workers}
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    for seed in range(-1, 1 if quick else SEEDS):  # the first warms up, and does not count
        for name, worker in workers.items():
            taken, score, shape = worker.submit(fit, name, data, seed, quick).result()
            if seed >= 0:
                seconds[name].append(taken)
                scores[name].append(score)
    return {
        "data": data,
        "examples": shape[0],
        "features": shape[1],
        "scores": scores,
        "seconds": seconds,
    }


def fit(name: str, data: str, seed: int, quick: bool) -> tuple[float, float, tuple[int, int]]:
    """Return the seconds of a fit, its score, and the shape of its inputs."""
    (case,) = [case for case in _cases(quick) if case[0] == data]
    _, estimator, X, y, parameters = case
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=max(seed, 0))
    module, settings = CONTENDERS[name]
    kind = getattr(import_module(module), estimator)
    model = kind(random_state=max(seed, 0), **parameters, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged
        time.sleep(SETTLING)
        begin = time.perf_counter()
        model.fit(X_train, y_train)
        end = time.perf_counter()
    return end - begin, float(model.score(X_test, y_test)), X_train.shape


@cache
def _cases(quick: bool) -> list[tuple[str, str, Any, Any, dict[str, Any]]]:
    """Return (data, estimator, X, y, parameters) for each case."""
    digits, targets = known.load_digits(return_X_y=True)
    cases = [
        ("iris", CLASSIFIER, *known.load_iris(return_X_y=True), {}),
        ("breast_cancer", CLASSIFIER, *_scaled(known.load_breast_cancer), {}),
        ("digits", CLASSIFIER, digits / 16, targets, {}),
        ("diabetes", REGRESSOR, *_scaled(known.load_diabetes), {}),
        ("make_friedman1", REGRESSOR, *_friedman(), {}),
        ("make_regression", REGRESSOR, *_generated(), {}),
    ]
    if quick:
        return cases[:1]
    if images() == "fashion-mnist":
        split = load_dataset("fashion-mnist").train
        pixels, labels = split.inputs[:_IMAGES] / 256, split.targets[:_IMAGES]
        short = {"max_iter": 5}
        cases += [
            ("Fashion-MNIST", CLASSIFIER, pixels, labels, short),
            ("Fashion-MNIST, float32", CLASSIFIER, pixels.astype("float32"), labels, short),
        ]
    return cases


def _scaled(load: Any) -> tuple[Any, Any]:
    """Return data of mean 0 and deviation 1, numbers to predict likewise."""
    X, y = load(return_X_y=True)
    classes = np.issubdtype(y.dtype, np.integer)
    return scale(X), y if classes else scale(y)


def _friedman() -> tuple[Any, Any]:
    X, y = known.make_friedman1(2000, noise=1.0, random_state=0)
    return X, scale(y)


def _generated() -> tuple[Any, Any]:
    X, y = known.make_regression(5000, 20, noise=10.0, random_state=0)
    return X, scale(y)
