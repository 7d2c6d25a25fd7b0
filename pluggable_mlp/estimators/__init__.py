"""Estimators with scikit-learn's interface, for arrays of any library and for tables."""

from importlib.util import find_spec

if find_spec("sklearn") is None:
    raise ImportError(
        "MLPClassifier, MLPRegressor, TableClassifier and TableRegressor need scikit-learn, which "
        "is not installed; install it with: pip install 'pluggable-mlp[sklearn]'"
    )

from pluggable_mlp.estimators.mlp import MLPClassifier, MLPRegressor
from pluggable_mlp.estimators.tables import TableClassifier, TableRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "TableClassifier", "TableRegressor"]
