"""Plots from Python: what their axes show is what was computed."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris

from pluggable_mlp import (
    MLP,
    MLPClassifier,
    MLPRegressor,
    get_backend,
    plot_confusion_matrix,
    plot_losses,
    plot_residuals,
    plot_weights,
    train,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 (only if it is there)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def figures_are_closed():
    yield
    plt.close("all")


def drawn(ax):
    """The legend and the points of each line."""
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    return labels, [np.asarray(line.get_xydata()).T.tolist() for line in ax.lines]


def test_losses_of_training_and_of_several_networks():
    backend = get_backend("numpy")
    mlp = MLP([4, 3, 3])
    training = train(mlp, X.astype("float32"), Y, backend=backend, epochs=3)
    expected = ["training loss"], [[[1, 2, 3], training.history]]
    assert drawn(plot_losses(training)) == expected
    assert drawn(plot_losses(training.history)) == expected
    starts = [mlp.initialize(seed=seed, backend=backend) for seed in (0, 1)]
    stack = [
        {name: np.stack([start[i][name] for start in starts]) for name in layer}
        for i, layer in enumerate(starts[0])
    ]
    both = train(mlp, X.astype("float32"), Y, backend=backend, parameters=stack, epochs=3)
    lines = drawn(plot_losses(both))[1]
    assert lines == [[[1, 2, 3], list(of)] for of in zip(*both.history, strict=True)]


def test_losses_of_estimators_share_axes():
    early = MLPClassifier(max_iter=4, early_stopping=True, random_state=0).fit(X, Y)
    late = MLPRegressor(max_iter=2, random_state=0).fit(X, Y)
    ax = plot_losses(early)
    expected = [early.loss_curve_, early.validation_loss_curve_]
    assert drawn(ax)[0] == ["training loss", "validation loss"]
    assert [points[1] for points in drawn(ax)[1]] == expected
    assert plot_losses(late, label="late", ax=ax) is ax
    assert drawn(ax)[0] == ["training loss", "validation loss", "late"]
    assert drawn(ax)[1][2] == [[1, 2], late.loss_curve_]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")


@pytest.mark.parametrize("fitted", [3.0, [], MLPClassifier(solver="lbfgs", max_iter=2)], ids=str)
def test_what_took_no_epochs_has_no_losses(fitted):
    if isinstance(fitted, MLPClassifier):
        fitted.fit(X, Y)
    with pytest.raises(TypeError, match="expected the result of train, an estimator that took"):
        plot_losses(fitted)
    assert plt.get_fignums() == []


TRUTH, SAID = ["b", "a", "b", "b", "c"], ["b", "a", "a", "b", "b"]


@pytest.mark.parametrize("labels", [None, ["c", "b", "a", "d"]])
def test_a_confusion_matrix_counts(labels):
    ax = plot_confusion_matrix(TRUTH, SAID, labels=labels)
    names = labels or ["a", "b", "c"]
    found = {}
    for text in ax.texts:
        column, row = text.get_position()
        found[names[row], names[column]] = int(text.get_text())
    assert found == {("b", "b"): 2, ("a", "a"): 1, ("b", "a"): 1, ("c", "b"): 1}
    for axis in (ax.xaxis, ax.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == names
    shares = np.asarray(ax.images[0].get_array())[names.index("b")]
    assert shares[[names.index("a"), names.index("b")]].tolist() == pytest.approx([1 / 3, 2 / 3])


def test_labels_that_are_not_listed_and_other_lengths_are_refused():
    with pytest.raises(ValueError, match=r"'c' is none of the labels \['a', 'b'\]"):
        plot_confusion_matrix(TRUTH, SAID, labels=["a", "b"])
    with pytest.raises(ValueError, match=r"shape \(5,\) and predictions \(4,\)"):
        plot_confusion_matrix(TRUTH, SAID[1:])
    with pytest.raises(ValueError, match=r"shape \(2, 2\) and predictions \(2, 2\)"):
        plot_residuals(np.ones((2, 2)), np.ones((2, 2)))


def test_residuals_are_predictions_less_targets(backend):
    y = np.linspace(-3.0, 5.0, 30) ** 2
    predictions = y + np.linspace(-1.0, 1.0, 30)
    ax = plot_residuals(backend.asarray(y[:, None]), backend.asarray(predictions), name="price")
    points = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_allclose(points, np.stack([predictions, predictions - y], axis=1), rtol=1e-5)
    assert ax.get_xlabel() == "predicted price"


def test_weights_have_a_row_for_each_unit_and_zero_in_the_middle():
    model = MLPClassifier((7,), max_iter=1, random_state=0).fit(X, Y)
    _, ax = plt.subplots()
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    assert plot_weights(model.coefs_[0], feature_names=names, ax=ax) is ax
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), model.coefs_[0].T)
    low, high = image.get_clim()
    assert -low == high == abs(model.coefs_[0]).max()
    assert [label.get_text() for label in ax.get_xticklabels()] == names


def test_without_matplotlib_the_extra_is_named():
    code = """
import sys
sys.modules["matplotlib"] = sys.modules["matplotlib.pyplot"] = None
from pluggable_mlp import plot_losses
try:
    plot_losses([2.0, 1.0])
except ImportError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'pluggable-mlp[plot]'" in run.stdout
