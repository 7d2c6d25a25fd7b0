"""The network's door: every wrong argument is an error that names it and what was expected."""

import re
from dataclasses import replace

import array_api_strict as strict
import numpy as np
import pytest

from pluggable_mlp import MLP, Periodic, get_backend, train
from pluggable_mlp.network.checks import check_sample_weight, check_targets
from pluggable_mlp.network.layers import Rng

MLP_323 = MLP([3, 2, 4])
X = np.zeros((5, 3))
LABELS = np.asarray([0, 1, 2, 3, 0])


def parameters(dtype="float64"):
    return [
        {"W": np.zeros((3, 2), dtype), "b": np.zeros(2, dtype)},
        {"W": np.zeros((2, 4), dtype), "b": np.zeros(4, dtype)},
    ]


def with_layer(index, **changes):
    changed = parameters()
    changed[index].update(changes)
    return changed


@pytest.mark.parametrize(
    "sizes", [4, None, [], [3], [3, 0], [3, -1, 2], [3, 2.0], "ab", [3, "2"], [3, True]]
)
def test_sizes(sizes):
    with pytest.raises(ValueError, match=r"sizes is .*, expected at least two positive .*MLP\(\["):
        MLP(sizes)


def test_every_library_is_told_the_same(backend):
    """Shapes are tuples, whatever the library prints."""
    start = MLP_323.initialize(seed=0, backend=backend, dtype="float64")
    inputs, labels = backend.asarray(X), backend.asarray(LABELS)
    narrow = [{**start[0], "b": backend.asarray(np.zeros(3))}, start[1]]
    stacked = [{**start[0], "b": backend.asarray(np.zeros((7, 2)))}, start[1]]
    weights = backend.asarray(np.ones(4))
    calls = {
        "x has shape (5, 2), expected": lambda: MLP_323.logits(start, inputs[:, :2]),
        "parameters[0]['b'] has shape (3,), expected (…, (2,))": lambda: MLP_323.logits(
            narrow, inputs
        ),
        "parameters[0]['b'] has shape (7, 2), expected (2,)": lambda: MLP_323.logits(
            stacked, inputs
        ),
        "targets have shape (4,), expected (5,)": lambda: check_targets(
            MLP_323, inputs, labels[:4]
        ),
        "of shape (4,), expected": lambda: check_sample_weight(inputs, weights),
        "inputs has shape (5, 2), expected (examples, 3)": lambda: train(
            MLP_323, inputs[:, :2], labels, backend=backend
        ),
    }
    for words, call in calls.items():
        with pytest.raises(ValueError, match=re.escape(words)):
            call()


WITHOUT_B = [{"W": np.zeros((3, 2))}, parameters()[1]]


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (
            parameters()[:1],
            ValueError,
            r"is a list of 1, expected 2 dicts of .* \(3, 2, 4\)",
        ),
        (None, TypeError, r"parameters is a NoneType, expected a list of dicts .* mlp\.initialize"),
        (parameters()[0], TypeError, "parameters is a dict, expected a list of dicts of arrays"),
        (
            [parameters()[0], np.zeros(2)],
            TypeError,
            r"parameters\[1\] is a ndarray, expected a d",
        ),
        (WITHOUT_B, ValueError, r"parameters\[0\] holds \['W'\], expected \['W', 'b'\]"),
        (with_layer(1, gain=np.zeros(4)), ValueError, r"holds \['W', 'b', 'gain'\], expected \['W"),
        (
            with_layer(1, W=np.zeros((4, 2))),
            ValueError,
            r"\['W'\] has shape \(4, 2\), expected",
        ),
        (
            with_layer(0, b=np.zeros(3)),
            ValueError,
            r"\['b'\] has shape \(3,\), expected \(…, \(2,",
        ),
        (
            with_layer(1, b=np.zeros(4, "float32")),
            ValueError,
            "float32, but the first parameter",
        ),
        (parameters("int64"), ValueError, "parameters are int64, expected float32 or float64"),
        (
            with_layer(0, b=[0.0, 0.0]),
            TypeError,
            r"\['b'\] is a .*list, not an array",
        ),
        (with_layer(1, W=strict.zeros((2, 4))), TypeError, "numpy, but .* of array_api_strict"),
    ],
)
def test_parameters(wrong, error, message):
    for call in (
        lambda: MLP_323.logits(wrong, X),
        lambda: MLP_323.predict_proba(wrong, X),
        lambda: MLP_323.loss_and_gradients(wrong, X, LABELS),
    ):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((5, 4)), ValueError, r"x has shape \(5, 4\), expected \(batch, 3\)"),
        (np.zeros(3), ValueError, r"x has shape \(3,\), expected \(batch, 3\)"),
        (np.zeros((0, 3)), ValueError, r"x has shape \(0, 3\), .* a batch of at least 1"),
        (np.zeros((5, 3), "float32"), ValueError, "x is float32, but the parameters are float64"),
        (None, TypeError, "x is a builtins.NoneType, not an array; make one with backend.asarray"),
        (
            strict.zeros((5, 3)),
            TypeError,
            "x is an array of array_api_strict, but parameters is",
        ),
    ],
)
def test_inputs(x, error, message):
    for call in (
        lambda: MLP_323.logits(parameters(), x),
        lambda: MLP_323.predict_proba(parameters(), x),
        lambda: MLP_323.loss_and_gradients(parameters(), x, LABELS),
    ):
        with pytest.raises(error, match=message):
            call()


STRICT_LABELS = strict.zeros(5, dtype=strict.int64)


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        (LABELS[:4], ValueError, r"targets have shape \(4,\), expected \(5,\)"),
        (np.asarray([0, 1, 2, 3, 4]), ValueError, "targets run from 0 to 4, expected 0 to 3"),
        (np.asarray([0, -1, 2, 3, 3]), ValueError, "targets run from -1 to 3, expected 0 to 3"),
        (np.zeros(5), ValueError, r"are float64 of shape \(5,\), expected integers \(batch,\)"),
        (np.zeros((5, 3)), ValueError, r"targets are float64 of shape \(5, 3\), .* \(5, 4\)"),
        (np.zeros((5, 4), "float32"), ValueError, r"targets are float32 .* rows .* of float64"),
        (np.ones((5, 4), "bool"), ValueError, "targets hold a row that is not a distribution"),
        (
            np.eye(4, dtype="int64")[LABELS] * 2 - 1,
            ValueError,
            "hold a row that is not a distrib",
        ),
        (np.zeros((5, 1)), ValueError, r"targets are float64 of shape \(5,\), expected integers"),
        (np.zeros((5, 2), "int64"), ValueError, r"targets have shape \(5, 2\), expected \(5,\)"),
        ([0, 1, 2, 3, 0], TypeError, "targets is a builtins.list, not an array"),
        (STRICT_LABELS, TypeError, "targets is an array of array_api_strict, but x is an array of"),
    ],
)
def test_targets(targets, error, message):
    with pytest.raises(error, match=message):
        MLP_323.loss_and_gradients(parameters(), X, targets)


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (3, TypeError, r"rng is 3, expected None or Rng\(seed=0, t=0\)"),
        (True, TypeError, "rng is True, expected None"),
        (Rng(-1, 0), ValueError, "seed is -1, expected an integer from 0 to"),
        (Rng(0.5, 0), ValueError, "seed is 0.5, expected an integer"),
        (Rng(0, -1), ValueError, "rng.t is -1, expected an integer of at least 0"),
    ],
)
def test_the_mode(step, error, message):
    for mlp in (MLP_323, replace(MLP_323, dropout=0.5)):
        with pytest.raises(error, match=message):
            mlp.loss_and_gradients(parameters(), X, LABELS, rng=step)


def test_no_axis_makes_several_networks_of_one():
    """Targets and weights have the leading axes of x, of the parameters, or none."""
    two = [{name: np.stack([w, w]) for name, w in layer.items()} for layer in parameters()]
    labels, weights = np.stack([LABELS, LABELS]), np.ones((2, 5))
    for own, x in ((two, X), (parameters(), np.stack([X, X])), (two, np.stack([X, X]))):
        for given in (labels, LABELS, np.eye(4)[labels]):
            for of in (weights, weights[0], None):
                loss, _ = MLP_323.loss_and_gradients(own, x, given, sample_weight=of)
                assert loss.shape == (2,)
    with pytest.raises(ValueError, match=r"targets have shape \(2, 5\), expected \(5,\) or \(5, 4"):
        MLP_323.loss_and_gradients(parameters(), X, labels)
    with pytest.raises(ValueError, match=r"sample_weight has shape \(2, 5\), expected \(5,\)"):
        MLP_323.loss_and_gradients(parameters(), X, LABELS, sample_weight=weights)


def test_two_devices_in_one_call_are_named():
    def on(device, *shape):
        return strict.zeros(shape, device=strict.Device(device))

    mlp = MLP([3, 2])
    own = [{"W": on("device1", 3, 2), "b": on("device1", 2)}]
    with pytest.raises(ValueError, match=r"x is on device .*device2.*, but parameters .*device1"):
        mlp.logits(own, on("device2", 5, 3))
    with pytest.raises(ValueError, match=r"\['W'\] is on device .*device1.*\['b'\] .*device2"):
        mlp.logits([{**own[0], "b": on("device2", 2)}], on("device1", 5, 3))
    with pytest.raises(ValueError, match=r"targets is on device .*device2.*, but x .*device1"):
        mlp.loss_and_gradients(own, on("device1", 5, 3), on("device2", 5, 2))


CLASS_LABELS = {
    "one-hot integers": np.eye(4, dtype="int64")[LABELS],
    "one-hot bytes": np.eye(4, dtype="uint8")[LABELS],
    "one-hot booleans": np.eye(4, dtype="bool")[LABELS],
    "one-hot numbers": np.eye(4)[LABELS],
    "a column": LABELS[:, None],
    "bytes": LABELS.astype("uint8"),
    "a column of 32 bits": LABELS.astype("int32")[:, None],
}


@pytest.mark.parametrize("stacked", ["one network", "two networks", "two networks and batches"])
@pytest.mark.parametrize("kind", CLASS_LABELS)
def test_the_same_classes_give_the_same_gradients_in_every_form(backend, kind, stacked):
    given, indices = CLASS_LABELS[kind], LABELS
    rng = np.random.default_rng(0)
    W, x = rng.normal(size=(2, 3, 4)), rng.normal(size=(5, 3))
    if stacked == "one network":
        W = W[0]
    elif stacked == "two networks and batches":
        given, indices, x = (np.stack([of, of[::-1]]) for of in (given, indices, x))
    mlp = MLP([3, 4])
    own = [{"W": backend.asarray(W), "b": backend.asarray(np.zeros((*W.shape[:-2], 4)))}]
    found, expected = (
        mlp.loss_and_gradients(own, backend.asarray(x), backend.asarray(labels))
        for labels in (given, indices)
    )
    for one, other in ((found[0], expected[0]), (found[1][0]["W"], expected[1][0]["W"])):
        assert one.shape == other.shape
        np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))


@pytest.mark.parametrize("buffers", [3, [], [{}], [{}, 3]])
def test_buffers_of_another_structure_raise(buffers):
    mlp = MLP_323
    with pytest.raises(TypeError, match="buffers is .*, expected a list of 2 dicts, beside"):
        mlp.loss_and_gradients(parameters(), X, LABELS, buffers=buffers)


def test_the_names_of_a_layer_are_in_any_order():
    mlp, backend = MLP([3, 4, 2], embedding=Periodic(3)), get_backend("numpy")
    parameters = mlp.initialize(seed=0, backend=backend)
    ordered = [dict(sorted(layer.items())) for layer in parameters]
    x = np.ones((2, 3), np.float32)
    assert (mlp.logits(ordered, x) == mlp.logits(parameters, x)).all()
