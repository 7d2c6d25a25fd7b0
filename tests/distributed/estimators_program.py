"""Fits that the tests run on several processes: `mpiexec -n 3 python -m … BACKEND CASE …`.

Process 0 prints a JSON object with what `summary` says of each case.
"""

import json
import sys
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from pluggable_mlp import MLPClassifier, MLPRegressor, get_backend

_rng = np.random.default_rng(7)
X = _rng.standard_normal((67, 5))
CLASSES = np.where(X[:, 0] > X[:, 1], "yes", "no")
NUMBERS = X @ _rng.standard_normal((5, 2)) + 0.1 * _rng.standard_normal((67, 2))
WEIGHTS = _rng.random(67)

CASES = {
    "classifier": (MLPClassifier, {"class_weight": {"yes": 2.0}, "dropout": 0.2}, CLASSES),
    "regressor": (MLPRegressor, {"solver": "sgd", "learning_rate": "invscaling"}, NUMBERS),
    "early stopping": (
        MLPClassifier,
        {"early_stopping": True, "n_iter_no_change": 2, "solver": "sgd", "norm": "batch"},
        CLASSES,
    ),
    "lbfgs": (MLPRegressor, {"solver": "lbfgs", "max_iter": 4}, NUMBERS),
    "partial_fit": (MLPClassifier, {}, CLASSES),
}


def fitted(case, backend, communicator=None, **settings):
    """The estimator of a case after its fit, on arrays of a backend."""
    kind, parameters, y = CASES[case]
    of_all = {"hidden_layer_sizes": (6,), "random_state": 3, "max_iter": 5, "batch_size": 16}
    of_all |= {"arithmetic": "reproducible", "communicator": communicator}
    model = kind(**{**of_all, **parameters, **settings})
    rows = get_backend(backend).asarray(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if case != "partial_fit":
            return model.fit(rows, y, WEIGHTS)
        for _ in range(3):
            model.partial_fit(rows, y, classes=["no", "yes"])
    return model


def summary(model):
    """What has to be the same on any number of processes."""
    certificate = dict(getattr(model, "certificate_", {}))  # later calls of partial_fit: none
    certificate.pop("made_on", None)
    return {
        "certificate": certificate,
        "loss": model.loss_,
        "iterations": model.n_iter_,
        "scores": getattr(model, "validation_scores_", None),
        "last": [np.asarray(W).tolist() for W in model.coefs_],
    }


def main():
    """Fit the cases that are named, on all processes."""
    from pluggable_mlp import MPI

    communicator = MPI(time_limit=120.0)
    backend, *cases = sys.argv[1:]
    found = {case: summary(fitted(case, backend, communicator)) for case in cases}
    if communicator.rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
