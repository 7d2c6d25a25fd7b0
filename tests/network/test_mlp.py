"""The whole network: by hand, stacked, at extremes, pure, and what it costs."""

import math

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend, special
from pluggable_mlp.namespaces import ARITHMETICS
from tests.network.examples import SIZES, example, moved


def test_a_network_worked_by_hand(backend):
    """2-2-2, two examples, sigmoid; every number below can be checked with pencil and paper.

    x = [[ln 3, 0], [0, ln 3]], W1 = identity, b1 = 0, so z1 = x.
    sigmoid(ln 3) = 3/4, sigmoid(0) = 1/2: h = [[3/4, 1/2], [1/2, 3/4]].

    W2 = [[4 ln 3, 0], [0, 4 ln 3]], b2 = [0, -ln 3]:
    example 1: z2 = (3 ln 3, 2 ln 3 - ln 3)     = (3 ln 3, 1 ln 3): exp z2 = (27, 3)
    example 2: z2 = (2 ln 3, 3 ln 3 - ln 3)     = (2 ln 3, 2 ln 3): exp z2 = (9, 9)
    softmax: p = [[9/10, 1/10], [1/2, 1/2]].

    Labels 1, 0.  loss = (-ln 1/10 - ln 1/2) / 2 = ln(20) / 2.

    dz2 = (p - t) / 2 = [[9/10, -9/10], [-1/2, 1/2]] / 2 = [[9/20, -9/20], [-1/4, 1/4]]
    dW2 = hᵀ dz2: its first row is  3/4 (9/20, -9/20) + 1/2 (-1/4, 1/4)
                                  = (27/80 - 10/80) (1, -1) = (17/80, -17/80)
                  the second row is 1/2 (9/20, -9/20) + 3/4 (-1/4, 1/4)
                                  = (18/80 - 15/80) (1, -1) = (3/80, -3/80)
    db2 = (9/20 - 5/20) (1, -1) = (1/5, -1/5)
    dh  = dz2 W2ᵀ = 4 ln 3 dz2 = ln 3 [[9/5, -9/5], [-1, 1]]
    h (1 - h) = [[3/16, 1/4], [1/4, 3/16]]
    dz1 = ln 3 [[27/80, -9/20], [-1/4, 3/16]]
    dW1 = xᵀ dz1: row 1 is ln 3 times row 1 of dz1, row 2 is ln 3 times row 2
        = (ln 3)² [[27/80, -9/20], [-1/4, 3/16]]
    db1 = ln 3 (27/80 - 20/80, -36/80 + 15/80) = ln 3 (7/80, -21/80)
    """
    a = math.log(3.0)
    mlp = MLP([2, 2, 2], activation="sigmoid")
    parameters = moved(
        backend,
        [
            {"W": np.eye(2), "b": np.zeros(2)},
            {"W": np.asarray([[4 * a, 0.0], [0.0, 4 * a]]), "b": np.asarray([0.0, -a])},
        ],
    )
    x = np.asarray([[a, 0.0], [0.0, a]])
    loss, gradients = mlp.loss_and_gradients(
        parameters, backend.asarray(x), backend.asarray(np.asarray([1, 0]))
    )
    probabilities = mlp.predict_proba(parameters, backend.asarray(x))
    expected = [
        {
            "W": a * a * np.asarray([[27 / 80, -9 / 20], [-1 / 4, 3 / 16]]),
            "b": a * np.asarray([7 / 80, -21 / 80]),
        },
        {
            "W": np.asarray([[17 / 80, -17 / 80], [3 / 80, -3 / 80]]),
            "b": np.asarray([1 / 5, -1 / 5]),
        },
    ]
    # Some twenty roundings, of numbers below 5 (the logits, 3 ln 3 + …), through slopes below 1.
    tolerance = 20 * 5 * 2.0**-53
    assert abs(float(loss) - math.log(20.0) / 2) <= tolerance
    assert abs(backend.to_numpy(probabilities) - [[0.9, 0.1], [0.5, 0.5]]).max() <= tolerance
    for layer, by_hand in zip(gradients, expected, strict=True):
        for name, array in by_hand.items():
            assert abs(backend.to_numpy(layer[name]) - array).max() <= tolerance, name


@pytest.mark.parametrize("call", ["logits", "predict", "predict_proba", "loss_and_gradients"])
def test_the_arithmetic_that_is_asked_for_computes(monkeypatch, call):
    """One that turns the sign of every layer's output, beside native: each call has its own."""

    class Turned:
        beyond_standard = ("affine",)

        def __init__(self, xp, run_all):
            self.inner = xp

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def affine(self, x, W, b):
            return -special.affine(self.inner, x, W, b)

    monkeypatch.setitem(ARITHMETICS, "turned", Turned)
    parameters, x, labels = example(1)
    turned = [{name: -array for name, array in layer.items()} for layer in parameters]
    more = (labels,) if call == "loss_and_gradients" else ()

    def first(mine, **settings):
        found = getattr(MLP(SIZES[1]), call)(mine, x, *more, **settings)
        return (found[0] if more else found).tolist()

    assert first(parameters, arithmetic="turned") == first(turned)
    assert first(parameters) == first(parameters, arithmetic="native") != first(turned)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("softmax_cross_entropy", [0, 1, 1]),
        ("sigmoid_cross_entropy", [[0, 0, 0], [0, 1, 1], [0, 1, 0]]),
        ("squared_error", [[0.0, 0.0, 0.0], [-1.0, 2.0, 2.0], [-2.0, 2.0, 0.0]]),
    ],
)
def test_predictions_are_classes_labels_or_values(backend, loss, expected, dtype, arithmetic):
    """z = x W + b by hand: the first of equal logits is the class, a logit of 0 says no."""
    parameters = [
        {name: backend.asarray(array, dtype=dtype) for name, array in layer.items()}
        for layer in [{"W": [[1.0, 0.0, 2.0], [0.0, 1.0, 2.0]], "b": [0.0, 0.0, 0.0]}]
    ]
    x = backend.asarray([[0.0, 0.0], [-1.0, 2.0], [-2.0, 2.0]], dtype=dtype)
    mlp = MLP([2, 3], loss=loss)
    found = backend.to_numpy(mlp.predict(parameters, x, arithmetic=arithmetic))
    assert found.dtype == (dtype if loss == "squared_error" else "int64")
    assert found.tolist() == expected


def test_two_descriptions_of_one_network_are_equal():
    assert MLP([3, 2]) == MLP((3, 2))
    assert MLP([3, 2]) != MLP([3, 2], activation="tanh")
    assert MLP([3, 4, 5, 2]).sizes == (3, 4, 5, 2)
    of_a_list = {MLP([3, 4, 5, 2], activation=["relu", "tanh"]) for _ in range(2)}
    assert len(of_a_list) == 1
    assert MLP([3, 4, 5, 2], activation=["tanh", "relu"]) not in of_a_list


@pytest.mark.parametrize("dtype", ["int64", "complex64", "float16", None])
def test_parameters_of_another_dtype_are_refused(dtype):
    with pytest.raises(ValueError, match="dtype is .*, expected 'float32' or 'float64'"):
        MLP([2, 1]).initialize(seed=0, backend=get_backend("numpy"), dtype=dtype)
