"""How much memory of a GPU is taken beside the data, on CuPy."""

import numpy as np
import pytest

from pluggable_mlp import MLP, MLPClassifier, get_backend, train

cupy = pytest.importorskip("cupy")

pytestmark = [
    pytest.mark.usefixtures("cupy_backend"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

BATCH = 8


def by_train(backend, X, y):
    train(MLP([1024, 2, 3]), X, y, backend=backend, epochs=1, batch_size=BATCH, dtype="float32")


def by_fit(backend, X, y):
    del backend
    MLPClassifier((2,), batch_size=BATCH, max_iter=1).fit(X, y)


@pytest.mark.parametrize("run", [by_train, by_fit])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_no_part_is_left_unchecked(run, wrong, monkeypatch):
    monkeypatch.setattr("pluggable_mlp.training.examples._BYTES_AT_ONCE", 2**16)
    X = np.ones((250, 1024), "float32")
    X[-1, -1] = wrong
    backend = get_backend("cupy")
    with pytest.raises(ValueError, match="NaN|infinity"):
        run(backend, backend.asarray(X), backend.asarray(np.arange(250) % 3))
