"""`n_members`: an ensemble of independent networks, trained at once; the mean is predicted."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris

from pluggable_mlp import MLPClassifier, MLPRegressor

X, LABELS = load_iris(return_X_y=True)
NUMBERS = load_diabetes(return_X_y=True)
# Without shuffles the first member draws what a single network does.
SETTINGS = {"max_iter": 3, "batch_size": 40, "shuffle": False, "random_state": 1, "tol": 0.0}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("norm", [None, "batch"])
def test_each_member_is_a_network_trained_alone(solver, norm):
    settings = {**SETTINGS, "solver": solver, "norm": norm, "alpha": 0.5}
    alone = MLPClassifier(**settings).fit(X, LABELS)
    members = MLPClassifier(**settings, n_members=3).fit(X, LABELS)
    for kind in ("coefs_", "intercepts_"):
        for weights, of_all in zip(getattr(alone, kind), getattr(members, kind), strict=True):
            assert of_all.shape == (3, *weights.shape)
            np.testing.assert_allclose(of_all[0], weights, rtol=1e-9, atol=1e-12)
            assert (of_all[1] != weights).any()
    assert members.loss_ != alone.loss_


def softmax_by_hand(model, member):
    hidden = np.maximum(X @ model.coefs_[0][member] + model.intercepts_[0][member], 0.0)
    z = np.exp(hidden @ model.coefs_[1][member] + model.intercepts_[1][member])
    return z / z.sum(axis=1, keepdims=True)


def test_the_mean_of_probabilities_is_predicted():
    model = MLPClassifier(**SETTINGS, n_members=2).fit(X, LABELS)
    expected = (softmax_by_hand(model, 0) + softmax_by_hand(model, 1)) / 2
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-9)
    np.testing.assert_array_equal(model.predict(X), expected.argmax(axis=1))


def test_the_mean_of_numbers_is_predicted():
    X, y = NUMBERS
    model = MLPRegressor(**SETTINGS, n_members=2, hidden_layer_sizes=(), early_stopping=True)
    model.fit(X, y)
    expected = np.mean(X @ model.coefs_[0] + model.intercepts_[0][:, None], axis=0)[:, 0]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-9)
    assert len(model.validation_scores_) == 3


def test_files_pickles_and_partial_fits(tmp_path):
    model = MLPClassifier(**SETTINGS, n_members=2, norm="layer").fit(X, LABELS)
    model.save(tmp_path / "model")
    for again in (MLPClassifier.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        again.partial_fit(X, LABELS)
        assert again.coefs_[0].shape == model.coefs_[0].shape


def test_what_members_are_not_is_named():
    with pytest.raises(ValueError, match="n_members"):
        MLPClassifier(n_members=0).fit(X, LABELS)
    model = MLPClassifier(**SETTINGS, n_members=2).fit(X, LABELS)
    with pytest.raises(ValueError, match="n_members is 2, which scikit-learn's does not have"):
        model.to_sklearn()
    with pytest.raises(ValueError, match="n_members=3 and .* describe another network"):
        model.set_params(n_members=3, warm_start=True).fit(X, LABELS)
