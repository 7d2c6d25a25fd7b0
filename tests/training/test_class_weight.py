"""Class and sample weights: scikit-learn's meaning, from the labels to the trained parameters."""

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend, train
from pluggable_mlp.training.evaluation import evaluate
from pluggable_mlp.training.examples import make_examples
from pluggable_mlp.training.lbfgs import LBFGS

CLASSES = np.asarray([2, 0, 0, 2, 2, 2, 0, 2])  # class 1 does not occur
YES_OR_NO = np.asarray([[0, 1], [1, 1], [0, 1], [0, 0], [0, 1]])


def weights_of(backend, loss, labels, outputs, **settings):
    mlp = MLP([1, outputs], loss=loss)
    x = np.zeros((len(labels), 1))
    examples = make_examples(mlp, x, labels, backend=backend, dtype="float64", **settings)
    return backend.to_numpy(examples.sample_weight)


@pytest.mark.parametrize("rows", [False, True], ids=["indices", "rows"])
@pytest.mark.parametrize("class_weight", ["balanced", {0: 3.0, 2: 0.5}, {2: 4.0}])
def test_class_weights_are_those_of_scikit_learn(backend, class_weight, rows):
    utils = pytest.importorskip("sklearn.utils")
    labels = np.eye(3)[CLASSES] if rows else CLASSES
    ours = weights_of(backend, "softmax_cross_entropy", labels, 3, class_weight=class_weight)
    theirs = utils.compute_sample_weight(class_weight, CLASSES)
    # Two roundings on either side.
    np.testing.assert_allclose(ours, theirs, rtol=4 * 2.0**-53)


@pytest.mark.parametrize(
    "class_weight", ["balanced", [{0: 1.0, 1: 5.0}, {0: 2.0, 1: 1.0}]], ids=["balanced", "given"]
)
def test_weights_of_several_labels_are_multiplied(backend, class_weight):
    utils = pytest.importorskip("sklearn.utils")
    ours = weights_of(backend, "sigmoid_cross_entropy", YES_OR_NO, 2, class_weight=class_weight)
    theirs = utils.compute_sample_weight(class_weight, YES_OR_NO)
    np.testing.assert_allclose(ours, theirs, rtol=8 * 2.0**-53)


def test_weights_in_an_array(backend):
    """By hand: the weights of an example's labels are multiplied."""
    given = {"classes": np.asarray([1.0, 2.0, 4.0]), "labels": np.asarray([[1.0, 5.0], [2.0, 3.0]])}
    of_classes = weights_of(
        backend, "softmax_cross_entropy", CLASSES, 3, class_weight=given["classes"]
    )
    assert of_classes.tolist() == [4.0, 1.0, 1.0, 4.0, 4.0, 4.0, 1.0, 4.0]
    of_labels = weights_of(
        backend, "sigmoid_cross_entropy", YES_OR_NO, 2, class_weight=given["labels"]
    )
    assert of_labels.tolist() == [3.0, 15.0, 3.0, 2.0, 3.0]
    one = weights_of(
        backend, "sigmoid_cross_entropy", YES_OR_NO[:, 0], 1, class_weight=given["labels"][0]
    )
    assert one.tolist() == [1.0, 5.0, 1.0, 1.0, 1.0]


def test_a_label_of_exactly_one_half_is_a_yes(backend):
    labels = np.asarray([0.0, 0.5 - 2.0**-54, 0.5, 1.0])
    ours = weights_of(backend, "sigmoid_cross_entropy", labels, 1, class_weight=[1.0, 4.0])
    assert ours.tolist() == [1.0, 1.0, 4.0, 4.0]


def test_class_weights_are_factors_of_sample_weights(backend):
    own = np.arange(8.0)
    ours = weights_of(
        backend, "softmax_cross_entropy", CLASSES, 3, sample_weight=own, class_weight=[2, 1, 4]
    )
    assert ours.tolist() == (own * np.where(CLASSES == 0, 2.0, 4.0)).tolist()
    assert (
        weights_of(backend, "squared_error", np.zeros((8, 1)), 1, sample_weight=own).tolist()
        == own.tolist()
    )


@pytest.mark.parametrize(
    ("loss", "labels", "settings", "message"),
    [
        ("squared_error", CLASSES * 1.0, {"class_weight": "balanced"}, "it knows no classes"),
        ("softmax_cross_entropy", CLASSES, {"class_weight": "balance"}, "is 'balance', expected"),
        ("softmax_cross_entropy", CLASSES, {"class_weight": {3: 1.0}}, "has 3, expected classes"),
        ("softmax_cross_entropy", CLASSES, {"class_weight": [1, 2]}, "expected 3 finite numbers"),
        ("softmax_cross_entropy", CLASSES, {"class_weight": [1, 2, -1]}, "of at least 0"),
        ("softmax_cross_entropy", CLASSES, {"class_weight": [1, 2, np.inf]}, "3 finite numbers"),
        ("softmax_cross_entropy", CLASSES, {"sample_weight": np.ones(3)}, r"shape \(3,\)"),
        ("softmax_cross_entropy", CLASSES, {"sample_weight": [np.inf] * 8}, "NaN or infinity"),
        (
            "softmax_cross_entropy",
            CLASSES,
            {"class_weight": {0: 0, 2: 0}},
            "class_weight.* all 0",
        ),
        ("sigmoid_cross_entropy", np.zeros((2, 3)), {"class_weight": [1, 2]}, "a list of 3"),
    ],
)
def test_weights_that_do_not_fit(loss, labels, settings, message):
    outputs = 1 if loss == "squared_error" else 3
    with pytest.raises(ValueError, match=message):
        weights_of(get_backend("numpy"), loss, labels, outputs, **settings)


@pytest.mark.parametrize(
    ("loss", "optimizer"),
    [
        ("softmax_cross_entropy", LBFGS()),
        ("sigmoid_cross_entropy", SGD(0.1)),
        ("squared_error", SGD(0.1)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_training_with_a_weight_of_two_is_training_with_the_example_twice(backend, loss, optimizer):
    """Full batches: the parameters after five steps agree to 1e-12, and so does the epochs' loss.

    The two differ by roundings alone, some hundred of them of 1e-16 each.  What each loss makes of
    weights is tested in tests/network/losses.
    """
    rng = np.random.default_rng(0)
    mlp = MLP([2, 3, 2], activation="tanh", loss=loss)
    x = rng.normal(size=(6, 2))
    labels = rng.integers(0, 2, size=6 if mlp.objective.targets == "classes" else (6, 2))
    counts = np.asarray([2, 1, 0, 3, 1, 1])
    settings = {"optimizer": optimizer, "epochs": 5, "dtype": "float64", "shuffle": False}
    weighted = train(
        mlp, x, labels, backend=backend, batch_size=6, sample_weight=counts, **settings
    )
    repeated = train(
        mlp,
        np.repeat(x, counts, axis=0),
        np.repeat(labels, counts, axis=0),
        backend=backend,
        batch_size=8,
        **settings,
    )
    np.testing.assert_allclose(weighted.history, repeated.history, rtol=1e-12)
    for one, other in zip(weighted.parameters, repeated.parameters, strict=True):
        for name, array in one.items():
            np.testing.assert_allclose(
                backend.to_numpy(array), backend.to_numpy(other[name]), rtol=1e-12, atol=1e-12
            )


def test_an_epochs_loss_is_the_weighted_mean_over_its_batches(backend):
    """Batches of 4, 4 and 2 with unlike weights; learning rate 0, so that nothing moves."""
    rng = np.random.default_rng(1)
    mlp = MLP([2, 3])
    x, labels, weights = rng.normal(size=(10, 2)), rng.integers(0, 3, 10), rng.uniform(size=10)
    parameters = mlp.initialize(seed=0, backend=backend, dtype="float64")
    history = train(
        mlp,
        x,
        labels,
        backend=backend,
        parameters=parameters,
        optimizer=SGD(0.0),
        epochs=1,
        batch_size=4,
        dtype="float64",
        sample_weight=weights,
    ).history
    z = x @ backend.to_numpy(parameters[0]["W"]) + backend.to_numpy(parameters[0]["b"])
    losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(10), labels]
    expected = np.average(losses, weights=weights)
    np.testing.assert_allclose(history, [expected], rtol=1e-14)
    examples = make_examples(
        mlp, x, labels, backend=backend, dtype="float64", sample_weight=weights
    )
    measured = evaluate(
        mlp, parameters, examples, backend=backend, arithmetic="native", batch_size=4
    )
    np.testing.assert_allclose(measured["loss"], expected, rtol=1e-14)
