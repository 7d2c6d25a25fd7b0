"""Estimators with scikit-learn's interface, for arrays of any library and for tables."""

from pluggable_mlp.fields import require

require("sklearn", "sklearn", "checking the estimators' parameters")
