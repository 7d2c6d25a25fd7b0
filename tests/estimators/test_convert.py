"""Fitted weights in other libraries and in files: there they predict what they predict here."""

import copy
import pickle

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.datasets import load_iris, make_multilabel_classification, make_regression

from pluggable_mlp import HuberLoss, LeakyReLU, MLPClassifier, MLPRegressor, make_schedule
from pluggable_mlp.arrays.shortcuts import backend_context
from pluggable_mlp.network.activations import ACTIVATIONS

pytestmark = [
    pytest.mark.as_user,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

IRIS = load_iris(return_X_y=True)
TWO = IRIS[0][:100], IRIS[1][:100]
NAMES = IRIS[0], np.asarray(["setosa", "versicolor", "virginica"])[IRIS[1]]
SEVERAL = make_multilabel_classification(60, 5, n_classes=3, random_state=0)
NUMBERS = make_regression(60, 5, n_targets=2, random_state=0)
ONE = make_regression(60, 5, random_state=0)
COUNTS = NUMBERS[0], np.abs(np.round(NUMBERS[1][:, 0] / 50))

CASES = [
    (MLPClassifier(), IRIS),
    (MLPClassifier((9, 7), "tanh"), TWO),
    (MLPClassifier(activation="logistic"), NAMES),
    (MLPClassifier(), SEVERAL),
    (MLPRegressor(hidden_layer_sizes=(9,)), NUMBERS),
    (MLPRegressor(hidden_layer_sizes=()), ONE),
    (MLPRegressor("poisson"), COUNTS),
]
EVERY_CASE = pytest.mark.parametrize(
    ("estimator", "data"), CASES, ids=lambda of: repr(of) if hasattr(of, "fit") else ""
)


def fitted(estimator, data, **parameters):
    settings = {"random_state": 0, "max_iter": 20, "learning_rate_init": 0.01, **parameters}
    return copy.deepcopy(estimator).set_params(**settings).fit(*data)


def assert_predicts_the_same(model, other, X, rtol=1e-12):
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(other.predict_proba(X), model.predict_proba(X), rtol=rtol)
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
    else:
        np.testing.assert_allclose(other.predict(X), model.predict(X), rtol=rtol)


@EVERY_CASE
def test_scikit_learn_both_ways(estimator, data):
    model = fitted(estimator, data)
    known = model.to_sklearn()
    assert type(known) is getattr(theirs, type(model).__name__)
    assert_predicts_the_same(model, known, data[0])
    assert known.score(*data) == pytest.approx(model.score(*data))
    back = type(model).from_sklearn(known)
    assert back.get_params() == model.get_params()
    assert_predicts_the_same(model, back, data[0])
    known.partial_fit(*data)
    back.partial_fit(*data)
    np.testing.assert_allclose(back.coefs_[0], known.coefs_[0], rtol=1e-7, atol=1e-12)
    assert not np.array_equal(back.coefs_[0], model.coefs_[0])


def test_a_model_of_scikit_learn_becomes_ours():
    known = theirs.MLPClassifier(max_iter=10, random_state=0, early_stopping=True).fit(*NAMES)
    model = MLPClassifier.from_sklearn(known)
    assert_predicts_the_same(known, model, NAMES[0])
    assert model.validation_scores_ == known.validation_scores_
    with pytest.raises(TypeError, match="expected scikit-learn's MLPRegressor"):
        MLPRegressor.from_sklearn(known)


def test_what_scikit_learn_lacks_is_refused():
    model = fitted(MLPClassifier(norm="layer"), IRIS)
    with pytest.raises(ValueError, match="norm is 'layer', which scikit-learn's does not have"):
        model.to_sklearn()
    with pytest.raises(ValueError, match="The 'activation' parameter of MLPClassifier must be"):
        fitted(MLPClassifier(activation="gelu"), IRIS).to_sklearn()


@pytest.mark.parametrize("activation", [*ACTIVATIONS, LeakyReLU(0.3)], ids=str)
@pytest.mark.parametrize("norm", [None, "layer", "batch"])
def test_torch(activation, norm):
    torch = pytest.importorskip("torch")
    of_inputs = {"input_dropout": 0.2, "input_noise": 0.3}
    estimator = MLPClassifier((8, 6), activation, norm=norm, dropout=0.1, **of_inputs)
    model = fitted(estimator, IRIS, max_iter=5)
    network = model.to_torch()
    with torch.no_grad():
        logits = network(torch.asarray(IRIS[0]))
    np.testing.assert_allclose(torch.softmax(logits, 1), model.predict_proba(IRIS[0]), rtol=1e-9)
    assert [module.p for module in network if type(module).__name__ == "Dropout"] == [0.2, 0.1, 0.1]
    assert sum(type(module).__name__ == "Linear" for module in network) == 3


def run_onnx(path, X):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    results = [session.run(None, {"X": X[:n].astype("float32")}) for n in (1, len(X))]
    assert [len(of) for of in results[0]] == [1] * len(names)
    return dict(zip(names, results[1], strict=True))


@pytest.mark.parametrize("case", [2, 3, 4, 6])
def test_onnx(case, tmp_path):
    estimator, data = CASES[case]
    pytest.importorskip("ndonnx")
    X = data[0].astype("float32")
    norm = {"norm": "layer"} if case == 2 else {}
    model = fitted(estimator, (X, data[1]), **norm, dropout=0.1)
    model.to_onnx(tmp_path / "model.onnx")
    found = run_onnx(tmp_path / "model.onnx", X)
    if isinstance(model, MLPClassifier):
        assert np.abs(found["probabilities"] - model.predict_proba(X)).max() < 1e-6
        np.testing.assert_array_equal(found["label"], model.predict(X))
    else:
        scale = np.abs(model.predict(X)).max()
        assert np.abs(found["prediction"] - model.predict(X)).max() < 1e-6 * scale


def test_every_activation_has_its_graph():
    """That of a batch norm: tests/cli/test_export.py."""
    ndx, runtime = pytest.importorskip("ndonnx"), pytest.importorskip("onnxruntime")
    x = np.linspace(-20.0, 20.0, 1000, dtype=np.float32).reshape(-1, 5)
    given = ndx.argument(shape=("N", 5), dtype=ndx.float32)
    graph = ndx.build({"x": given}, {name: of(ndx, given)[0] for name, of in ACTIVATIONS.items()})
    found = runtime.InferenceSession(graph.SerializeToString()).run(None, {"x": x})
    for result, activation in zip(found, ACTIVATIONS.values(), strict=True):
        np.testing.assert_allclose(result, activation(np, x)[0], rtol=1e-5, atol=1e-6)


@EVERY_CASE
def test_saved_and_loaded(estimator, data, tmp_path):
    model = fitted(estimator, data, early_stopping=True)
    model.save(tmp_path / "model.safetensors")
    loaded = type(model).load(tmp_path / "model.safetensors")
    assert loaded.get_params() == model.get_params()
    assert loaded.loss_curve_ == model.loss_curve_
    assert loaded.validation_scores_ == model.validation_scores_
    assert_predicts_the_same(model, loaded, data[0], rtol=0)
    loaded.set_params(early_stopping=False).partial_fit(*data)


@pytest.mark.parametrize(
    "classes", [["no", "yes"], [False, True], np.int8([3, 9]), np.float32([1, 2])], ids=str
)
def test_classes_are_saved_in_their_type(classes, tmp_path):
    classes = np.asarray(classes)
    model = MLPClassifier((4,), max_iter=2).fit(TWO[0], classes[TWO[1]])
    model.save(tmp_path / "model.safetensors")
    loaded = MLPClassifier.load(tmp_path / "model.safetensors")
    assert loaded.classes_.dtype == classes.dtype
    assert loaded.predict(TWO[0]).dtype == model.predict(TWO[0]).dtype
    np.testing.assert_array_equal(loaded.classes_, classes)


def test_components_are_saved(tmp_path):
    parameters = {
        "activation": [LeakyReLU(0.3), "gelu"],
        "solver": "adamw",
        "learning_rate": make_schedule("cosine", 0.01, total_steps=30),
        "loss": HuberLoss(0.5),
        "norm": "batch",
    }
    model = MLPRegressor(hidden_layer_sizes=[8, 6], **parameters, max_iter=5).fit(*ONE)
    model.save(tmp_path / "model.safetensors")
    loaded = MLPRegressor.load(tmp_path / "model.safetensors")
    assert loaded.get_params() == model.get_params()
    assert_predicts_the_same(model, loaded, ONE[0], rtol=0)
    weighted = MLPClassifier(class_weight={0: 1.0, 1: 2.0}, max_iter=2).fit(*TWO)
    weighted.save(tmp_path / "model.safetensors")
    assert MLPClassifier.load(tmp_path / "model.safetensors").class_weight == {0: 1.0, 1: 2.0}


def test_a_model_is_loaded_to_another_library(tmp_path):
    torch = pytest.importorskip("torch")
    model = fitted(MLPClassifier(), NAMES)
    model.save(tmp_path / "model.safetensors")
    loaded = MLPClassifier.load(tmp_path / "model.safetensors", backend="torch")
    found = loaded.predict_proba(torch.asarray(NAMES[0]))
    assert isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found, model.predict_proba(NAMES[0]), rtol=1e-9)


@pytest.mark.slow
def test_files_that_are_no_model_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    fitted(MLPClassifier(), NAMES).save(path)
    with pytest.raises(ValueError, match="^device is '1': NumPy has one device"):
        MLPClassifier.load(path, backend="numpy:1")
    path.unlink()
    with pytest.raises(ValueError, match="is missing; expected what MLPClassifier.save wrote"):
        MLPClassifier.load(path)
    fitted(MLPRegressor(), ONE).save(path)
    with pytest.raises(ValueError, match="safetensors holds MLPRegressor of format 3, expected M"):
        MLPClassifier.load(path)
    model = fitted(MLPClassifier(activation=lambda xp, x: (x, lambda dy: dy)), IRIS, max_iter=1)
    with pytest.raises(ValueError, match="activation is <function .*, which a file cannot hold"):
        model.save(path)


def test_a_pickle_trains_on_as_the_original(backend):
    X, y = backend.asarray(TWO[0]), backend.asarray(TWO[1])
    try:
        pickle.loads(pickle.dumps(y))
    except TypeError:  # before array-api-strict 2.4
        pytest.skip("the library cannot pickle its arrays")
    model = MLPClassifier((8,), random_state=0, max_iter=3, dropout=0.1).fit(X, y)
    with backend_context(backend):  # JAX reads float64 as float32 without
        other = pickle.loads(pickle.dumps(model))
    for each in (model, other):
        each.partial_fit(X, y)
    first, second = (backend.to_numpy(each.predict_proba(X)) for each in (model, other))
    np.testing.assert_array_equal(first, second)
