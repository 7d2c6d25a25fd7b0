"""What a second call finds of the first: other solvers, libraries, records and parameters."""

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.datasets import load_iris

from pluggable_mlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)


def test_early_stopping_may_be_switched_between_calls():
    model = MLPClassifier(max_iter=3, warm_start=True, random_state=0).fit(X, Y)
    model.set_params(early_stopping=True).fit(X, Y)
    assert len(model.validation_scores_) == 3
    model.set_params(early_stopping=False).partial_fit(X, Y)
    assert len(model.loss_curve_) == 7
    assert model.best_loss_ == min(model.loss_curve_[-1:])


@pytest.mark.parametrize("solver", ["sgd", "rmsprop", "muon"])
def test_another_solver_starts_with_no_memory(solver):
    """As one does that goes on from the same weights."""
    model = MLPClassifier((8,), random_state=0, max_iter=3).fit(X, Y)
    other = MLPClassifier((8,), random_state=0, max_iter=1, warm_start=True).fit(X, Y)
    other._keep(model._parameters(model._fitted_network()))
    model.set_params(solver=solver).partial_fit(X, Y)
    other.set_params(solver=solver).fit(X, Y)
    np.testing.assert_array_equal(model.coefs_[0], other.coefs_[0])


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_solvers_follow_one_another(kind):
    model = kind(solver="lbfgs", max_iter=3, warm_start=True, random_state=0).fit(X, Y)
    before = model.loss_
    model.set_params(solver="adam", early_stopping=True).fit(X, Y)
    assert len(model.loss_curve_) == len(model.validation_scores_) == 3
    assert model.loss_ < 1.5 * before
    model.set_params(solver="lbfgs", early_stopping=False).fit(X, Y)
    assert model.loss_ < before
    model.set_params(solver="adam").partial_fit(X, Y)
    assert len(model.loss_curve_) == 4


def test_a_fresh_lbfgs_fit_has_no_records_of_an_earlier_one():
    model = MLPClassifier(max_iter=3).fit(X, Y).set_params(solver="lbfgs").fit(X, Y)
    assert not hasattr(model, "loss_curve_")
    assert not hasattr(model, "validation_scores_")


def test_training_goes_on_in_the_library_of_the_new_arrays(backend):
    models = [MLPClassifier((8,), random_state=0, max_iter=2, warm_start=True) for _ in "ab"]
    moved = backend.asarray(X), backend.asarray(Y)
    for later, model in zip(((X, Y), moved), models, strict=True):
        model.fit(X, Y).partial_fit(*later).fit(*later)
    found = models[1].predict_proba(moved[0])
    np.testing.assert_allclose(backend.to_numpy(found), models[0].predict_proba(X), rtol=1e-7)
    models[1].partial_fit(X, Y)  # and back
    assert models[1].predict(X).shape == (150,)


def test_a_model_of_scikit_learn_that_stopped_early_trains_on():
    known = theirs.MLPClassifier(max_iter=4, early_stopping=True, warm_start=True).fit(X, Y)
    model = MLPClassifier.from_sklearn(known).fit(X, Y)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == 8
    assert np.isnan(model.validation_loss_curve_[:4]).all()
    of_lbfgs = theirs.MLPClassifier(solver="lbfgs", max_iter=4).fit(X, Y)
    model = MLPClassifier.from_sklearn(of_lbfgs).set_params(solver="adam").partial_fit(X, Y)
    assert len(model.loss_curve_) == 1


@pytest.mark.parametrize(
    "other", [{"norm": "layer"}, {"hidden_layer_sizes": (5,)}, {"hidden_layer_sizes": (8, 8)}]
)
@pytest.mark.parametrize("method", ["predict", "partial_fit"])
def test_parameters_of_another_network_than_the_fitted_one_are_refused(other, method):
    model = MLPClassifier((8,), max_iter=2).fit(X, Y).set_params(**other)
    (name,) = other
    with pytest.raises(ValueError, match=f"{name}=.* describe another network than the fitted"):
        getattr(model, method)(*(X, Y)[: 1 + (method == "partial_fit")])
