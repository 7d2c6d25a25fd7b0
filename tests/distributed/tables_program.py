"""Fits to tables that the tests run on several processes: `mpiexec -n 3 python -m … CASE …`.

A case is a kind and a recipe.  Process 0 prints a JSON object with the certificate of each.
"""

import json
import sys

import numpy as np

from pluggable_mlp import TableClassifier, TableRegressor

_rng = np.random.default_rng(5)
X = _rng.standard_normal((330, 4))  # 264 for training: a whole batch, and one of 8
X[::7, 1] = np.nan
X[:, 3] = np.arange(len(X)) % 11
NUMBERS = X[:, 0] + X[:, 2] ** 2
CLASSES = np.where(NUMBERS > 1.0, "much", "little")
WEIGHTS = _rng.random(len(X))
KINDS = {"classifier": (TableClassifier, CLASSES), "regressor": (TableRegressor, NUMBERS)}
RECIPES = ["realmlp-td-s", "realmlp-td", "tabm-mini"]
CASES = [f"{kind} {recipe}" for kind in KINDS for recipe in RECIPES]
SETTINGS = {"n_members": 2, "max_iter": 2, "random_state": 0, "categorical_features": [3]}


def fitted(case, communicator=None, *, rows=slice(None), eval_set=None, **settings):
    """The estimator of a case after its fit."""
    kind, recipe = case.split()
    of_kind, y = KINDS[kind]
    settings = {**SETTINGS, "arithmetic": "reproducible", **settings}
    model = of_kind(recipe, communicator=communicator, **settings)
    return model.fit(X[rows], y[rows], WEIGHTS[rows], eval_set=eval_set)


def summary(model):
    """What has to be the same on any number of processes: all but where it was made."""
    certified = {name: of for name, of in model.certificate_.items() if name != "made_on"}
    return {**certified, "best": model.best_iteration_, "errors": model.validation_errors_}


def main():
    """Fit the cases that are named, on all processes."""
    from pluggable_mlp import MPI

    communicator = MPI(time_limit=120.0)
    found = {case: summary(fitted(case, communicator)) for case in sys.argv[1:]}
    if communicator.rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
