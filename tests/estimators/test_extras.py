"""What scikit-learn's MLP lacks: our components, callbacks, curves, a bar, dtypes."""

import re
import subprocess
import sys
import warnings
from copy import copy

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from pluggable_mlp import MLP, SGD, HuberLoss, LeakyReLU, MLPClassifier, MLPRegressor, make_schedule
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.training.components import OPTIMIZERS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)


@pytest.mark.parametrize("solver", [name for name in OPTIMIZERS if name != "lbfgs"])
def test_every_optimizer_is_a_solver(solver):
    model = MLPClassifier((10,), "tanh", solver=solver, learning_rate_init=0.01, random_state=0)
    model.fit(X, Y)
    assert model.loss_curve_[-1] < 0.5 * model.loss_curve_[0]
    assert model.partial_fit(X, Y).n_iter_ == 1


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "logistic", LeakyReLU(0.2)], ids=str)
def test_every_activation_is_one_of_a_layer(activation):
    model = MLPClassifier((6, 5), [activation, "tanh"], random_state=0, max_iter=2).fit(X, Y)
    theirs = "sigmoid" if activation == "logistic" else activation
    mlp = MLP([4, 6, 5, 3], activation=[theirs, "tanh"])
    parameters = [{"W": W, "b": b} for W, b in zip(model.coefs_, model.intercepts_, strict=True)]
    np.testing.assert_allclose(model.predict_proba(X), mlp.predict_proba(parameters, X))


def test_a_list_of_activations_has_one_for_each_layer():
    with pytest.raises(ValueError, match="activation is a list of 1, expected 2"):
        MLPClassifier((6, 5), ["tanh"]).fit(X, Y)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile", HuberLoss(0.5)], ids=str)
def test_losses_of_regression(loss):
    y = X @ [1.0, -1.0, 0.5, 2.0]
    model = MLPRegressor(loss, (20,), random_state=0, learning_rate_init=0.01, max_iter=100)
    assert model.fit(X, y).score(X, y) > 0.8
    assert model.out_activation_ == "identity"


def test_schedules_and_optimizers_of_your_own():
    cosine = make_schedule("cosine", 0.1, total_steps=20)
    rates = []

    def rate(t):
        rates.append(cosine(t))
        return rates[-1]

    by_name = MLPClassifier(solver="sgd", momentum=0.0, learning_rate=rate, max_iter=20)
    by_name.set_params(random_state=0).fit(X, Y)
    assert rates == [cosine(t) for t in range(20)]
    as_object = MLPClassifier(solver=SGD(cosine), random_state=0, max_iter=20).fit(X, Y)
    np.testing.assert_array_equal(by_name.coefs_[0], as_object.coefs_[0])


def test_clipped_gradients_take_short_steps():
    settings = {"solver": "sgd", "momentum": 0.0, "alpha": 0.0, "random_state": 0, "max_iter": 1}
    starts = MLPClassifier(**settings, learning_rate_init=1e-30).fit(X, Y)
    model = MLPClassifier(**settings, learning_rate_init=1.0, clip_norm=0.01).fit(X, Y)
    moved = [
        ours - start
        for name in ("coefs_", "intercepts_")
        for ours, start in zip(getattr(model, name), getattr(starts, name), strict=True)
    ]
    assert np.sqrt(sum((each**2).sum() for each in moved)) == pytest.approx(0.01)


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_normalization(norm):
    model = MLPClassifier((8, 6), norm=norm, random_state=0, learning_rate_init=0.01).fit(X, Y)
    assert model.score(X, Y) > 0.95
    assert [set(layer) >= {"gamma", "beta"} for layer in model.norms_] == [True, True]
    if norm == "batch":
        assert np.any(model.norms_[0]["running_mean"] != 0.0)
    before = model.predict_proba(X)
    model.partial_fit(X, Y)
    assert np.abs(model.predict_proba(X) - before).max() > 0.0


@pytest.mark.parametrize("name", ["dropout", "input_dropout", "input_noise"])
def test_dropout_belongs_to_training_and_to_the_seed(name):
    settings = {name: 0.5, "max_iter": 5}
    model = MLPClassifier(**settings, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(X))
    again = MLPClassifier(**settings, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(again.coefs_[0], model.coefs_[0])
    without = MLPClassifier(max_iter=5, random_state=0).fit(X, Y)
    assert np.any(without.coefs_[0] != model.coefs_[0])
    for first, differs in ((model, True), (without, False)):  # from the same weights on
        one, other = (
            copy(first).set_params(random_state=seed, shuffle=False).partial_fit(X, Y).coefs_[0]
            for seed in (1, 2)
        )
        assert np.any(one != other) == differs


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_see_the_model_and_may_stop_it(solver):
    seen = []

    def callback(model):
        seen.append((model.n_iter_, model.loss_, model.score(X, Y)))
        return model.n_iter_ == 3

    model = MLPClassifier(solver=solver, random_state=0, callbacks=[callback, lambda _: None])
    model.fit(X, Y)
    assert [number for number, *_ in seen] == [1, 2, 3]
    assert model.n_iter_ == 3
    assert seen[-1][1:] == (model.loss_, model.score(X, Y))
    MLPClassifier(callbacks=callback).fit(X, Y)


def test_scores_of_the_held_out_part_count_the_weights_that_fit_was_given():
    """Not those of the classes, as elsewhere in scikit-learn."""
    weight = np.where(np.arange(150) % 2, 3.0, 1.0)
    settings = {
        "early_stopping": True,
        "random_state": 0,
        "max_iter": 1,
        "validation_fraction": 0.4,
    }
    steady = {**settings, "solver": "sgd", "learning_rate_init": 1e-30}  # the initial weights stay
    expected = MLPClassifier(**steady).fit(X, Y, weight)
    balanced = MLPClassifier(**steady, class_weight={0: 9.0, 2: 0.1}).fit(X, Y, weight)
    assert balanced.validation_scores_ == expected.validation_scores_
    assert balanced.validation_loss_curve_ != expected.validation_loss_curve_
    assert expected.validation_scores_ != MLPClassifier(**steady).fit(X, Y).validation_scores_


def test_without_scikit_learn_the_error_has_the_remedy_and_the_rest_works():
    code = """
import sys
sys.modules["sklearn"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "sklearn" else find(name, *rest)
from pluggable_mlp import *
import numpy as np
train(MLP([2, 3, 2]), np.ones((4, 2)), np.zeros(4, dtype=int), backend=get_backend("numpy"))
try:
    from pluggable_mlp import MLPClassifier
except ImportError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs sklearn, which is not installed; python -m pip install 'plugg" in run.stdout


@pytest.mark.parametrize(
    "parameters",
    [{"dropout": 0.1}, {"input_dropout": 0.1}, {"input_noise": 0.1}, {"norm": "batch"},
     {"clip_norm": 1.0}, {"n_members": 2}],
    ids=str,
)  # fmt: skip
def test_lbfgs_refuses_what_changes_its_loss(parameters):
    ((name, value),) = parameters.items()
    message = f"{name} is {value!r}, (and lbfgs needs one and the same|expected .* solver lbfgs)"
    with pytest.raises(ValueError, match=message):
        MLPClassifier(solver="lbfgs", **parameters).fit(X, Y)


def test_widths_and_callbacks_that_cannot_be_used_are_named():
    for widths in ([[5, 3]], [5, "a"], [[1, 2], 3], [4.0, 3.0], [True]):
        words = f"hidden_layer_sizes must be integers > 0, got {widths}."
        with pytest.raises(ValueError, match=re.escape(words)):
            MLPClassifier(widths).fit(X, Y)
    with pytest.raises(TypeError, match="callbacks holds 3, expected functions of estimators"):
        MLPClassifier(callbacks=[3]).fit([], [])  # before anything else


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_warnings_name_the_line_that_called_fit(solver):
    model = MLPClassifier(solver=solver, max_iter=1, batch_size=1000)
    with warnings.catch_warnings(record=True, action="always") as found:
        model.fit(X, Y)
    categories = {warning.category for warning in found}
    assert categories == {ConvergenceWarning} | ({UserWarning} if solver == "adam" else set())
    assert {warning.filename for warning in found} == {__file__}
