"""scikit-learn's own estimators, the same bits on NumPy and PyTorch.

Fits a StandardScaler and a LogisticRegression (lbfgs), by scikit-learn's array API dispatch, first
on the arrays of each library, then on its reproducible namespace:

    python -m pip install -e '.[sklearn,torch]' && python examples/same_bits_scikit_learn.py
"""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # scikit-learn asks for it before SciPy is imported

import hashlib

import array_api_compat.numpy
import array_api_compat.torch
import numpy as np
from sklearn import config_context
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pluggable_mlp import reproducible, to_native


def probabilities(xp, inputs, labels):
    """Return what a classifier on standardized inputs predicts for them: (examples, classes)."""
    x, y = xp.asarray(inputs), xp.asarray(labels)
    with config_context(array_api_dispatch=True):
        x = StandardScaler().fit_transform(x)
        return LogisticRegression(solver="lbfgs").fit(x, y).predict_proba(x)


def main():
    """Print the SHA-256 of the predictions on each library, native and reproducible."""
    data = load_breast_cancer()
    for name, library in (("numpy", array_api_compat.numpy), ("torch", array_api_compat.torch)):
        inputs, labels = library.asarray(data.data), library.asarray(data.target)
        native = probabilities(library, inputs, labels)
        wrapped = to_native(probabilities(reproducible(library), inputs, labels))
        for kind, array in (("native", native), ("reproducible", wrapped)):
            digest = hashlib.sha256(np.asarray(array).tobytes()).hexdigest()
            print(f"{name:6} {kind:13} {digest[:32]}")


if __name__ == "__main__":
    main()
