"""The whole network: by hand, stacked, at extremes, pure, and what it costs."""

import math

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend, special
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.network import mlp as mlp_module
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.layers import Rng
from pluggable_mlp.training.optimizer import UpdateArguments
from tests.network import reference
from tests.network.examples import SIZES, example, moved
from tests.together import together


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


@pytest.mark.parametrize("function", ["sigmoid", "relu"])
def test_two_stacked_networks_give_what_each_gives_by_itself(backend, function):
    """Loss, gradients, and the parameters after five steps, from two different networks.

    Each is compared with its own textbook run: that each alone is within the same bound is
    another test's business, and the libraries may use other kernels for a stack.
    """
    alone = [example(3, seed) for seed in (1, 2)]
    mlp = MLP(SIZES[3], activation=function)
    parameters = [
        {name: backend.asarray(np.stack([a[0][i][name], b[0][i][name]])) for name in ("W", "b")}
        for i, (a, b) in enumerate([alone] * 3)
    ]
    x, labels = (backend.asarray(np.stack([a[part] for a in alone])) for part in (1, 2))
    optimizer = SGD(0.125)
    expected = [reference.exact_parameters(a[0]) for a in alone]
    for _ in range(5):
        loss, gradients = mlp.loss_and_gradients(parameters, x, labels)
        assert loss.shape == (2,)
        for network, (_, own_x, own_labels) in enumerate(alone):
            target = reference.one_hot(own_labels, 4)
            own_loss, own = reference.loss_and_gradients(function, expected[network], own_x, target)
            reference.assert_within(backend.to_numpy(loss)[network], own_loss, "loss")
            assert_tree_within(backend, gradients, own, network)
            expected[network] = reference.descend(expected[network], own, 0.125)
        coefficients = optimizer.coefficients_at(0)
        parameters, _ = optimizer.update(
            UpdateArguments(backend.xp, coefficients, parameters, gradients, {})
        )
        for network in range(2):
            assert_tree_within(backend, parameters, expected[network], network)


def assert_tree_within(backend, tree, balls, network):
    for index, layer in enumerate(balls):
        for name, bounded in layer.items():
            array = backend.to_numpy(tree[index][name])[network, ...]
            reference.assert_within(array, bounded, f"{name} of layer {index}, network {network}")


@pytest.mark.parametrize("backend", ["array_api_strict:device1"], indirect=True)
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_a_stack_of_one_has_its_axis_everywhere(backend, arithmetic):
    parameters, x, labels = example(2)
    mlp = MLP(SIZES[2])
    stacked = [{name: array[None, ...] for name, array in layer.items()} for layer in parameters]
    loss, gradients = mlp.loss_and_gradients(
        moved(backend, stacked),
        backend.asarray(x[None, ...]),
        backend.asarray(labels[None, ...]),
        arithmetic=arithmetic,
    )
    assert loss.shape == (1,)
    assert [{n: a.shape for n, a in layer.items()} for layer in gradients] == [
        {"W": (1, 3, 6), "b": (1, 6)},
        {"W": (1, 6, 4), "b": (1, 4)},
    ]
    assert mlp.logits(moved(backend, stacked), backend.asarray(x[None, ...])).shape == (1, 5, 4)


@together("function", ACTIVATIONS)
def test_nothing_overflows_at_large_logits(backend, function):
    """Logits of +-1e4 in float32, sigmoids deep in saturation: finite, no warning (all are errors).

    x = +-1e4 passes the first layer (identity weights) and, unless squashed, the second.
    """
    mlp = MLP([2, 2, 2], activation=function)
    last = np.asarray([[1.0, -1.0], [-1.0, 1.0]]) * (
        1e4 if function in ("sigmoid", "tanh") else 1.0
    )
    parameters = moved(
        backend, [{"W": np.eye(2), "b": np.zeros(2)}, {"W": last, "b": np.zeros(2)}], "float32"
    )
    x = backend.asarray(np.asarray([[1e4, -1e4], [-1e4, 1e4]]), dtype="float32")
    labels = backend.asarray(np.asarray([0, 0]))
    logits = backend.to_numpy(mlp.logits(parameters, x))
    assert abs(logits).max() >= 1e4
    loss, gradients = mlp.loss_and_gradients(parameters, x, labels)
    probabilities = backend.to_numpy(mlp.predict_proba(parameters, x))
    # Example 1 is right, its loss nothing; example 2 is wrong by the difference of its logits.
    difference = logits[1, 1] - logits[1, 0]
    assert difference >= 1e4
    assert abs(float(loss) - difference / 2) <= 4 * 2.0**-24 * difference
    assert np.isfinite(probabilities).all()
    for layer in gradients:
        for array in layer.values():
            assert np.isfinite(backend.to_numpy(array)).all()


def test_the_first_layer_computes_no_dx():
    """A network of d layers costs 3 d - 1 products: d forward, d for dW, d - 1 for dx."""

    class Counting:
        def __init__(self, xp):
            self.inner, self.products = xp, 0

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def matmul(self, a, b):
            self.products += 1
            return self.inner.matmul(a, b)

    for depth, sizes in SIZES.items():
        parameters, x, labels = example(depth)
        counting = Counting(get_backend("numpy").xp)
        no_buffers = [{} for _ in parameters]
        MLP(sizes).loss_gradients_and_buffers(counting, parameters, no_buffers, x, labels)
        assert counting.products == 3 * depth - 1


@together("arithmetic", ARITHMETICS)
@together("function", ACTIVATIONS)
def test_nothing_that_comes_in_is_changed(function, arithmetic):
    """NumPy arrays, writable ones: their bytes are the same afterwards."""
    parameters, x, labels = example(3)
    mlp = MLP(SIZES[3], activation=function)

    def contents():
        arrays = [array for layer in parameters for array in layer.values()]
        return [array.tobytes() for array in (*arrays, x, labels)]

    before = contents()
    first = mlp.loss_and_gradients(parameters, x, labels, arithmetic=arithmetic)
    again = mlp.loss_and_gradients(parameters, x, labels, arithmetic=arithmetic)
    mlp.predict_proba(parameters, x, arithmetic=arithmetic)
    assert contents() == before
    assert first[0] == again[0]
    for one, other in zip(first[1], again[1], strict=True):
        assert all((one[name] == other[name]).all() for name in one)


def test_the_parts_are_chosen_by_name():
    for argument, wrong in (("activation", "sigmod"), ("loss", "l3"), ("initializer", "glorot")):
        with pytest.raises(ValueError, match=f"{argument} is '{wrong}', expected one of"):
            MLP([2, 2], **{argument: wrong})
    parameters, x, _ = example(1)
    with pytest.raises(ValueError, match=r"arithmetic is 'exact', expected one of native"):
        MLP(SIZES[1]).logits(parameters, x, arithmetic="exact")


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


@together("arithmetic", ARITHMETICS)
@together("dtype", ["float32", "float64"])
@together(
    "loss, expected",
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


def test_a_step_of_training_has_its_own_loss():
    backend = get_backend("numpy")
    mlp = MLP([2, 50, 2], dropout=0.5)
    parameters = mlp.initialize(seed=0, backend=backend)
    x, labels = backend.asarray([[0.5, 1.0]], dtype="float32"), backend.asarray([1])

    def loss(step):
        return float(mlp.loss_and_gradients(parameters, x, labels, rng=step)[0])

    evaluated, first, second = loss(None), loss(Rng(0, 0)), loss(Rng(0, 1))
    assert len({evaluated, first, second}) == 3
    assert loss(Rng(0, 0)) == first


@pytest.mark.parametrize("of_inputs", [{}, {"input_noise": 0.5, "input_dropout": 0.5}])
def test_no_gradient_of_the_inputs_is_computed(monkeypatch, of_inputs):
    """It would be one more product of matrices, and a third of the first layer's work."""
    mlp, products = MLP([4, 3, 2], **of_inputs), []
    matmul = special.matmul
    counted = lambda xp, a, b: products.append((a.shape, b.shape)) or matmul(xp, a, b)  # noqa: E731
    monkeypatch.setattr(special, "matmul", counted)
    backend = get_backend("numpy")
    x, labels = backend.asarray(np.ones((5, 4), dtype="float32")), np.arange(5) % 2
    mlp.loss_and_gradients(mlp.initialize(seed=0, backend=backend), x, labels, rng=Rng(0, 0))
    forward, backward = products[:2], products[2:]
    assert forward == [((5, 4), (4, 3)), ((5, 3), (3, 2))]
    assert backward == [((5, 2), (2, 3)), ((3, 5), (5, 2)), ((4, 5), (5, 3))]


def test_two_descriptions_of_one_network_are_equal():
    assert MLP([3, 2]) == MLP((3, 2))
    assert MLP([3, 2]) != MLP([3, 2], activation="tanh")
    assert MLP([3, 4, 5, 2]).sizes == (3, 4, 5, 2)
    of_a_list = {MLP([3, 4, 5, 2], activation=["relu", "tanh"]) for _ in range(2)}
    assert len(of_a_list) == 1
    assert MLP([3, 4, 5, 2], activation=["tanh", "relu"]) not in of_a_list


def test_the_example_in_the_docstring_holds():
    import doctest

    assert doctest.testmod(mlp_module).failed == 0
    assert doctest.testmod(mlp_module).attempted > 0


@pytest.mark.parametrize("dtype", ["int64", "complex64", "float16", None])
def test_parameters_of_another_dtype_are_refused(dtype):
    with pytest.raises(ValueError, match="dtype is .*, expected 'float32' or 'float64'"):
        MLP([2, 1]).initialize(seed=0, backend=get_backend("numpy"), dtype=dtype)
