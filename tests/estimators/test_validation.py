"""Sparse matrices, frames and weights of classes; what is refused, in scikit-learn's words."""

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_iris, make_classification, make_multilabel_classification
from sklearn.exceptions import NotFittedError
from sklearn.utils.class_weight import compute_sample_weight

from pluggable_mlp import MLPClassifier, MLPRegressor, SoftmaxCrossEntropy

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)


@pytest.mark.parametrize("container", ["csr_array", "csc_array", "csr_matrix", "csc_matrix"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_rows_give_what_dense_ones_do_and_are_not_made_dense(container, solver, monkeypatch):
    inputs = np.where(X > 2.0, X, 0.0)
    settings = {"solver": solver, "random_state": 0, "max_iter": 5, "batch_size": 40}
    dense = MLPClassifier(**settings).fit(inputs, Y)
    sparse = getattr(scipy.sparse, container)(inputs)
    for kind in (scipy.sparse.csr_array, scipy.sparse.csc_array):
        monkeypatch.setattr(kind, "toarray", None)
        monkeypatch.setattr(kind, "todense", None)
    model = MLPClassifier(**settings).fit(sparse, Y)
    np.testing.assert_allclose(model.predict_proba(sparse), dense.predict_proba(inputs), rtol=1e-6)
    if solver == "adam":
        model.set_params(early_stopping=True).fit(sparse, Y)


def test_a_single_feature_or_example_of_a_sparse_matrix():
    sparse = scipy.sparse.csr_array(X[:, :1])
    settings = {"random_state": 0, "max_iter": 2, "batch_size": 1}
    model = MLPClassifier(**settings).fit(sparse, Y)
    expected = MLPClassifier(**settings).fit(X[:, :1], Y)
    np.testing.assert_allclose(model.coefs_[0], expected.coefs_[0], rtol=1e-9)
    np.testing.assert_allclose(model.predict_proba(sparse), expected.predict_proba(X[:, :1]))


def test_sparse_rows_and_reproducible_products_are_refused():
    with pytest.raises(ValueError, match=r"X is sparse, and arithmetic='reproducible' takes dense"):
        MLPClassifier(arithmetic="reproducible").fit(scipy.sparse.csr_array(X), Y)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library):
    frames = pytest.importorskip(library)
    names = [f"feature {index}" for index in range(4)]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    labels = frames.Series("species", Y) if library == "polars" else frames.Series(Y)
    model = MLPClassifier(random_state=0, max_iter=3).fit(frame, labels)
    assert model.feature_names_in_.tolist() == names
    expected = MLPClassifier(random_state=0, max_iter=3).fit(X, Y)
    np.testing.assert_array_equal(model.predict(frame), expected.predict(X))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[names[::-1]])


@pytest.mark.parametrize("weight", ["balanced", {"a": 2.0, "c": 0.5}])
@pytest.mark.parametrize("sample_weight", [None, np.linspace(0.1, 2.0, 80)])
def test_class_weights_are_weights_of_examples(weight, sample_weight):
    """What scikit-learn's function makes of them."""
    labels = np.asarray(["a", "b", "c"])[Y[20:100] + (Y[20:100] > 0) * (np.arange(80) % 2)]
    as_weights = compute_sample_weight(weight, labels)
    if sample_weight is not None:
        as_weights = as_weights * sample_weight
        if weight == "balanced":  # counts of weights, which their function has no argument for
            totals = {name: sample_weight[labels == name].sum() for name in set(labels)}
            as_weights = sample_weight.sum() / (3 * np.asarray([totals[name] for name in labels]))
            as_weights = as_weights * sample_weight
    settings = {"random_state": 0, "max_iter": 5, "batch_size": 32}
    model = MLPClassifier(**settings, class_weight=weight).fit(X[20:100], labels, sample_weight)
    expected = MLPClassifier(**settings).fit(X[20:100], labels, as_weights)
    np.testing.assert_allclose(model.coefs_[0], expected.coefs_[0], rtol=1e-7, atol=1e-12)


def test_a_class_whose_examples_weigh_nothing_has_no_part_in_the_balance():
    labels, settings = np.arange(80) % 4 % 3, {"random_state": 0, "max_iter": 5, "alpha": 0.5}
    counts = (labels < 2).astype(float)
    as_weights = np.where(labels == 0, 60 / (2 * 40), 60 / (2 * 20)) * counts
    model = MLPClassifier(**settings, class_weight="balanced").fit(X[20:100], labels, counts)
    expected = MLPClassifier(**settings).fit(X[20:100], labels, as_weights)
    np.testing.assert_allclose(model.coefs_[0], expected.coefs_[0], rtol=1e-7, atol=1e-12)


def test_class_weights_of_several_labels():
    inputs, labels = make_multilabel_classification(60, n_classes=3, random_state=0)
    weights = [{0: 1.0, 1: 3.0}, {0: 2.0, 1: 1.0}, {0: 1.0, 1: 1.0}]
    settings = {"random_state": 0, "max_iter": 3}
    model = MLPClassifier(**settings, class_weight=weights).fit(inputs, labels)
    as_weights = compute_sample_weight(weights, labels)
    expected = MLPClassifier(**settings).fit(inputs, labels, as_weights)
    np.testing.assert_allclose(model.coefs_[0], expected.coefs_[0], rtol=1e-7, atol=1e-12)


def test_what_is_not_fitted_or_does_not_fit_is_told_as_scikit_learn_tells_it():
    with pytest.raises(NotFittedError, match="This MLPClassifier instance is not fitted yet"):
        MLPClassifier().predict(X)
    model = MLPClassifier(max_iter=2).fit(X, Y)
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4 feat"):
        model.predict(X[:, :3])
    with pytest.raises(ValueError, match="The 'solver' parameter of MLPClassifier must be a str"):
        MLPClassifier(solver="newton").fit(X, Y)
    with pytest.raises(ValueError, match="The 'activation' parameter of MLPRegressor must be a st"):
        MLPRegressor(activation="softmax").fit(X, Y)
    with pytest.raises(ValueError, match=r"hidden_layer_sizes must be > 0, got \[0\]"):
        MLPClassifier((0,)).fit(X, Y)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        MLPClassifier().fit(X, X[:, 0])
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        MLPClassifier().partial_fit(X, Y)
    with pytest.raises(ValueError, match="`y` has classes not in `self.classes_`"):
        MLPClassifier().partial_fit(X, Y, classes=[0, 1])


@pytest.mark.parametrize("library", ["torch", "array_api_strict"])
def test_the_same_is_told_of_arrays_of_other_libraries(library):
    xp = pytest.importorskip(library)
    inputs, labels = xp.asarray(X), xp.asarray(Y)
    model = MLPClassifier(max_iter=2).fit(inputs, labels)
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4 feat"):
        model.predict(inputs[:, :3])
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array instead"):
        model.predict(inputs[:, 0])
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        model.predict(inputs[:0, :])
    holed = X.copy()
    holed[3, 1] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.predict(xp.asarray(holed))
    with pytest.raises(ValueError, match="Input X contains infinity"):
        model.predict(xp.asarray(np.where(np.isnan(holed), np.inf, holed)))
    with pytest.raises(ValueError, match="Found input variables with inconsistent numbers of"):
        model.fit(inputs, labels[:9])
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        model.fit(inputs, inputs[:, 0])
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        model.fit(inputs, None)
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(9,\), expected \(150,\)!"):
        model.fit(inputs, labels, np.ones(9))
    with pytest.raises(ValueError, match="at least one non-zero number"):
        model.fit(inputs, labels, xp.zeros(150))
    with pytest.raises(ValueError, match="Input sample_weight contains NaN"):
        model.fit(inputs, labels, xp.asarray(np.where(Y == 2, np.nan, 1.0)))
    with pytest.raises(ValueError, match="Input sample_weight contains infinity or a value too l"):
        model.fit(inputs, labels, xp.asarray(np.where(Y == 2, np.inf, 1.0)))
    for wrong, fault in (
        (np.ones(9), r"sample_weight.shape == \(9,\), expected \(150,\)!"),
        (np.ones((150, 1)), "Sample weights must be 1D"),
        (xp.zeros(150), "at least one non-zero number"),
        (xp.asarray(np.where(Y == 2, np.nan, 1.0)), "Input sample_weight contains NaN"),
    ):
        with pytest.raises(ValueError, match=fault):
            model.score(inputs, labels, wrong)
    with pytest.raises(ValueError, match="Complex data not supported: y"):
        model.fit(inputs, xp.asarray(Y + 1j))
    with pytest.raises(ValueError, match=r"MLPClassifier.predict_proba\(\) must use the same name"):
        model.predict_proba(X)
    unknown = xp.asarray(np.where(Y == 2, 7, Y))
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same"):
        model.set_params(warm_start=True).fit(inputs, unknown)
    integers = xp.asarray((X * 10).astype("int64"))
    assert MLPClassifier(max_iter=2).fit(integers, labels).coefs_[0].dtype == xp.float64


def test_a_loss_of_other_labels_is_refused():
    _, two = make_classification(150, random_state=0)
    model = MLPClassifier(loss=SoftmaxCrossEntropy(label_smoothing=0.1), max_iter=2).fit(X, two)
    assert (model.n_outputs_, model.out_activation_) == (2, "softmax")
    assert model.predict_proba(X).shape == (150, 2)
    with pytest.raises(ValueError, match="which is not a loss of multilabel-indicator labels"):
        model.fit(X, np.eye(3, dtype=int)[Y])
    with pytest.raises(ValueError, match="y holds negative numbers, expected none with loss='poi"):
        MLPRegressor("poisson").fit(X, Y - 1.0)
    with pytest.raises(ValueError, match=r"class_weight has 'd', expected classes of \[0, 1, 2\]"):
        MLPClassifier(class_weight={"d": 1.0}).fit(X, Y)
