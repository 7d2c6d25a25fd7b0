"""Displays: what their axes show is what was computed.  Those of runs: tests/cli/test_plot.py."""

import subprocess
import sys

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.datasets import load_iris

from pluggable_mlp import (
    MLP,
    ConfusionMatrixDisplay,
    MLPClassifier,
    MLPRegressor,
    PredictionErrorDisplay,
    TabMMini,
    TrainingCurveDisplay,
    WeightsDisplay,
    get_backend,
    train,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 (only if it is there)

pytestmark = [
    pytest.mark.as_user,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

X, Y = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def figures_are_closed():
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def classifier():
    return MLPClassifier((7,), max_iter=4, early_stopping=True, random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def regressor():
    return MLPRegressor(
        hidden_layer_sizes=(5,), max_iter=3, early_stopping=True, random_state=0
    ).fit(X[:, :3], X[:, 3])


@pytest.fixture(scope="module")
def training():
    mlp = MLP([4, 3, 3])
    return train(mlp, X.astype("float32"), Y, backend=get_backend("numpy"), epochs=3)


def drawn(ax):
    """The points of each line, by its name in the legend."""
    named = [text.get_text() for text in ax.get_legend().get_texts()]
    lines = {line.get_label(): np.asarray(line.get_xydata()).T.tolist() for line in ax.lines}
    assert named == [name for name in lines if not name.startswith("_")]
    return lines


def points(ax):
    return np.asarray(ax.collections[0].get_offsets())


def test_losses_of_a_training(training):
    losses = [[1, 2, 3], training.history]
    assert drawn(TrainingCurveDisplay.from_training(training).ax_) == {"train loss": losses}
    by_hand = TrainingCurveDisplay({"train_loss": training.history}).plot()
    assert drawn(by_hand.ax_) == {"train loss": losses}
    assert (by_hand.ax_.get_xlabel(), by_hand.ax_.get_ylabel()) == ("epoch", "loss")


def test_curves_of_estimators_share_axes(classifier, regressor):
    ax = TrainingCurveDisplay.from_estimator(classifier, name="a").ax_
    assert TrainingCurveDisplay.from_estimator(regressor, name="b", ax=ax).ax_ is ax
    expected = {
        f"{name}: {part} loss": [[*range(1, 1 + len(losses))], losses]
        for name, model in (("a", classifier), ("b", regressor))
        for part, losses in (
            ("train", model.loss_curve_),
            ("validation", model.validation_loss_curve_),
        )
    }
    assert drawn(ax) == expected
    colors = [line.get_color() for line in ax.lines]
    assert colors[0] == colors[1] != colors[2] == colors[3]
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--"] * 2


def test_scores_of_estimators(classifier, regressor):
    for model, metric, words in ((classifier, "accuracy", "accuracy"), (regressor, "r2", "R²")):
        display = TrainingCurveDisplay.from_estimator(model, metric=metric)
        scores = model.validation_scores_
        expected = {f"validation {words}": [[*range(1, 1 + len(scores))], scores]}
        assert drawn(display.ax_) == expected
        assert display.metrics == ["loss", metric]
    with pytest.raises(ValueError, match="metric is 'r3', expected one of loss, r2"):
        display.plot(metric="r3")


def test_curves_of_scikit_learns_own_estimator():
    model = sklearn.neural_network.MLPClassifier(max_iter=2, random_state=0).fit(X, Y)
    lines = drawn(TrainingCurveDisplay.from_estimator(model).ax_)
    assert lines == {"train loss": [[1, 2], model.loss_curve_]}


def test_residuals_are_true_less_predicted_values(backend):
    y = np.linspace(-3.0, 5.0, 30) ** 2
    predicted = y + np.linspace(-1.0, 1.0, 30)
    display = PredictionErrorDisplay.from_predictions(
        backend.asarray(y[:, None]), backend.asarray(predicted)
    )
    expected = np.stack([predicted, y - predicted], axis=1)
    np.testing.assert_allclose(points(display.ax_), expected, rtol=1e-5)


def test_residuals_of_an_estimator_are_of_all_rows():
    """scikit-learn's own display draws a thousand at random."""
    x = np.linspace(-1.0, 1.0, 1100)
    model = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs").fit(x[:, None], x)
    display = PredictionErrorDisplay.from_estimator(model, x[:, None], x)
    assert len(points(display.ax_)) == 1100


def test_residuals_of_unsigned_integers_do_not_wrap():
    y = np.asarray([3, 5], np.uint8)
    display = PredictionErrorDisplay.from_predictions(y, y[::-1])
    assert points(display.ax_)[:, 1].tolist() == [-2.0, 2.0]


def test_weights_have_a_row_for_each_unit_and_zero_in_the_middle(classifier):
    _, ax = plt.subplots()
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    for W in (-classifier.coefs_[0], classifier.coefs_[0]):  # the largest has either sign
        display = WeightsDisplay(W, feature_names=names).plot(ax)
        np.testing.assert_array_equal(display.im_.get_array(), W.T)
        low, high = display.im_.get_clim()
        assert -low == high == abs(W).max()
    assert [label.get_text() for label in ax.get_xticklabels()] == names


def test_weights_of_a_training_and_of_an_estimator_are_those_of_the_first_layer(training):
    pandas = pytest.importorskip("pandas")
    image = WeightsDisplay.from_training(training).im_
    np.testing.assert_array_equal(image.get_array(), training.parameters[0]["W"].T)
    frame = pandas.DataFrame(X, columns=[*"abcd"])
    display = WeightsDisplay.from_estimator(MLPClassifier((6,), max_iter=2).fit(frame, Y))
    assert display.im_.get_array().shape == (6, 4)
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == [*"abcd"]


@pytest.mark.parametrize("units", [1, 5, 70])
def test_weights_of_pixels_are_images_side_by_side(units):
    W = np.random.default_rng(0).normal(size=(6, units))
    image = WeightsDisplay(W, image_shape=(2, 3)).plot().im_.get_array()
    shown = min(units, 64)
    columns = (image.shape[1] + 1) // 4
    assert image.mask.sum() == image.size - 6 * shown  # between images, and after the last
    for unit in range(shown):
        row, column = divmod(unit, columns)
        tile = image[3 * row : 3 * row + 2, 4 * column : 4 * column + 3]
        np.testing.assert_array_equal(tile, W[:, unit].reshape(2, 3))


UNFITTED = "estimator is MLPClassifier.*, without losses: fit it by sgd or adam"
WRONG = {
    "unfitted": (lambda: TrainingCurveDisplay.from_estimator(MLPClassifier()), UNFITTED),
    "lbfgs": (
        lambda: TrainingCurveDisplay.from_estimator(
            MLPClassifier(solver="lbfgs", max_iter=2).fit(X, Y)
        ),
        UNFITTED,
    ),
    "networks": (
        lambda: WeightsDisplay(np.ones((2, 3, 4))),
        r"W has the shape \(2, 3, 4\), expected \(in, out\)",
    ),
    "names": (
        lambda: WeightsDisplay(np.ones((3, 4)), feature_names=["a"]),
        r"feature_names are \['a'\], expected 3 names",
    ),
    "members": (
        lambda: WeightsDisplay.from_training(
            train(
                MLP([4, 3], ensemble=TabMMini(2)),
                X.astype("float32"),
                Y,
                backend=get_backend("numpy"),
                epochs=1,
            )
        ),
        r"the network has no layer with weights W \(in, out\)",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_named_and_leaves_no_figure(wrong):
    call, words = WRONG[wrong]
    with pytest.raises((TypeError, ValueError), match=words):
        call()
    assert plt.get_fignums() == []


DRAWN = {
    "curves": lambda model, ax: TrainingCurveDisplay.from_estimator(model, ax=ax),
    "confusion": lambda model, ax: ConfusionMatrixDisplay.from_estimator(model, X, Y, ax=ax),
    "errors": lambda model, ax: PredictionErrorDisplay.from_estimator(model, X, Y, ax=ax),
    "weights": lambda model, ax: WeightsDisplay.from_estimator(model, ax=ax),
}


@pytest.mark.parametrize("name", DRAWN)
def test_given_axes_are_used_and_no_figure_is_made(classifier, name):
    """The figure here is none of pyplot's."""
    ax = matplotlib.figure.Figure().subplots()
    display = DRAWN[name](classifier, ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert ax.has_data()
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", DRAWN)
def test_without_axes_there_is_one_new_figure_that_pyplot_shows(classifier, name):
    display = DRAWN[name](classifier, None)
    assert display.figure_ is plt.gcf()
    assert len(plt.get_fignums()) == 1
    elsewhere = matplotlib.figure.Figure().subplots()
    assert display.plot(ax=elsewhere) is display
    assert display.ax_ is elsewhere


def test_without_matplotlib_the_extra_is_named():
    code = """
import sys
sys.modules["matplotlib"] = None
from pluggable_mlp import TrainingCurveDisplay
display = TrainingCurveDisplay({"train_loss": [2.0, 1.0]})
try:
    display.plot()
except ImportError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'pluggable-mlp[plot]'" in run.stdout
