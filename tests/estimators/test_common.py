"""scikit-learn's own checks of estimators, in several configurations; which fail, and why."""

import pytest
from sklearn.utils._array_api import NamespaceAndDevice
from sklearn.utils.estimator_checks import parametrize_with_checks

from pluggable_mlp import MLPClassifier, MLPRegressor
from tests.estimators.gpus import skip_without_gpu

DEFAULTS = [MLPClassifier(max_iter=50), MLPRegressor(max_iter=50)]
CONFIGURATIONS = [
    MLPClassifier(solver="lbfgs", alpha=0.1, max_iter=50),
    MLPClassifier(
        (20, 10),
        ["gelu", "tanh"],
        solver="adamw",
        norm="layer",
        dropout=0.1,
        clip_norm=1.0,
        learning_rate_init=0.01,
        max_iter=50,
    ),
    MLPRegressor("huber", norm="batch", max_iter=50),
    MLPClassifier(n_members=2, max_iter=50),
]


def expected_to_fail(estimator):
    """What a weight of 2 is not: an example that comes twice."""
    reason = None
    if estimator.dropout:
        reason = "dropout drops other units of an example that comes twice"
    if estimator.norm == "batch":
        reason = "a batch's mean and variance count examples, not their weights"
    checks = (
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    )
    return dict.fromkeys(checks, reason) if reason else {}


def run(estimator, check):
    keywords = check.keywords
    skip_without_gpu(keywords.get("array_namespace"), keywords.get("device_name"))
    for place in keywords.values():
        if isinstance(place, NamespaceAndDevice):
            skip_without_gpu(place.xp, place.device)
    check(estimator)


@parametrize_with_checks(DEFAULTS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learns_checks(estimator, check):
    run(estimator, check)


@pytest.mark.nightly
@pytest.mark.slow
@parametrize_with_checks(CONFIGURATIONS, expected_failed_checks=expected_to_fail)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learns_checks_of_other_configurations(estimator, check):
    run(estimator, check)
