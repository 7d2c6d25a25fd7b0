"""The estimators on arrays of every backend: what comes in comes out, with the values of NumPy."""

import numpy as np
import pytest
import scipy.sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._array_api import (
    NamespaceAndDevice,
    yield_mixed_namespace_input_permutations,
    yield_namespace_device_dtype_combinations,
)
from sklearn.utils.estimator_checks import (
    check_array_api_input_and_values,
    check_array_api_mixed_inputs,
    check_array_api_same_namespace,
)

from pluggable_mlp import MLPClassifier, MLPRegressor, TableClassifier, TableRegressor, get_backend
from pluggable_mlp.backends import BackendUnavailable, backend_of
from tests.estimators.gpus import skip_without_gpu

pytestmark = [
    pytest.mark.as_user,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

ESTIMATORS = [
    MLPClassifier((8,), max_iter=15),
    MLPClassifier((8,), solver="lbfgs", alpha=1.0, max_iter=10),
    MLPRegressor(hidden_layer_sizes=(8,), early_stopping=True, max_iter=15),
]
EVERY_ESTIMATOR = pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
TABLES = [kind("none", hidden=8, max_iter=3) for kind in (TableClassifier, TableRegressor)]


@pytest.mark.parametrize("estimator", [*ESTIMATORS, *TABLES], ids=repr)
@pytest.mark.parametrize(
    ("namespace", "device", "dtype"), list(yield_namespace_device_dtype_combinations()), ids=str
)
def test_values_are_those_of_numpy(estimator, namespace, device, dtype):
    skip_without_gpu(namespace, device)
    check_array_api_input_and_values(
        type(estimator).__name__, estimator, namespace, device, dtype or "float64"
    )


MIXED = [
    *((y, X) for y, X, _ in yield_mixed_namespace_input_permutations()),
    (NamespaceAndDevice("numpy", None), NamespaceAndDevice("torch", "cpu")),
    (NamespaceAndDevice("torch", "cpu"), NamespaceAndDevice("numpy", None)),
    (NamespaceAndDevice("torch", "cpu"), NamespaceAndDevice("array_api_strict", "device1")),
]


@pytest.mark.parametrize("estimator", [*ESTIMATORS, *TABLES], ids=repr)
@pytest.mark.parametrize(("y", "X"), MIXED, ids=str)
def test_targets_follow_the_inputs(estimator, y, X):
    for place in (y, X):
        skip_without_gpu(place.xp, place.device)
    check_array_api_mixed_inputs(type(estimator).__name__, estimator, X, y, check_values=True)


@EVERY_ESTIMATOR
def test_other_arrays_than_those_of_fit_are_refused(estimator):
    check_array_api_same_namespace(type(estimator).__name__, estimator, "array_api_strict")
    here, there = (get_backend(f"array_api_strict:{device}") for device in ("cpu", "device1"))
    X = np.eye(30, 6)
    model = clone(estimator).fit(here.asarray(X), np.arange(30) % 2)
    with pytest.raises(ValueError, match="the same device as those passed to fit"):
        model.predict(there.asarray(X))


def close(result, expected, backend):
    """Of the backend, and NumPy's to the rounding of float32 or float64."""
    assert backend_of(result).device == backend.device
    tolerance = 1e-4 if backend.to_numpy(result).dtype == np.float32 else 1e-7
    np.testing.assert_allclose(backend.to_numpy(result), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "classes"), [("float32", 2), ("float64", 3)])
def test_classifier(backend, dtype, classes):
    """The global switch of scikit-learn is off."""
    X, y = make_classification(60, 6, n_informative=4, n_classes=classes, random_state=0)
    X, y = X.astype(dtype), y + 5
    settings = {"hidden_layer_sizes": (8, 4), "random_state": 0, "max_iter": 10}
    expected = MLPClassifier(**settings).fit(X, y)
    model = MLPClassifier(**settings).fit(backend.asarray(X), backend.asarray(y))
    inputs = backend.asarray(X)
    for name in ("predict", "predict_proba", "predict_log_proba"):
        close(getattr(model, name)(inputs), getattr(expected, name)(X), backend)
    for ours, theirs in zip(model.coefs_, expected.coefs_, strict=True):
        close(ours, theirs, backend)
    close(model.classes_, [5, 6, 7][:classes], backend)
    weight = np.arange(60.0)
    score = model.score(inputs, backend.asarray(y), backend.asarray(weight))
    assert score == pytest.approx(expected.score(X, y, weight), abs=1e-6)
    assert model.loss_curve_ == pytest.approx(expected.loss_curve_, rel=1e-4)


@pytest.mark.parametrize("model", TABLES, ids=repr)
def test_tables(backend, model):
    X, y = make_classification(60, 6, n_informative=4, n_classes=3, random_state=0)
    inputs, targets = backend.asarray(X), backend.asarray(y + 5)
    model = clone(model).set_params(random_state=0)
    expected = clone(model).fit(X, y + 5)
    model.fit(inputs, targets)
    for name in ("predict", "predict_proba")[: 1 + hasattr(model, "classes_")]:
        close(getattr(model, name)(inputs), getattr(expected, name)(X), backend)
    weight = np.arange(60.0)
    score = model.score(inputs, targets, backend.asarray(weight))
    assert score == pytest.approx(expected.score(X, y + 5, weight), abs=1e-5)
    assert model.score(X, y + 5, weight) == pytest.approx(score, abs=1e-5)


def test_texts_that_label_tables_are_answered_in_numpy(backend):
    X, names = np.eye(6), np.asarray(["no", "yes"] * 3)
    inputs = backend.asarray(X, "float32")
    model = clone(TABLES[0]).fit(inputs, names)
    predicted = model.predict(inputs)
    assert set(predicted.tolist()) <= {"no", "yes"}
    assert model.score(inputs, names) == np.mean(predicted == names)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int8", "int32", "float32"])
def test_numbers_of_any_type_are_labels(backend, dtype):
    X = backend.asarray(np.arange(12.0).reshape(6, 2))
    y = backend.asarray(np.asarray([7, 3, 7, 9, 3, 3]).astype(dtype))
    model = MLPClassifier((4,), random_state=0, max_iter=2).partial_fit(X, y, classes=[3, 7, 9])
    assert set(backend.to_numpy(model.predict(X)).tolist()) <= {3, 7, 9}
    model = MLPClassifier((4,), random_state=0, max_iter=2).fit(X, y)
    assert backend.to_numpy(model.classes_).tolist() == [3, 7, 9]
    predicted = backend.to_numpy(model.predict(X))
    assert np.issubdtype(predicted.dtype, np.integer) == (dtype != "float32")
    assert model.score(X, y) == np.mean(predicted == backend.to_numpy(y))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_single_input_that_is_not_finite_is_refused(backend, wrong):
    X = np.zeros((333, 17), "float32")
    model = MLPClassifier((2,), max_iter=1).fit(backend.asarray(X), np.arange(333) % 2)
    X[-1, -1] = wrong
    for method in (model.predict, lambda X: model.fit(X, np.arange(333) % 2)):
        with pytest.raises(ValueError, match="contains (NaN|infinity)"):
            method(backend.asarray(X))


def test_strings_and_arrays_of_another_library_are_labels():
    torch = pytest.importorskip("torch")
    X, y = make_classification(60, 6, random_state=0)
    names = np.asarray(["no", "yes"])[y]
    model = MLPClassifier((8,), random_state=0, max_iter=20).fit(torch.asarray(X), names)
    predicted = model.predict(torch.asarray(X))
    assert isinstance(predicted, np.ndarray)
    assert set(predicted) <= {"no", "yes"}
    assert model.score(torch.asarray(X), names) == np.mean(predicted == names)
    assert model.predict_proba(torch.asarray(X)).dtype == torch.float64


@pytest.mark.parametrize("spec", ["torch", "jax:cpu", "array_api_strict:device1"])
def test_training_elsewhere_gives_attributes_and_predictions_where_the_input_lives(spec):
    try:
        get_backend(spec)
    except BackendUnavailable as why:
        pytest.skip(str(why))
    X, y = make_classification(60, 6, random_state=0)
    settings = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 10}
    expected = MLPClassifier(**settings).fit(X, y)
    name, _, device = spec.partition(":")
    model = MLPClassifier(**settings, backend=name, device=device or None).fit(X, y)
    assert all(type(array) is np.ndarray for array in (*model.coefs_, *model.intercepts_))
    np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(X), rtol=1e-7)
    model.partial_fit(X, y)
    np.testing.assert_allclose(
        model.predict_proba(X), expected.partial_fit(X, y).predict_proba(X), rtol=1e-7
    )


@pytest.mark.parametrize("name", ["torch", "jax", "array_api_strict"])
@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "lbfgs"},
        {"early_stopping": True},
        {"input_dropout": 0.2},
        {"input_noise": 0.2},
    ],
    ids=str,
)
def test_sparse_rows_are_trained_on_elsewhere(name, settings):
    try:
        get_backend(name)
    except BackendUnavailable as why:
        pytest.skip(str(why))
    X, y = make_classification(60, 6, random_state=0)
    rows = scipy.sparse.csr_array(np.where(X > 0.5, X, 0.0))
    settings = {
        "hidden_layer_sizes": (8,),
        "random_state": 0,
        "max_iter": 5,
        "batch_size": 20,
    } | settings
    dense = rows.toarray()
    expected = MLPClassifier(**settings).fit(dense, y).predict_proba(dense)
    model = MLPClassifier(**settings, backend=name).fit(rows, y)
    np.testing.assert_allclose(model.predict_proba(rows), expected, rtol=1e-6)


def test_balanced_classes_with_weights_have_the_same_bits_on_two_libraries():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)  # sums of these weights in float32 differ between the two
    weight, y = rng.exponential(size=3001).astype("float32"), rng.integers(0, 2, 3001)
    data = rng.standard_normal((3001, 4)).astype("float32"), y, weight
    settings = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 2}
    settings |= {"arithmetic": "reproducible", "class_weight": "balanced"}
    here = MLPClassifier(**settings).fit(*data)
    there = MLPClassifier(**settings).fit(*map(torch.asarray, data))
    assert here.coefs_[0].tobytes() == there.coefs_[0].numpy().tobytes()


def test_pipelines_and_searches_with_dispatch():
    """scikit-learn passes arrays of PyTorch on to its own array-API code and to ours."""
    torch = pytest.importorskip("torch")
    X, y = make_classification(90, 6, random_state=0)
    X, y = torch.asarray(X), torch.asarray(y)
    pipeline = make_pipeline(
        StandardScaler(), MLPClassifier((8,), max_iter=60, learning_rate_init=0.01, random_state=0)
    )
    with config_context(array_api_dispatch=True):
        assert isinstance(pipeline.fit(X, y).predict(X), torch.Tensor)
        scores = cross_validate(pipeline, X, y, cv=3)["test_score"]
        grid = {"mlpclassifier__hidden_layer_sizes": [(2,), (8,)]}
        search = GridSearchCV(pipeline, grid, cv=3, scoring="accuracy").fit(X, y)
        assert isinstance(search.best_estimator_[-1].coefs_[0], torch.Tensor)
    assert scores.mean() > 0.75
    expected = GridSearchCV(pipeline, grid, cv=3).fit(X.numpy(), y.numpy())
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )
