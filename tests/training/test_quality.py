"""Metrics against scikit-learn, and what `evaluate` makes of them."""

import numpy as np
import pytest

from pluggable_mlp import MLP
from pluggable_mlp.namespaces import ARITHMETICS, arithmetic_namespace, unwrapped
from pluggable_mlp.training.loop import evaluate
from pluggable_mlp.training.metrics import (
    accuracy,
    confusion_matrix,
    correct_labels,
    macro_f1,
    mean_absolute_error,
    r2,
    top_k_accuracy,
)
from pluggable_mlp.training.train import make_examples

metrics = pytest.importorskip("sklearn.metrics")


def moved(xp, backend, *arrays):
    """The arrays of the host on the backend, as arrays of the namespace."""
    return [xp.asarray(backend.asarray(array)) for array in arrays]


def classified(seed=0, count=50, classes=6):
    """Logits, labels; class 4 does not occur and is predicted, class 5 neither."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, classes))
    logits[:, 5] = -9.0
    return logits, rng.integers(0, 4, size=count)


@pytest.mark.parametrize("name", ARITHMETICS)
@pytest.mark.parametrize("rows", [False, True], ids=["indices", "rows"])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_accuracy(backend, k, rows, name):
    logits, labels = classified()
    given = np.eye(6)[labels] if rows else labels
    xp = arithmetic_namespace(name, backend.xp)
    arrays = moved(xp, backend, logits, given)
    ours = float(top_k_accuracy(xp, *arrays, k))
    theirs = metrics.top_k_accuracy_score(labels, logits, k=k, labels=range(6))
    assert abs(ours - theirs) <= 2 * 2.0**-53
    if k == 1:
        assert float(accuracy(xp, *arrays)) == ours
        theirs = metrics.accuracy_score(labels, logits.argmax(axis=1))
        assert abs(ours - theirs) <= 2 * 2.0**-53


@pytest.mark.parametrize("name", ARITHMETICS)
def test_confusion_matrix_and_macro_f1(backend, name):
    logits, labels = classified()
    predicted = logits.argmax(axis=1)
    assert {4} == set(predicted) - set(labels)
    xp = arithmetic_namespace(name, backend.xp)
    ours = confusion_matrix(xp, *moved(xp, backend, predicted, labels), 6)
    assert ours.dtype == backend.xp.int64
    expected = metrics.confusion_matrix(labels, predicted, labels=range(6))
    assert backend.to_numpy(unwrapped(ours)).tolist() == expected.tolist()
    score = float(macro_f1(xp, ours))
    # A sum of 6 quotients, a product with a reciprocal: below 12 roundings of numbers up to 1.
    assert abs(score - metrics.f1_score(labels, predicted, average="macro")) <= 12 * 2.0**-53


@pytest.mark.parametrize("name", ARITHMETICS)
@pytest.mark.parametrize("outputs", [1, 3])
def test_r2_and_mean_absolute_error(backend, outputs, name):
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(40, outputs))
    predictions = targets + 0.3 * rng.normal(size=(40, outputs))
    xp = arithmetic_namespace(name, backend.xp)
    for given in (targets, targets[:, 0]) if outputs == 1 else (targets,):
        arrays = moved(xp, backend, predictions, given)
        # Sums of 40 terms of one sign: at most 40 roundings, doubled for theirs.
        ours = float(r2(xp, *arrays))
        assert abs(ours - metrics.r2_score(targets, predictions)) <= 160 * 2.0**-53
        ours = float(mean_absolute_error(xp, *arrays))
        theirs = metrics.mean_absolute_error(targets, predictions)
        assert abs(ours - theirs) <= 160 * 2.0**-53


def test_leading_axes_are_networks(backend):
    logits, labels = (np.stack(arrays) for arrays in zip(classified(0), classified(1), strict=True))
    xp = backend.xp
    z, t = backend.asarray(logits), backend.asarray(labels)
    scores = [backend.to_numpy(of(xp, z, t)) for of in (accuracy, lambda *a: top_k_accuracy(*a, 2))]
    confusion = confusion_matrix(xp, backend.asarray(logits.argmax(axis=-1)), t, 6)
    f1 = backend.to_numpy(macro_f1(xp, confusion))
    numbers = backend.asarray(logits + 1.0)
    regression = [backend.to_numpy(of(xp, numbers, z)) for of in (r2, mean_absolute_error)]
    for index in range(2):
        own, of = backend.asarray(logits[index]), backend.asarray(labels[index])
        assert scores[0][index] == float(accuracy(xp, own, of))
        assert scores[1][index] == float(top_k_accuracy(xp, own, of, 2))
        predicted = backend.asarray(logits[index].argmax(axis=-1))
        matrix = confusion_matrix(xp, predicted, of, 6)
        assert backend.to_numpy(confusion)[index].tolist() == backend.to_numpy(matrix).tolist()
        assert abs(f1[index] - float(macro_f1(xp, matrix))) <= 12 * 2.0**-53
        shifted = backend.asarray(logits[index] + 1.0)
        for whole, of in zip(regression, (r2, mean_absolute_error), strict=True):
            assert abs(whole[index] - float(of(xp, shifted, own))) <= 100 * 2.0**-53


def test_correct_labels(backend):
    """All labels of an example must be right: scikit-learn's accuracy for multilabel."""
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(30, 2)), rng.integers(0, 2, size=(30, 2))
    ours = correct_labels(backend.xp, backend.asarray(logits), backend.asarray(labels))
    assert int(ours) / 30 == metrics.accuracy_score(labels, logits > 0)
    ours = correct_labels(backend.xp, backend.asarray(logits[:, :1]), backend.asarray(labels[:, 0]))
    assert int(ours) / 30 == metrics.accuracy_score(labels[:, 0], logits[:, 0] > 0)


def test_evaluate_says_what_fits_the_loss(backend):
    """Accuracy of classes and labels, else R² and the mean absolute error of the predictions."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 2))
    for loss, labels in (
        ("softmax_cross_entropy", rng.integers(0, 3, size=7)),
        ("sigmoid_cross_entropy", rng.integers(0, 2, size=(7, 3))),
        ("huber", rng.normal(size=(7, 3))),
        ("poisson", rng.poisson(1.0, size=(7, 3))),
    ):
        mlp = MLP([2, 3], loss=loss)
        parameters = mlp.initialize(seed=0, backend=backend, dtype="float64")
        examples = make_examples(mlp, x, labels, backend=backend, dtype="float64")
        result = evaluate(
            mlp, parameters, examples, backend=backend, arithmetic="native", batch_size=3
        )
        own = backend.to_numpy(mlp.predict(parameters, backend.asarray(x)))
        if loss in ("huber", "poisson"):
            assert set(result) == {"loss", "r2", "mean_absolute_error"}
            assert abs(result["r2"] - metrics.r2_score(labels, own)) <= 1e-14
            error = metrics.mean_absolute_error(labels, own)
            assert abs(result["mean_absolute_error"] - error) <= 1e-14
        else:
            assert set(result) == {"loss", "accuracy"}
            assert result["accuracy"] == metrics.accuracy_score(labels, own)
