"""The metric of the estimators for tables: it chooses the epoch that is kept, and ends training."""

from types import SimpleNamespace

import numpy as np
import pytest

from pluggable_mlp import TableClassifier, TableRegressor, get_backend
from pluggable_mlp.estimators import tables
from tests.estimators.tables import COLUMNS, LABELS, PRICES, pl

sklearn = pytest.importorskip("sklearn")
metrics = pytest.importorskip("sklearn.metrics")
pytestmark = pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")
X = pl.DataFrame(COLUMNS)
THREE = np.asarray(["a", "b", "c"])[np.random.default_rng(1).integers(0, 3, len(X))]
QUICK = {"max_iter": 12, "random_state": 0, "n_members": 1, "hidden": (8,), "learning_rate": 0.1}
ERRORS = {
    "accuracy": lambda y, p, classes: 1 - metrics.accuracy_score(y, classes[p.argmax(axis=1)]),
    "neg_log_loss": lambda y, p, classes: metrics.log_loss(y, p, labels=classes),
    "roc_auc": lambda y, p, classes: (
        1 - metrics.roc_auc_score(y, p[:, 1] if len(classes) == 2 else p, multi_class="ovr")
    ),
    "squared_error": lambda y, p, _: metrics.mean_squared_error(y, p),
    "neg_mean_absolute_error": lambda y, p, _: metrics.mean_absolute_error(y, p),
}


def fitted(metric, y, recipe="realmlp-td-s", **parameters):
    """A model, and the error by the metric of the rows that validated it."""
    kind = TableRegressor if metric.endswith("error") else TableClassifier
    model = kind(recipe, metric=metric, **QUICK | parameters)
    y = np.asarray(y)
    model.fit(X[:40], y[:40], eval_set=(X[40:], y[40:]))
    answers = model.predict(X[40:]) if kind is TableRegressor else model.predict_proba(X[40:])
    return model, ERRORS[metric](y[40:], answers, getattr(model, "classes_", None))


@pytest.mark.parametrize(
    ("metric", "y"),
    [
        *((of, y) for of in ("accuracy", "neg_log_loss", "roc_auc") for y in (LABELS, THREE)),
        *((of, PRICES) for of in ("squared_error", "neg_mean_absolute_error")),
    ],
)
def test_the_epoch_that_is_kept_is_the_best_by_scikit_learns_metric(metric, y):
    model, error = fitted(metric, y)
    errors = model.validation_errors_
    assert errors[model.best_iteration_ - 1] == pytest.approx(error, rel=1e-5, abs=1e-12)
    assert error == pytest.approx(min(errors), rel=1e-5, abs=1e-12)
    assert len(set(errors)) > 2


def test_early_stopping_follows_the_metric():
    stopped = [fitted(of, THREE, early_stopping=2)[0] for of in ("neg_log_loss", "roc_auc")]
    assert [model.n_iter_ - model.best_iteration_ for model in stopped] == [2, 2]
    assert stopped[0].n_iter_ != stopped[1].n_iter_


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc"])
def test_labels_are_not_smoothed_for_probabilities_unless_that_is_asked_for(metric):
    plain, off, on = (
        TableClassifier(metric=metric, label_smoothing=share, **QUICK).fit(X, LABELS)
        for share in (None, 0.0, 0.1)
    )
    by_accuracy = TableClassifier(metric="accuracy", **QUICK).fit(X, LABELS)
    assert plain.loss_curve_ == off.loss_curve_ != on.loss_curve_ == by_accuracy.loss_curve_


@pytest.mark.parametrize("recipe", ["realmlp-td-s", "tabm-mini"])
@pytest.mark.parametrize("metric", ["neg_log_loss", "roc_auc", "absolute_error"])
def test_reproducible_metrics_have_the_same_bits(metric, recipe):
    pytest.importorskip("torch")
    y = PRICES if metric == "absolute_error" else THREE
    kind = TableRegressor if metric == "absolute_error" else TableClassifier
    parameters = QUICK | {"max_iter": 3, "n_members": 2, "arithmetic": "reproducible"}
    parameters |= {"calibrate": True} if kind is TableClassifier else {}
    models = [
        kind(recipe, metric=metric, backend=backend, **parameters).fit(X, y)
        for backend in ("numpy", "torch", "array_api_strict")
    ]
    assert models[0].validation_errors_ == models[1].validation_errors_
    assert models[0].validation_errors_ == models[2].validation_errors_
    assert len({getattr(model, "temperature_", 2.0) for model in models} - {1.0}) == 1
    assert len({model.parameters_sha256_ for model in models}) == 1
    if kind is TableClassifier:  # the hash is that of the calibrated parameters
        uncalibrated = models[0].set_params(calibrate=False).fit(X, y)
        assert uncalibrated.parameters_sha256_ != models[1].parameters_sha256_


def test_calibrate_divides_by_the_temperature_of_the_least_log_loss(tmp_path):
    optimize, special = (pytest.importorskip(f"scipy.{name}") for name in ("optimize", "special"))
    x, y = pytest.importorskip("sklearn.datasets").load_breast_cancer(return_X_y=True)
    held, rest = x[::3], np.arange(len(x)) % 3 > 0
    plain, model = (TableClassifier(calibrate=of, dtype="float64", **QUICK) for of in (False, True))
    for one in (plain, model):
        one.fit(x[rest], y[rest], eval_set=(held, y[::3]))
    logits = np.log(plain.predict_proba(x))
    best = optimize.minimize_scalar(
        lambda t: metrics.log_loss(y[::3], special.softmax(logits[::3] / t, axis=1)),
        bounds=(0.25, 4.0), method="bounded",
    ).x  # fmt: skip
    assert model.temperature_ == pytest.approx(best, rel=2e-3)
    assert abs(best - plain.temperature_) > 0.05
    p = model.predict_proba(x)
    np.testing.assert_allclose(p, special.softmax(logits / model.temperature_, axis=1), rtol=1e-9)
    assert (model.predict(x) == plain.predict(x)).all()
    model.save(tmp_path / "model")
    loaded = TableClassifier.load(tmp_path / "model")
    assert loaded.temperature_ == model.temperature_
    assert (loaded.predict_proba(x) == p).all()
    with pytest.raises(ValueError, match="calibrate is True, expected a validation part: valid"):
        model.set_params(validation_fraction=0).fit(x, y)


def test_calibrate_finds_the_least_of_two_minima():
    """Of the mean of three members' probabilities: near 0.5 the log loss is 0.99, near 3.8 0.90."""
    logits = np.asarray([[0.45, -5.67], [-0.29, -5.77], [0.21, 1.97]])

    def validated(parameters, metric):
        p = 1 / (1 + np.exp(-parameters[0]["W"]))
        return {metric: -np.log(p.mean(axis=1)).mean()}

    plan = SimpleNamespace(options=SimpleNamespace(arithmetic="native"))
    _, temperature = tables._calibrate(SimpleNamespace(
        parameters=[{"W": logits}], backend=get_backend("numpy"), plan=plan, validate=validated
    ))  # fmt: skip
    grid = np.geomspace(0.25, 4.0, 4001)
    losses = [validated([{"W": logits / one}], "loss")["loss"] for one in grid]
    assert temperature == pytest.approx(grid[np.argmin(losses)], rel=2e-3)


@pytest.mark.parametrize(
    ("kind", "metric", "fault"),
    [
        (TableClassifier, "auc", "is 'auc', expected one of accuracy, log_loss, roc_auc, neg_log"),
        (
            TableClassifier,
            "squared_error",
            "metric for classification is 'squared_error', expected",
        ),
        (TableRegressor, "roc_auc", "metric for regression is 'roc_auc', expected one of squ"),
    ],
)
def test_other_metrics_are_refused(kind, metric, fault):
    with pytest.raises(ValueError, match=fault):
        kind(metric=metric).fit(X, PRICES if kind is TableRegressor else LABELS)


@pytest.mark.parametrize("y", [LABELS, THREE], ids=["two", "three"])
def test_an_area_needs_two_classes_in_the_validation_part(y):
    """One is refused before a training that would diverge."""
    is_first = np.asarray(y) == y[0]
    one_class = X.filter(is_first), [y[0]] * is_first.sum()
    diverging = {"learning_rate": 1e38, "schedule": "none", "batch_size": 8}
    model = TableClassifier(metric="roc_auc", **QUICK | diverging)
    vanishing = np.where(is_first, 1.0, 1e-50)  # in float32
    for weights, eval_set in ((None, one_class), (is_first, None), (vanishing, None)):
        words = "all validation examples whose weights count are of one class, expected two"
        with pytest.raises(ValueError, match=f"metric is 'roc_auc', and {words}"):
            model.fit(X, y, weights, eval_set=eval_set)


@pytest.mark.parametrize("fraction", [0.0, 0.2])
def test_verbose_prints_the_errors_that_there_are(capsys, fraction):
    settings = {"arithmetic": "reproducible", "validation_fraction": fraction, "verbose": True}
    model = TableClassifier(**QUICK | {"max_iter": 2}, **settings).fit(X, LABELS)
    errors = [f", validation error = {error:.6g}" for error in model.validation_errors_] or [""] * 2
    losses = [f"Epoch {n}, loss = {loss:.6g}" for n, loss in enumerate(model.loss_curve_, 1)]
    assert capsys.readouterr().out.splitlines() == [*map("".join, zip(losses, errors, strict=True))]


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_search_over_width_rate_and_metric(library):
    """On an array of a library; each of them changes what is found."""
    search = pytest.importorskip("sklearn.model_selection").GridSearchCV
    x, y = pytest.importorskip("sklearn.datasets").load_wine(return_X_y=True)
    x = x if library == "numpy" else pytest.importorskip("torch").asarray(x)
    grid = {
        "hidden": [(8,), (16,)],
        "learning_rate": [0.02, 0.1],
        "metric": ["log_loss", "roc_auc"],
    }
    model = TableClassifier(max_iter=8, random_state=0)
    with sklearn.config_context(array_api_dispatch=library != "numpy"):
        found = search(model, grid, cv=2, scoring="neg_log_loss").fit(x, y)
    assert set(found.best_params_) == set(grid)
    scores = found.cv_results_["mean_test_score"].reshape(2, 2, 2)
    assert all(np.diff(scores, axis=axis).any() for axis in range(3))
    assert found.best_estimator_.metric == found.best_params_["metric"]
