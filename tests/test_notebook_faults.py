"""The faults of the notebook that this project grew from: each named, mended, and held mended.

Each check is applied twice: to the library, which passes it, and to the faulty form, written out
small beside it, which must not.  None of the faulty forms is the library's code.
"""

import gzip
import math
import pickle
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD
from pluggable_mlp.network.loss import one_hot
from pluggable_mlp.network.losses import softmax_cross_entropy
from pluggable_mlp.special import sigmoid, softmax
from pluggable_mlp.training.optimizer import UpdateArguments
from tests.network import reference

NOTEBOOK = Path(__file__).parents[1] / "examples" / "notebook.py"

# z = ln (1, 3): softmax (1/4, 3/4), losses ln 4 and ln 4/3 for the targets 0 and 1.
Z = np.log([[1.0, 3.0]])
TOLERANCE = 20 * 2.0**-53  # fewer than twenty roundings of numbers below 2

GLOBAL_TARGET = np.asarray([1])


def our_loss(z, targets):
    return softmax_cross_entropy(np, z, targets)[0]


def our_gradient(z, targets):
    return softmax_cross_entropy(np, z, targets)[1]


# 1. The loss read a global instead of its argument.


def loss_of_a_global(z, targets):
    del targets
    return -np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))[0, GLOBAL_TARGET[0]]


def check_the_loss_is_of_its_argument(loss):
    assert abs(loss(Z, np.asarray([0])) - math.log(4)) <= TOLERANCE
    assert abs(loss(Z, np.asarray([1])) - math.log(4 / 3)) <= TOLERANCE


def test_the_loss_read_a_global():
    check_the_loss_is_of_its_argument(our_loss)
    with pytest.raises(AssertionError):
        check_the_loss_is_of_its_argument(loss_of_a_global)


# 2. The gradient read a global target.


def gradient_of_a_global(z, targets):
    del targets
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) - np.eye(2)[GLOBAL_TARGET]


def check_the_gradient_is_of_its_argument(gradient):
    assert abs(gradient(Z, np.asarray([1])) - [[1 / 4, -1 / 4]]).max() <= TOLERANCE
    assert abs(gradient(Z, np.asarray([0])) - [[-3 / 4, 3 / 4]]).max() <= TOLERANCE


def test_the_gradient_read_a_global_target():
    check_the_gradient_is_of_its_argument(our_gradient)
    with pytest.raises(AssertionError):
        check_the_gradient_is_of_its_argument(gradient_of_a_global)


# 3. One-hot put label k at k - 1.


def one_hot_off_by_one(labels, classes):
    rows = np.zeros((len(labels), classes))
    rows[np.arange(len(labels)), labels - 1] = 1.0
    return rows


def check_label_k_is_at_k(encode):
    assert encode(np.asarray([0, 2, 1]), 3).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_one_hot_put_label_k_at_k_minus_1():
    check_label_k_is_at_k(lambda labels, n: one_hot(np, labels, np.zeros((len(labels), n))))
    with pytest.raises(AssertionError):
        check_label_k_is_at_k(one_hot_off_by_one)


# 4. The overflow of exp.


def loss_that_overflows(z, targets):
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(targets)), targets]).mean()


def sigmoid_that_overflows(x):
    return 1.0 / (1.0 + np.exp(-x))


def check_large_logits(loss):
    with np.errstate(all="raise", under="ignore"):
        assert loss(np.asarray([[1e4, 0.0], [0.0, 1e4]]), np.asarray([0, 0])) == 5e3


def check_large_inputs(sigmoid):
    with np.errstate(all="raise", under="ignore"):
        low, high = sigmoid(np.asarray([-1e4, 1e4]))
    assert high == 1.0
    assert 0.0 <= low < 1e-300


def test_the_overflow_of_exp():
    check_large_logits(our_loss)
    with pytest.raises(FloatingPointError):
        check_large_logits(loss_that_overflows)
    check_large_inputs(lambda x: sigmoid(np, x))
    with pytest.raises(FloatingPointError):
        check_large_inputs(sigmoid_that_overflows)


# 5. Softmax and the loss summed over the whole batch.


def softmax_of_the_batch(z):
    return np.exp(z) / np.exp(z).sum()


def loss_of_the_batch(z, targets):
    rows = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return -np.log(rows[np.arange(len(targets)), targets]).sum()


def check_each_example_has_its_own_softmax(function):
    together = function(np.concatenate([Z, 2 * Z]))
    assert abs(together - [[1 / 4, 3 / 4], [1 / 10, 9 / 10]]).max() <= TOLERANCE


def check_the_loss_does_not_grow_with_the_batch(loss):
    z, targets = np.concatenate([Z] * 8), np.asarray([0] * 8)
    assert abs(loss(z, targets) - math.log(4)) <= TOLERANCE


def test_softmax_and_the_loss_summed_over_the_whole_batch():
    check_each_example_has_its_own_softmax(lambda z: softmax(np, z))
    with pytest.raises(AssertionError):
        check_each_example_has_its_own_softmax(softmax_of_the_batch)
    check_the_loss_does_not_grow_with_the_batch(our_loss)
    with pytest.raises(AssertionError):
        check_the_loss_does_not_grow_with_the_batch(loss_of_the_batch)


# 6. The list of activations held the hidden layer twice.


def gradients_with_the_hidden_layer_twice(parameters, x, targets):
    """Right except for the list: harmless with one hidden layer, but with two a dW is wrong."""
    activations, y = [x], x
    for layer in parameters[:-1]:
        y = 1.0 / (1.0 + np.exp(-(y @ layer["W"] + layer["b"])))
        activations += [y, y]
    dz = our_gradient(y @ parameters[-1]["W"] + parameters[-1]["b"], targets)
    gradients = []
    for index in reversed(range(len(parameters))):
        gradients.insert(0, {"W": activations[index].T @ dz, "b": dz.sum(axis=0)})
        y = activations[index]
        dz = (dz @ parameters[index]["W"].T) * y * (1.0 - y)
    return gradients


def check_two_hidden_layers(gradients_of):
    """Against the textbook's lines (tests/network/reference.py), within their error bound."""
    rng = np.random.default_rng(0)
    parameters = [
        {"W": rng.normal(size=shape), "b": rng.normal(size=shape[1])}
        for shape in ((3, 4), (4, 4), (4, 2))
    ]
    x, targets = rng.normal(size=(5, 3)), np.asarray([0, 1, 1, 0, 1])
    _, expected = reference.loss_and_gradients(
        "sigmoid", reference.exact_parameters(parameters), x, reference.one_hot(targets, 2)
    )
    for ours, layer in zip(gradients_of(parameters, x, targets), expected, strict=True):
        for name, bounded in layer.items():
            reference.assert_within(ours[name], bounded, name)


def test_the_list_of_activations_held_the_hidden_layer_twice():
    mlp = MLP([3, 4, 4, 2])
    check_two_hidden_layers(lambda *arguments: mlp.loss_and_gradients(*arguments)[1])
    with pytest.raises(AssertionError, match="times the bound"):
        check_two_hidden_layers(gradients_with_the_hidden_layer_twice)
    assert [type(layer).__name__ for layer in mlp.layers] == [
        *("Dense", "ActivationLayer"),
        *("Dense", "ActivationLayer"),
        "Dense",
    ]


# 7. The update rebuilt every array.


def our_update(parameters, gradients):
    optimizer = SGD(0.01)
    before = UpdateArguments(np, optimizer.coefficients_at(0), parameters, gradients, {})
    return optimizer.update(before)[0]


def update_that_rebuilds(parameters, gradients):
    """The scaled gradients are all new arrays, and then all their differences are."""
    steps = [{name: 0.01 * g for name, g in layer.items()} for layer in gradients]
    return [
        {name: layer[name] - step[name] for name in layer}
        for layer, step in zip(parameters, steps, strict=True)
    ]


def check_one_new_array_for_each_parameter(update):
    """No more memory at any time than the new parameters take: no array is made on the way."""
    shapes = [(300, 200), (200, 100)]
    parameters = [{"W": np.zeros(shape), "b": np.zeros(shape[1])} for shape in shapes]
    gradients = [{"W": np.ones(shape), "b": np.ones(shape[1])} for shape in shapes]
    size = sum(array.nbytes for layer in parameters for array in layer.values())
    tracemalloc.start()
    result = update(parameters, gradients)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (result[0]["W"] == -0.01).all()
    assert (parameters[0]["W"] == 0.0).all(), "the caller's parameters are not to be changed"
    assert peak < 1.1 * size  # a tenth for Python's own objects


def test_the_update_rebuilt_every_array():
    check_one_new_array_for_each_parameter(our_update)
    with pytest.raises(AssertionError):
        check_one_new_array_for_each_parameter(update_that_rebuilds)


# 8. It never finished its ten epochs.


def classic_pickle(folder):
    """A file as the classic one, small: images of a bright row k for the class k."""

    def part(count):
        labels = np.arange(count) % 10
        images = np.zeros((count, 28, 28), dtype=np.float32)
        images[np.arange(count), 2 * labels + 4] = 255 / 256
        return images.reshape(count, 784), labels

    path = folder / "mnist.pkl.gz"
    with gzip.open(path, "wb") as file:
        pickle.dump((part(60), part(20), part(20)), file, protocol=4)
    return path


def check_ten_epochs(*command):
    """It ends by itself, with ten losses, and shows a digit and its probabilities."""
    run = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stderr
    losses = [float(loss) for loss in re.findall(r"mean loss (\S+)", run.stdout)]
    assert len(losses) == 10
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0]
    assert re.search(r"^class \d \(labelled 0\)", run.stdout, re.MULTILINE)
    assert "@" * 56 in run.stdout  # the picture: the bright row, two characters a pixel
    probabilities = [float(p) for p in re.findall(r"\d: (\d\.\d{4})", run.stdout)]
    assert len(probabilities) == 10
    assert abs(sum(probabilities) - 1.0) <= 10 * 0.5e-4  # each is rounded to four digits


STOPS_IN_THE_FOURTH = """
for epoch in range(1, 11):
    if epoch == 4:
        raise KeyboardInterrupt
    print(f"epoch {epoch}  mean loss {1 / epoch}")
"""


def test_it_never_finished_its_ten_epochs(tmp_path):
    check_ten_epochs(str(NOTEBOOK), "--epochs", "10", "--data", str(classic_pickle(tmp_path)))
    with pytest.raises(AssertionError, match="KeyboardInterrupt"):
        check_ten_epochs("-c", STOPS_IN_THE_FOURTH)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "nunpy"], "did you mean 'numpy'"),
        (["--data", "no-such-file.npz"], "no-such-file.npz"),
    ],
)
def test_the_example_says_what_is_wrong(arguments, message):
    run = subprocess.run(
        [sys.executable, NOTEBOOK, *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr
