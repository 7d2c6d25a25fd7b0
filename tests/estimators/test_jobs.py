"""Searches on several processes, by joblib's loky: the results of one process.

By Dask: examples/dask_search.py.
"""

import os
import warnings

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info

from pluggable_mlp import MLP, SGD, MLPClassifier, get_backend, train

pytestmark = [pytest.mark.as_user, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

_RNG = np.random.default_rng(0)
X = _RNG.standard_normal((120, 6))
Y = (X[:, 0] > X[:, 1]).astype(np.int64)


@pytest.fixture(autouse=True)
def two_workers(monkeypatch):
    """joblib's backend, with two processes, which all tests use, and which choose their threads."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    with joblib.parallel_config("loky", n_jobs=2):
        yield


def test_searches_have_the_results_of_one_process():
    estimator = MLPClassifier(max_iter=5, random_state=0, arithmetic="reproducible")
    grid = {"hidden_layer_sizes": [(5,), (20,)], "learning_rate_init": [0.001, 0.1]}
    found = GridSearchCV(estimator, grid, cv=2).fit(X, Y)
    with joblib.parallel_config("sequential"):
        expected = GridSearchCV(estimator, grid, cv=2).fit(X, Y)
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(found.cv_results_[name], expected.cv_results_[name])
    assert found.best_estimator_.parameters_sha256_ == expected.best_estimator_.parameters_sha256_


def trained(backend, rate, x, y):
    """Train in a worker: the history, the parameters, and where it was."""
    found = train(
        MLP([6, 5, 2]), x, y, backend=get_backend(backend), optimizer=SGD(rate), epochs=2,
        arithmetic="reproducible",
    )  # fmt: skip
    return found, os.getpid()


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_arrays_of_other_libraries_travel_to_and_fro(name):
    pytest.importorskip(name)
    backend = get_backend(f"{name}:cpu")
    x, y = backend.asarray(X, dtype="float32"), backend.asarray(Y)
    calls = [joblib.delayed(trained)(f"{name}:cpu", rate, x, y) for rate in (0.1, 0.5)]
    for rate, (found, process) in zip((0.1, 0.5), joblib.Parallel()(calls), strict=True):
        expected, here = trained("numpy", rate, X.astype(np.float32), Y)
        assert process != here
        assert found.history == expected.history
        for layer, like in zip(found.parameters, expected.parameters, strict=True):
            for key, array in layer.items():
                assert type(array) is type(x)
                np.testing.assert_array_equal(backend.to_numpy(array), like[key])


def busy_threads():
    """How many threads the BLAS of a worker has, after a training there."""
    trained("numpy", 0.1, X, Y)
    return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")


def test_blas_has_no_more_threads_than_there_are_processors():
    counts = joblib.Parallel()(joblib.delayed(busy_threads)() for _ in range(2))
    with warnings.catch_warnings(action="ignore"):
        assert sum(counts) <= max(2, os.cpu_count() or 1)
