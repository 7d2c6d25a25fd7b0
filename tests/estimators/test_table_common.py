"""scikit-learn's own checks of the estimators for tables."""

import pytest
from sklearn.utils.estimator_checks import check_class_weight_classifiers, parametrize_with_checks

from pluggable_mlp import TableClassifier, TableRegressor

WEIGHTS = dict.fromkeys(
    ("check_sample_weight_equivalence_on_dense_data",),
    "batches and the validation part count rows, not their weights",
)


# A small network, and as many epochs as it takes for the checks that ask for a fit.  In float32 a
# BLAS may round a row by its place beyond their tolerance.
SETTINGS = {"random_state": 0, "dtype": "float64", "n_members": 1, "hidden": (8,), "max_iter": 12}


def checks_of(estimator):
    """Return scikit-learn's mark; the check that trains for a thousand epochs is nightly."""
    mark = parametrize_with_checks([estimator], expected_failed_checks=lambda _: WEIGHTS)
    cases = [
        pytest.param(*case, marks=(pytest.mark.slow, pytest.mark.nightly))
        if getattr(case[1], "func", None) is check_class_weight_classifiers
        else case
        for case in mark.args[1]
    ]
    return pytest.mark.parametrize(mark.args[0], cases, **mark.kwargs)


@checks_of(TableClassifier(**SETTINGS))
@pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@checks_of(TableRegressor(**SETTINGS))
@pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")
def test_scikit_learns_checks_of_the_regressor(estimator, check):
    check(estimator)
