"""Estimators with scikit-learn's parameters, attributes and methods, on any array."""

from importlib.util import find_spec

if find_spec("sklearn") is None:
    raise ImportError(
        "MLPClassifier and MLPRegressor need scikit-learn, which is not installed; install it "
        "with: pip install 'pluggable-mlp[sklearn]'"
    )

from pluggable_mlp.estimators.classifier import MLPClassifier
from pluggable_mlp.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
