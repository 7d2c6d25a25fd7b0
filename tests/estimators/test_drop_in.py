"""One import line changed: the parameters, the attributes and the numbers of scikit-learn's MLP."""

import inspect

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_iris,
    make_multilabel_classification,
    make_regression,
)
from sklearn.preprocessing import scale

from pluggable_mlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PAIRS = [(MLPClassifier, theirs.MLPClassifier), (MLPRegressor, theirs.MLPRegressor)]


def parameters(kind):
    signature = inspect.signature(kind)
    return {name: (of.default, of.kind) for name, of in signature.parameters.items()}


@pytest.mark.parametrize(("ours", "their"), PAIRS)
def test_parameters_have_their_names_order_and_defaults(ours, their):
    expected = parameters(their)
    found = parameters(ours)
    assert list(found)[: len(expected)] == list(expected)
    assert {name: found[name] for name in expected} == expected
    assert all(of[1] is inspect.Parameter.KEYWORD_ONLY for of in list(found.values())[2 + 1 :])


@pytest.mark.parametrize(("ours", "their"), PAIRS)
@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=str)
def test_attributes_and_methods_have_their_names(ours, their, settings):
    X, y = load_iris(return_X_y=True)
    known = their(max_iter=3, **settings).fit(X, y)
    model = ours(max_iter=3, **settings).fit(X, y)
    public = {name for name in dir(known) if not name.startswith("_")}
    if model.solver == "lbfgs":
        public.discard("partial_fit")  # their regressor offers it, and it fails
    assert public - set(dir(model)) == set()


IRIS, CANCER = load_iris(return_X_y=True), load_breast_cancer(return_X_y=True)
CANCER = scale(CANCER[0]), CANCER[1]
DIABETES = load_diabetes(return_X_y=True)
COUNTS = DIABETES[0], np.round(DIABETES[1] / 50)
WEIGHTS = np.random.default_rng(0).integers(1, 4, 150).astype(float)

SAME = [
    (MLPClassifier, IRIS, {}),
    (MLPClassifier, IRIS, {"batch_size": 40, "activation": "logistic"}),
    (MLPClassifier, IRIS, {"solver": "sgd", "learning_rate": "invscaling", "batch_size": 64}),
    (MLPClassifier, IRIS, {"solver": "sgd", "momentum": 0.5, "nesterovs_momentum": False}),
    (MLPClassifier, IRIS, {"hidden_layer_sizes": (), "solver": "sgd", "momentum": 0.0}),
    (MLPClassifier, IRIS, {"shuffle": False, "batch_size": 16, "alpha": 1.0, "epsilon": 0.1}),
    (
        MLPClassifier,
        CANCER,
        {
            "solver": "sgd",
            "learning_rate": "adaptive",
            "learning_rate_init": 0.1,
            "n_iter_no_change": 2,
            "tol": 1e-3,
        },
    ),
    (MLPClassifier, CANCER, {"early_stopping": True, "hidden_layer_sizes": (10, 5)}),
    (MLPClassifier, make_multilabel_classification(random_state=0), {"activation": "tanh"}),
    (MLPRegressor, DIABETES, {"early_stopping": True, "activation": "identity"}),
    (MLPRegressor, COUNTS, {"loss": "poisson"}),
    (MLPRegressor, (COUNTS[0], np.stack([COUNTS[1]] * 3, 1)), {"loss": "poisson", "alpha": 9.0}),
    (MLPRegressor, make_regression(60, 5, n_targets=3, random_state=0), {"max_iter": 10}),
]


@pytest.mark.parametrize(("kind", "data", "settings"), SAME, ids=lambda of: str(of)[:60])
def test_a_seed_gives_their_model(kind, data, settings):
    """The same random numbers, so the same parameters, but for rounding."""
    settings = {"learning_rate_init": 0.01, "max_iter": 30, "random_state": 7, **settings}
    ours = kind(**settings).fit(*data)
    known = getattr(theirs, kind.__name__)(**settings).fit(*data)
    for name in ("coefs_", "intercepts_"):
        for found, expected in zip(getattr(ours, name), getattr(known, name), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    assert (ours.n_iter_, ours.t_, ours.n_layers_) == (known.n_iter_, known.t_, known.n_layers_)
    assert (ours.n_outputs_, ours.out_activation_) == (known.n_outputs_, known.out_activation_)
    scores = known.validation_scores_
    assert ours.validation_scores_ == (scores and pytest.approx(scores, rel=1e-6))
    if ours.n_outputs_ == 1 and ours.loss != "poisson":
        assert ours.loss_curve_ == pytest.approx(known.loss_curve_, rel=1e-6)
    np.testing.assert_allclose(ours.predict(data[0]), known.predict(data[0]), rtol=1e-6)


@pytest.mark.parametrize("batch_size", [150, 40])
def test_weights_of_examples_count_as_theirs(batch_size):
    settings = {"max_iter": 20, "random_state": 0, "batch_size": batch_size, "alpha": 0.1}
    ours = MLPClassifier(**settings).fit(*IRIS, sample_weight=WEIGHTS)
    known = theirs.MLPClassifier(**settings).fit(*IRIS, sample_weight=WEIGHTS)
    assert ours.loss_curve_ == pytest.approx(known.loss_curve_, rel=1e-9)
    np.testing.assert_allclose(ours.coefs_[0], known.coefs_[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("solver", [{}, {"solver": "sgd", "learning_rate": "invscaling"}], ids=str)
def test_partial_fit_gives_their_model(solver):
    settings = {"random_state": 3, "batch_size": 32, **solver}
    models = [MLPClassifier(**settings), theirs.MLPClassifier(**settings)]
    for model in models:
        for part in (slice(0, 70), slice(70, 150), slice(20, 90)):
            model.partial_fit(IRIS[0][part], IRIS[1][part], classes=[0, 1, 2])
    np.testing.assert_allclose(models[0].coefs_[1], models[1].coefs_[1], rtol=1e-7, atol=1e-10)
    assert models[0].t_ == models[1].t_ == 220


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_warm_start_takes_the_weights_and_no_memory_of_the_optimizer(solver):
    settings = {"random_state": 0, "solver": solver, "max_iter": 5, "warm_start": True}
    models = [MLPClassifier(**settings), theirs.MLPClassifier(**settings)]
    for model in models:
        model.fit(*IRIS).fit(*IRIS)
    np.testing.assert_allclose(models[0].coefs_[0], models[1].coefs_[0], rtol=1e-6, atol=1e-9)
    assert models[0].loss_curve_ == pytest.approx(models[1].loss_curve_, rel=1e-9)


def test_the_best_loss_is_the_least_of_all_epochs():
    settings = {"random_state": 0, "solver": "sgd", "learning_rate_init": 0.2, "max_iter": 20}
    models = [MLPClassifier(**settings).fit(*IRIS), theirs.MLPClassifier(**settings).fit(*IRIS)]
    model, known = models
    assert max(model.loss_curve_) > model.loss_curve_[0] > model.loss_ > min(model.loss_curve_)
    assert model.best_loss_ == min(model.loss_curve_)
    assert model.best_loss_ == pytest.approx(known.best_loss_, rel=1e-6)
    for each in models:
        assert each.set_params(early_stopping=True).fit(*IRIS).best_loss_ is None


@pytest.mark.parametrize("outputs", [1, 2])
def test_scores_count_weights_of_examples(outputs):
    """One of weight 3 counts as three; R² as its definition says."""
    X, y = make_regression(40, 5, n_targets=outputs, noise=30.0, random_state=0)
    model = MLPRegressor(max_iter=200, learning_rate_init=0.1, random_state=0).fit(X, y)
    repeated = np.repeat(np.arange(40), WEIGHTS[:40].astype(int))
    t, predicted = y[repeated], model.predict(X[repeated])
    squares = ((t - predicted) ** 2).sum(axis=0), ((t - t.mean(axis=0)) ** 2).sum(axis=0)
    score = model.score(X, y, sample_weight=WEIGHTS[:40])
    assert score == pytest.approx(np.mean(1.0 - squares[0] / squares[1]), rel=1e-9)
    assert abs(score - model.score(X, y)) > 1e-6
    classifier = MLPClassifier(max_iter=5, random_state=0).fit(*IRIS)
    right = classifier.predict(IRIS[0]) == IRIS[1]
    assert classifier.score(*IRIS, WEIGHTS) == pytest.approx(WEIGHTS[right].sum() / WEIGHTS.sum())


@pytest.mark.parametrize(
    ("kind", "data"),
    [  # the test below has the classifier
        pytest.param(MLPClassifier, CANCER, id="MLPClassifier-cancer", marks=pytest.mark.slow),
        pytest.param(MLPClassifier, IRIS, id="MLPClassifier-iris", marks=pytest.mark.slow),
        pytest.param(MLPRegressor, IRIS, id="MLPRegressor-iris"),
    ],
)
def test_lbfgs_reaches_their_loss(kind, data):
    """By another line search: not the same steps, and as low a minimum, where theirs stays.

    There are several, and the last bit of a product may decide between them.
    """
    settings = {"solver": "lbfgs", "activation": "tanh", "alpha": 0.1, "max_iter": 1000}
    ours = kind(**settings, hidden_layer_sizes=(20,), random_state=0).fit(*data)
    known = getattr(theirs, kind.__name__)(**settings, hidden_layer_sizes=(20,), random_state=0)
    assert ours.loss_ <= 1.02 * known.fit(*data).loss_
    assert ours.to_sklearn().set_params(warm_start=True).fit(*data).loss_ == pytest.approx(
        ours.loss_, rel=0.02
    )


def test_learning_rates_follow_their_rules():
    """What two of scikit-learn's own tests read of a private attribute."""
    X, y = [[3, 2], [1, 6], [5, 6], [-2, -4]], [1, 1, 1, 0]
    settings = {"solver": "sgd", "hidden_layer_sizes": 4, "max_iter": 1, "warm_start": True}
    model = MLPClassifier(**settings, learning_rate="invscaling", power_t=0.25).fit(X, y).fit(X, y)
    assert model._rate.value == model.learning_rate_init / (8 + 1) ** 0.25
    adaptive = MLPClassifier(tol=0.5, max_iter=3000, solver="sgd", learning_rate="adaptive")
    adaptive.fit(X, y)
    assert adaptive.n_iter_ < 3000
    assert adaptive._rate.value < 1e-6


class FewerClassifier(MLPClassifier):
    def __init__(self, hidden_layer_sizes=(5,)):
        super().__init__(hidden_layer_sizes, max_iter=5, arithmetic="reproducible")


class MoreRegressor(MLPRegressor):
    def __init__(self, width=4, *, random_state=None):
        super().__init__(hidden_layer_sizes=(width,), max_iter=5, random_state=random_state)
        self.width = width


@pytest.mark.parametrize(
    ("kind", "parameters", "width"),
    [
        (FewerClassifier, {"hidden_layer_sizes": (3,)}, 3),
        (MoreRegressor, {"width": 6, "random_state": 1}, 6),
    ],
)
def test_a_subclass_may_have_parameters_of_its_own(kind, parameters, width, tmp_path):
    model = kind(**parameters)
    assert model.get_params() == parameters
    X, y = load_iris(return_X_y=True)
    fitted = clone(model).fit(X, y)
    assert fitted.coefs_[0].shape == (4, width)
    assert fitted.n_iter_ == 5
    fitted.save(tmp_path / "model")
    again = kind.load(tmp_path / "model")
    assert again.get_params() == parameters
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
