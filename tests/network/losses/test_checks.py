"""What losses refuse: parameters, targets and weights that they cannot use."""

import numpy as np
import pytest

from pluggable_mlp import MLP, HuberLoss, PinballLoss, SoftmaxCrossEntropy


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SoftmaxCrossEntropy(1.0),
            "label_smoothing is 1.0, expected a finite number of at",
        ),
        (lambda: SoftmaxCrossEntropy(-0.1), "label_smoothing is -0.1"),
        (lambda: HuberLoss(0.0), "delta is 0.0, expected a finite number above 0"),
        (lambda: HuberLoss(float("nan")), "delta is nan"),
        (lambda: PinballLoss(1.0), "quantile is 1.0, expected a finite number above 0 and below 1"),
        (lambda: PinballLoss(0.0), "quantile is 0.0"),
        (lambda: HuberLoss("1"), "delta is '1', expected a finite number above 0"),
    ],
)
def test_parameters_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("loss", [HuberLoss, 3, None])
def test_invalid_losses_raise(loss):
    with pytest.raises(
        TypeError, match=r"loss is .*, expected a name or a loss such as HuberLoss\(\)"
    ):
        MLP([2, 2], loss=loss)


@pytest.mark.parametrize(
    ("name", "nearest"), [("squared", "squared_error"), ("absolute", "absolute_error")]
)
def test_unknown_name_raises_with_the_nearest(name, nearest):
    with pytest.raises(ValueError, match=f"loss is '{name}', .*; did you mean '{nearest}'"):
        MLP([2, 2], loss=name)


@pytest.mark.parametrize(
    ("loss", "targets", "message"),
    [
        ("softmax_cross_entropy", [[0.5, 0.4]] * 3, "hold a row that is not a distribution"),
        ("softmax_cross_entropy", [[1.5, -0.5]] * 3, "hold a row that is not a distribution"),
        ("softmax_cross_entropy", [[np.nan, 1.0]] * 3, "hold a row that is not a distribution"),
        ("sigmoid_cross_entropy", [[0, 2]] * 3, "run from 0 to 2, expected 0 for no, 1 for yes"),
        ("sigmoid_cross_entropy", [[0.0, -1.0]] * 3, "run from -1 to 0, expected 0 for no"),
        ("sigmoid_cross_entropy", [0, 1, 1], r"of shape \(3,\), expected .*\(3, 2\)$"),
        ("squared_error", [[0.0, 1.0]], r"of shape \(1, 2\), expected .*\(3, 2\)$"),
        ("squared_error", [[0.0, np.nan]] * 3, "hold NaN or infinity"),
        ("huber", [[0.0, np.inf]] * 3, "hold NaN or infinity"),
        ("poisson", [[0.0, -1.0]] * 3, "run from -1, expected counts or rates of at least 0"),
    ],
)
def test_targets_that_a_loss_cannot_use(loss, targets, message):
    mlp = MLP([1, 2], loss=loss)
    parameters = [{"W": np.zeros((1, 2)), "b": np.zeros(2)}]
    with pytest.raises(ValueError, match=f"targets.* {message}"):
        mlp.loss_and_gradients(parameters, np.zeros((3, 1)), np.asarray(targets))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(2), r"sample_weight is float64 of shape \(2,\), expected float64 of shape \(3,\)"),
        (np.ones(3, dtype="float32"), "sample_weight is float32 of shape"),
        (np.asarray([1.0, -1.0, 1.0]), "sample_weight holds negative numbers"),
        (np.asarray([1.0, np.nan, 1.0]), "sample_weight holds negative numbers, NaN"),
        (np.asarray([1.0, np.inf, 1.0]), "sample_weight holds negative numbers, NaN or infinity"),
        (np.zeros(3), "sample_weight is all 0"),
        (np.full(3, 1e308), "holds numbers above 5.99e[+]307: their sum may be infinite"),
    ],
)
def test_weights_that_are_none(weights, message):
    mlp = MLP([1, 2])
    parameters = [{"W": np.zeros((1, 2)), "b": np.zeros(2)}]
    with pytest.raises(ValueError, match=message):
        mlp.loss_and_gradients(
            parameters, np.zeros((3, 1)), np.asarray([0, 1, 1]), sample_weight=weights
        )


def test_probabilities_are_asked_of_a_classifier():
    parameters, x = [{"W": np.ones((1, 2)), "b": np.zeros(2)}], np.ones((3, 1))
    for loss in ("squared_error", "absolute_error", "huber", "quantile", "poisson"):
        with pytest.raises(ValueError, match=f"loss is '{loss}', which has no probabilities"):
            MLP([1, 2], loss=loss).predict_proba(parameters, x)
    assert MLP([1, 2], loss="squared_error").predict(parameters, x).tolist() == [[1.0, 1.0]] * 3
    assert MLP([1, 2]).predict_proba(parameters, x).tolist() == [[0.5, 0.5]] * 3
