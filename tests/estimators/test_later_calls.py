"""What a second call finds of the first: other solvers, libraries, records and parameters."""

import copy
import sys

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from pluggable_mlp import MLPClassifier, SoftmaxCrossEntropy

pytestmark = [
    pytest.mark.as_user,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

X, Y = load_iris(return_X_y=True)


def test_training_goes_on_in_the_library_of_the_new_arrays(backend):
    models = [MLPClassifier((8,), random_state=0, max_iter=2, warm_start=True) for _ in "ab"]
    moved = backend.asarray(X), backend.asarray(Y)
    for later, model in zip(((X, Y), moved), models, strict=True):
        model.fit(X, Y).partial_fit(*later).fit(*later)
    found = models[1].predict_proba(moved[0])
    np.testing.assert_allclose(backend.to_numpy(found), models[0].predict_proba(X), rtol=1e-7)
    models[1].partial_fit(X, Y)  # and back
    assert models[1].predict(X).shape == (150,)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_later_steps_write_over_no_arrays_of_before(backend, solver):
    """Which a shallow copy shares: it predicts as before, and trains on as the original does."""
    X_, y = backend.asarray(X), backend.asarray(Y)
    model = MLPClassifier((8,), solver=solver, batch_size=50, max_iter=2, random_state=0).fit(X_, y)
    before = backend.to_numpy(model.predict_proba(X_)).copy()
    shared = copy.copy(model)
    model.partial_fit(X_, y)
    assert (len(shared.loss_curve_), len(model.loss_curve_)) == (2, 3)
    np.testing.assert_array_equal(backend.to_numpy(shared.predict_proba(X_)), before)
    after = backend.to_numpy(model.predict_proba(X_))
    shared.partial_fit(X_, y)
    np.testing.assert_array_equal(backend.to_numpy(shared.predict_proba(X_)), after)


def test_a_model_of_scikit_learn_that_stopped_early_trains_on():
    reference = theirs.MLPClassifier(max_iter=4, early_stopping=True, warm_start=True).fit(X, Y)
    model = MLPClassifier.from_sklearn(reference).fit(X, Y)
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


def raising(model):
    raise RuntimeError("a callback of the user's")


def interrupted(model):
    if model.n_iter_ == 2:
        raise KeyboardInterrupt("in a callback")


class FailingLoss(SoftmaxCrossEntropy):
    """A user's loss, which fails at one of its calls."""

    def __init__(self, error, call):
        super().__init__()
        self.__dict__.update(error=error, left=iter(range(call - 1)))

    def __call__(self, *arguments):
        if next(self.left, None) is None:
            raise self.error
        return super().__call__(*arguments)


HUGE = X * 2e307
SGD = {"solver": "sgd", "batch_size": 10}
OTHER = np.asarray(["north", "south"])[Y % 2]
WEIGHTS = ValueError, "Sample weights must contain at least one non-zero number"
RAISES = RuntimeError, "a callback of the user's"
NO_MEMORY = MemoryError, "no memory for this step"
CTRL_C = KeyboardInterrupt, "at this step"
FAILURES = {
    "other classes, all weights zero": (WEIGHTS, {}, ("fit", X, OTHER, np.zeros(150))),
    "fewer features, a callback": (RAISES, {"callbacks": raising}, ("fit", X[:, 1:], Y)),
    "lbfgs, a callback": (
        RAISES,
        {"solver": "lbfgs", "alpha": 1.0, "callbacks": raising},
        ("fit", X, OTHER),
    ),
    "second epoch, no memory": (NO_MEMORY, {"fails_at": 20}, ("fit", X, Y)),
    "first epoch, Ctrl-C": (CTRL_C, {"fails_at": 5}, ("fit", X, Y)),
    "lbfgs, Ctrl-C": (
        (KeyboardInterrupt, "in a callback"),
        {"solver": "lbfgs", "callbacks": interrupted},
        ("fit", X, OTHER),
    ),
    "one step more, Ctrl-C": (CTRL_C, {"fails_at": 5}, ("partial_fit", X, Y)),
    "one step more, a callback": (RAISES, {"callbacks": raising}, ("partial_fit", X, Y)),
}
"""Of each the error and its message, the parameters, and the call that fails.

`fails_at` says at which call the loss raises the error.
"""


@pytest.mark.parametrize(
    ("learning_rate", "failure"),
    # A rate that falls has a state more to be left as it was.
    [("constant", "second epoch, no memory"), *(("invscaling", each) for each in FAILURES)],
)
def test_a_fit_that_fails_leaves_the_one_before(failure, learning_rate, tmp_path):
    """Its predictions, attributes and records, what is saved, and how it trains on."""
    settings = {"learning_rate": learning_rate, "random_state": 0, "max_iter": 3, **SGD}
    models = [MLPClassifier((8,), **settings).fit(X, Y) for _ in range(2)]
    before = models[0].get_params()
    (error, message), parameters, (method, *data) = FAILURES[failure]
    parameters = dict(parameters)
    if call := parameters.pop("fails_at", None):
        parameters["loss"] = FailingLoss(error(message), call)
    with pytest.raises(error, match=message):
        getattr(models[0].set_params(**parameters), method)(*data)
    for model in models:
        model.set_params(**before)
    for _ in range(2):
        found, expected = ({k: v for k, v in vars(m).items() if k.endswith("_")} for m in models)
        np.testing.assert_equal(found, expected)
        np.testing.assert_array_equal(*(model.predict_proba(X) for model in models))
        for model in models:
            model.save(tmp_path / "model")
            loaded = MLPClassifier.load(tmp_path / "model")
            np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
            model.partial_fit(X, Y)


@pytest.mark.parametrize("failure", [HUGE, X[:, :0]], ids=["divergence", "no features"])
def test_a_first_fit_that_fails_leaves_none(failure):
    model = MLPClassifier((8,), max_iter=3, random_state=0, **SGD)
    with pytest.raises(ValueError, match="non-finite|0 feature"):
        model.fit(failure, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)
    with pytest.raises(ValueError, match="non-finite|0 feature"):
        model.partial_fit(failure, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, Y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_until_a_fit_has_succeeded_the_estimator_is_the_one_before(solver):
    """A callback gets the one that is being fitted."""
    model = MLPClassifier((8,), max_iter=3, random_state=0).fit(X, Y)
    expected, seen = model.predict_proba(X), []

    def callback(fitted):
        np.testing.assert_array_equal(model.predict_proba(X), expected)
        seen.append(fitted.predict_proba(X))

    model.set_params(solver=solver, alpha=1.0, callbacks=callback).fit(X, Y)
    assert len(seen) == model.n_iter_ > 1
    assert np.abs(seen[0] - expected).max() > 0.0
    np.testing.assert_array_equal(model.predict_proba(X), seen[-1])


class Interruption:
    """Raises KeyboardInterrupt at one of the calls of the package's functions."""

    def __init__(self, call=None, within="pluggable_mlp."):
        self.call, self.within, self.count = call, within, 0

    def __enter__(self):
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _profile(self, frame, event, _):
        if event == "call" and frame.f_globals.get("__name__", "").startswith(self.within):
            self.count += 1
            if self.count == self.call:
                raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:Training interrupted")
# Python drops an interrupt while it closes a generator, and says so: the fit goes on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("warm_start", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_wherever_a_fit_is_interrupted_there_is_a_whole_one(warm_start):
    """The one before, or one of the epochs so far."""
    settings = {"batch_size": 50, "max_iter": 4, "early_stopping": True, "random_state": 0}
    first = MLPClassifier((5,), **settings, warm_start=warm_start).fit(X, Y)
    fitted = ("coefs_", "intercepts_", "loss_curve_", "validation_scores_", "_optimizer_state")
    with Interruption() as calls:
        copy.copy(first).fit(X, Y)
    ends = set()
    for call in np.random.default_rng(0).integers(1, calls.count, 20):
        model = copy.copy(first)
        raised = False
        try:
            with Interruption(call):
                model.fit(X, Y)
        except KeyboardInterrupt:
            raised = True
        kept = {getattr(model, name) is getattr(first, name) for name in fitted}
        assert kept == {raised}
        epochs = len(model.loss_curve_) - warm_start * len(first.loss_curve_)
        assert raised or 0 < epochs == model.n_iter_ <= 4
        lengths = map(len, (model.validation_scores_, model.validation_loss_curve_))
        assert {*lengths} == {len(model.loss_curve_)}
        ends.add(raised)
    assert ends == {True, False}


@pytest.mark.filterwarnings("ignore:Training interrupted")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_wherever_a_fit_is_interrupted_its_rate_is_that_of_its_epochs():
    """One step more is that after a fit of as many epochs, its learning rate and momentum too."""
    of_epochs = "pluggable_mlp.estimators.solvers"
    settings = {"solver": "sgd", "learning_rate": "invscaling", "batch_size": 150}

    def models(max_iter):
        return MLPClassifier((2,), max_iter=max_iter, random_state=0, **settings)

    expected = [models(epochs).fit(X, Y).partial_fit(X, Y).coefs_[0] for epochs in (1, 2, 3)]
    with Interruption(within=of_epochs) as calls:
        models(3).fit(X, Y)
    seen = set()
    for call in range(1, calls.count, 3):
        model = models(3)
        try:
            with Interruption(call, within=of_epochs):
                model.fit(X, Y)
        except KeyboardInterrupt:
            continue
        epochs = model.n_iter_
        np.testing.assert_array_equal(model.partial_fit(X, Y).coefs_[0], expected[epochs - 1])
        seen.add(epochs)
    assert seen >= {1, 2}
