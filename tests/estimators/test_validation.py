"""Sparse matrices, frames and weights of classes; what is refused, in scikit-learn's words."""

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_iris, make_classification, make_multilabel_classification
from sklearn.utils.class_weight import compute_sample_weight

from pluggable_mlp import MLPClassifier, MLPRegressor, SoftmaxCrossEntropy

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)


@pytest.mark.parametrize("container", ["csr_array", "csc_array", "csr_matrix", "csc_matrix"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_rows_give_what_dense_ones_do_and_are_not_made_dense(container, solver, monkeypatch):
    inputs = np.where(X > 2.0, X, 0.0)
    settings = {"solver": solver, "random_state": 0, "max_iter": 5, "batch_size": 40}
    settings["shuffle"] = "array" in container
    dense = MLPClassifier(**settings).fit(inputs, Y)
    sparse = getattr(scipy.sparse, container)(inputs)
    for kind in (scipy.sparse.csr_array, scipy.sparse.csc_array):
        monkeypatch.setattr(kind, "toarray", None)
        monkeypatch.setattr(kind, "todense", None)
    model = MLPClassifier(**settings).fit(sparse, Y)
    np.testing.assert_allclose(model.predict_proba(sparse), dense.predict_proba(inputs), rtol=1e-6)
    if solver == "adam":
        model.set_params(early_stopping=True).fit(sparse, Y)


def test_sparse_rows_and_reproducible_products_are_refused():
    with pytest.raises(ValueError, match=r"X is sparse, and arithmetic='reproducible' takes dense"):
        MLPClassifier(arithmetic="reproducible").fit(scipy.sparse.csr_array(X), Y)


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
    for classes in ([0, 1, 3], [1, 2, 3]):  # 0 or 2 has the place of another class
        with pytest.raises(ValueError, match="`y` has classes not in `self.classes_`"):
            MLPClassifier().partial_fit(X, Y, classes=classes)
