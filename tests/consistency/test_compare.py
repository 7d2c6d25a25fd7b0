import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, first_state, make_optimizer, train, training_step
from pluggable_mlp.backends import Backend
from pluggable_mlp.consistency.compare import compare
from pluggable_mlp.consistency.report import format_report
from pluggable_mlp.consistency.units import name_arrays
from pluggable_mlp.host.randomness import permutation
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.training.optimizer import Optimizer
from tests.consistency.libraries import NUMPY
from tests.consistency.planted import OtherBackend, Replaced, WatchedRule

pytestmark = pytest.mark.as_user

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, size=(48, 6)).astype(np.uint8)
LABELS = RNG.integers(0, 3, size=48)
SMALL = MLP([6, 8, 3])
BY_LAYER = [
    "inputs", "targets",
    "layer 1 y", "layer 1 dW", "layer 1 db", "activation 1 y", "activation 1 dx",
    "layer 2 y", "layer 2 dx", "layer 2 dW", "layer 2 db", "loss", "dz",
    "layer 1 W", "layer 1 b", "layer 2 W", "layer 2 b",
]  # fmt: skip
GRADIENTS = ["loss", "layer 1 dW", "layer 1 db", "layer 2 dW", "layer 2 db"]
PARAMETERS = ["layer 1 W", "layer 1 b", "layer 2 W", "layer 2 b"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_backends_agree_within_the_bound(backend: Backend, dtype: str) -> None:
    report = compare(
        [NUMPY, backend], SMALL, PIXELS, LABELS, scale=1 / 256, dtype=dtype, batch_size=16, steps=4
    )
    assert report.passes
    checks = {
        (check, precision): [one.tensor for one in found]
        for (check, precision), found in itertools.groupby(
            report.agreements, lambda one: (one.check, one.dtype)
        )
    }
    assert checks == {
        ("layer by layer", dtype): BY_LAYER,
        ("whole step", "float64"): GRADIENTS + PARAMETERS,
        ("whole step", dtype): GRADIENTS + PARAMETERS,
    }
    assert all(one.part_of_bound <= 1.0 for one in report.agreements)
    assert all(one.smallest_fault < 0.02 for one in report.agreements)
    assert (report.hashes, report.differences) == ((), ())
    assert not math.isnan(sum(one.ulps for one in report.agreements))


def test_a_backend_beyond_the_bound_is_named_with_its_worst_step() -> None:
    def exp(x: Any) -> Any:  # of the third batch, which is smaller
        return np.exp(x) * (1.01 if x.shape[0] == 8 else 1.0)

    backends = [NUMPY, OtherBackend(), OtherBackend(exp=exp)]
    report = compare(backends, SMALL, PIXELS, LABELS, scale=1 / 256, batch_size=20, steps=5)
    assert not report.passes
    assert report.backends == ("numpy", "other:cpu (2)", "other:cpu (3)")
    beyond = [one for one in report.agreements if one.part_of_bound > 1.0]
    assert {one.tensor for one in beyond if one.dtype == "float64"} == {*GRADIENTS, *PARAMETERS}
    assert {"activation 1 y", "activation 1 dx", "loss"} <= {
        one.tensor for one in beyond if one.check == "layer by layer"
    }
    assert {(one.backend, one.step) for one in beyond} == {("other:cpu (3)", 3)}
    assert min(one.ulps for one in beyond) > 10.0
    text = format_report(report)
    assert "beyond the bound: other:cpu (3), loss, whole step in float32, step 3: " in text
    assert "within the bound" not in text


def test_improbable_differences_are_distinguished_from_impossible_ones() -> None:
    """With k = 400 two sides differ probably by 2 lambda sqrt(k) = 320 units, at most by 800."""

    def off_by(roundings: float) -> OtherBackend:
        def matmul(a: Any, b: Any) -> Any:
            error = roundings * np.finfo(a.dtype).eps / 2.0
            return np.matmul(a, b) + error * np.matmul(np.abs(a), np.abs(b))

        return OtherBackend(matmul=matmul)

    inputs = RNG.normal(size=(48, 400))
    backends = [NUMPY, off_by(300.0), off_by(500.0), off_by(900.0)]
    report = compare(backends, MLP([400, 3]), inputs, LABELS, steps=1)
    found = [
        one
        for one in report.agreements
        if (one.check, one.tensor) == ("layer by layer", "layer 1 y")
    ]
    parts = [one.part_of_bound for one in found]
    assert parts == pytest.approx([300 / 320, 500 / 320, 900 / 320], rel=0.02)
    assert found[0].part_of_worst_case is None
    of_worst = [one.part_of_worst_case for one in found[1:]]
    assert of_worst == pytest.approx([500 / 800, 900 / 800], rel=0.02)
    # y, dW and db; softmax's totals, the logits at the targets, the mean: on four sides.
    sums = 48 * 3 + 400 * 3 + 3 + 48 + 48 + 1
    assert report.improbability == pytest.approx(4 * sums * 2.0 * math.exp(-32.0))
    verdicts = [line for line in format_report(report).splitlines() if "layer 1 y, layer" in line]
    assert [line.endswith("; improbable, but within the worst case") for line in verdicts] == [
        True, False
    ]  # fmt: skip


def test_every_step_starts_from_the_reference() -> None:
    """Parameters that are wrong on one side do not reach its next step."""
    mlp, optimizer = MLP([6, 8, 3]), WatchedRule(SGD())
    off = OtherBackend(spoil=lambda name, array: array * 1.01)
    report = compare(
        [NUMPY, off], mlp, PIXELS, LABELS, scale=1 / 256, dtype="float64", optimizer=optimizer
    )
    assert {one.tensor for one in report.agreements if one.part_of_bound > 1.0} == {*PARAMETERS}


@pytest.mark.parametrize(
    ("rates", "blind"), [([1e-9], 1.0), ([0.1], 0.0), ([1e-9, 0.1], 0.0), ([0.1, 1e-9], 0.0)]
)
def test_parameters_are_compared_by_their_change(rates: list[float], blind: float) -> None:
    """Steps that float32 rounds away show no fault of theirs; biases, which were 0, do."""
    optimizer = SGD(lambda t: rates[t])
    report = compare(
        [NUMPY, NUMPY], SMALL, PIXELS / 256.0, LABELS, optimizer=optimizer, steps=len(rates)
    )
    found = {
        one.tensor: (one.blind_part, one.smallest_fault < 0.1)
        for one in report.agreements
        if one.check == "layer by layer" and one.tensor in PARAMETERS
    }
    weights = dict.fromkeys(["layer 1 W", "layer 2 W"], (blind, not blind))
    assert found == weights | dict.fromkeys(["layer 1 b", "layer 2 b"], (0.0, True))


@pytest.mark.parametrize(
    ("optimizer", "batch_size"),
    [(SGD(0.1, momentum=0.9), 100), (make_optimizer("adamw", learning_rate=0.05), 20)],
    ids=["momentum", "adamw"],
)
def test_the_steps_are_those_of_training(optimizer: Optimizer, batch_size: int) -> None:
    """Steps by hand that end each epoch where `train` does have the hashes of the report."""
    mlp = MLP([6, 8, 3], dropout=0.25, norm="batch")
    inputs = (PIXELS / 256.0).astype(np.float32)
    arguments: dict[str, Any] = {
        "seed": 5, "batch_size": batch_size, "arithmetic": "reproducible", "optimizer": optimizer
    }  # fmt: skip
    epochs: list[Any] = []
    train(
        mlp, inputs, LABELS, backend=NUMPY, epochs=3,
        callbacks=[lambda epoch: epochs.append(epoch.parameters)], **arguments,
    )  # fmt: skip
    by_hand = list(steps_by_hand(mlp, optimizer, inputs, batch_size, seed=5, epochs=3))
    steps_per_epoch = len(by_hand) // 3
    for number, parameters in enumerate(epochs, 1):
        last = by_hand[number * steps_per_epoch - 1]
        assert all((last[name] == array).all() for name, array in name_arrays(parameters).items())
    report = compare([NUMPY, NUMPY], mlp, inputs, LABELS, steps=len(by_hand), **arguments)
    hashes = {one.tensor: one.sha256 for one in report.hashes}
    for tensor in by_hand[0]:
        all_bytes = b"".join(np.ascontiguousarray(step[tensor]).tobytes() for step in by_hand)
        assert hashes[tensor] == hashlib.sha256(all_bytes).hexdigest(), tensor


def steps_by_hand(
    mlp: MLP, optimizer: Optimizer, inputs: Any, batch_size: int, seed: int, epochs: int
) -> Iterator[dict[str, Any]]:
    """Yield the parameters after each step, by name."""
    parameters = mlp.initialize(seed=seed, backend=NUMPY)
    state = first_state(mlp, optimizer, parameters, arithmetic="reproducible")
    for epoch in range(1, epochs + 1):
        order = permutation(seed, "shuffle", epoch, len(inputs))
        if batch_size >= len(inputs):
            order = np.arange(len(inputs))
        for start in range(0, len(inputs), batch_size):
            chosen = order[start : start + batch_size]
            _, state = training_step(
                mlp, optimizer, state, inputs[chosen], LABELS[chosen], seed=seed,
                arithmetic="reproducible",
            )  # fmt: skip
            yield name_arrays(state.inference_parameters)


def tampering() -> Replaced:
    """Return NumPy's namespace, but two sums over a batch are a bit off in several elements."""
    calls: Iterator[int] = iter(range(1, 1000))

    def tampered(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
        y = np.sum(x, axis=axis, keepdims=keepdims)
        # Of two layers, from the last on, for the step and for the report: those of step 3.
        if axis == -2 and next(calls) in (10, 12):
            y[2:] = np.nextafter(y[2:], np.float32(math.inf))
        return y

    return Replaced(sum=tampered)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of an arithmetic that promises the same bits, and does not always keep it."""

    def make(xp: Any, run_all: Any) -> Any:
        return tampering() if hasattr(xp, "tampering") else Replaced()

    monkeypatch.setitem(ARITHMETICS, "plain", make)
    return "plain"


def test_same_bits(plain: str) -> None:
    backends = [NUMPY, OtherBackend()]
    report = compare(backends, SMALL, PIXELS, LABELS, scale=1 / 256, arithmetic=plain, steps=3)
    assert report.passes
    assert (report.agreements, report.differences) == ((), ())
    hashes = {(one.tensor, one.backend): one.sha256 for one in report.hashes}
    assert list(hashes) == [(t, b) for t in GRADIENTS + PARAMETERS for b in ("numpy", "other")]
    assert all(hashes[tensor, "numpy"] == hashes[tensor, "other"] for tensor, _ in hashes)
    assert len(set(hashes.values())) == len(GRADIENTS + PARAMETERS)
    text = format_report(report)
    assert text.endswith("\nsame bits: numpy, other")
    assert f"layer 2 dW  numpy  {hashes['layer 2 dW', 'numpy']}\n" in text


def test_the_first_different_bit_is_named(plain: str) -> None:
    backends = [NUMPY, OtherBackend(tampering=True), OtherBackend()]
    report = compare(
        backends, SMALL, PIXELS, LABELS, scale=1 / 256, arithmetic=plain, batch_size=16, steps=5
    )
    assert not report.passes
    (difference,) = report.differences
    assert (difference.step, difference.tensor, difference.index) == (3, "layer 1 db", (2,))
    assert (difference.reference, difference.backend) == ("numpy", "other:cpu (2)")
    expected, found = (
        float.fromhex(text.partition(" ")[0]) for text in (difference.expected, difference.found)
    )
    assert np.float32(found) == np.nextafter(np.float32(expected), np.float32(math.inf))
    bits = [
        int(text.partition("(0x")[2][:-1], 16) for text in (difference.expected, difference.found)
    ]
    assert bits == [int(np.float32(x).view(np.uint32)) for x in (expected, found)]
    text = format_report(report)
    assert (
        "not the same bits: other:cpu (2) differs from numpy first in step 3, layer 1 db, "
        f"element [2]: numpy {difference.expected}, other:cpu (2) {difference.found}"
    ) in text
    hashes = {(one.tensor, one.backend): one.sha256 for one in report.hashes}
    assert hashes["layer 1 db", "numpy"] == hashes["layer 1 db", "other:cpu (3)"]
    assert hashes["layer 1 db", "numpy"] != hashes["layer 1 db", "other:cpu (2)"]


def test_zeros_of_two_signs_are_not_the_same_bits() -> None:
    from pluggable_mlp.consistency.comparators import _first_difference

    a = np.asarray([[1.0, 0.0]])
    assert _first_difference(a, a.copy()) is None
    assert _first_difference(a, np.asarray([[1.0, -0.0]])) == (
        (0, 1),
        "0x0.0p+0 (0x0000000000000000)",
        "-0x0.0p+0 (0x8000000000000000)",
    )


def test_another_shape_or_dtype_is_not_the_same_bits() -> None:
    from pluggable_mlp.consistency.comparators import _first_difference

    a = np.ones((2, 2), dtype="float32")
    for other, what in ((a.reshape(4), "float32 (4,)"), (a.view("int32"), "int32 (2, 2)")):
        assert _first_difference(a, other) == ((), "float32 (2, 2)", what)


def test_report_as_json() -> None:
    report = compare([NUMPY, OtherBackend()], SMALL, PIXELS, LABELS, scale=1 / 256, steps=2)
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["passes"] is True
    assert found["backends"] == ["numpy", "other"]
    assert (found["steps"], found["batch_size"], found["examples"]) == (2, 128, 48)
    assert 0.0 < found["improbability"] < 1e-8
    (loss,) = (
        one
        for one in found["agreements"]
        if (one["check"], one["tensor"]) == ("layer by layer", "loss")
    )
    assert 0.0 < loss.pop("smallest_fault") < 1e-5
    assert loss == {
        "check": "layer by layer",
        "dtype": "float32",
        "tensor": "loss",
        "backend": "other",
        "ulps": 0.0,
        "part_of_bound": 0.0,
        "part_of_worst_case": None,
        "step": 1,
        "blind_part": 0.0,
        "unchecked_part": 0.0,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backends": [NUMPY]}, "backends has length 1, expected two or more"),
        ({"batch_size": 0}, "batch_size is 0, expected an integer of at least 1"),
        ({"steps": 0}, "steps is 0, expected an integer of at least 1"),
    ],
)
def test_wrong_arguments(change: dict[str, Any], message: str) -> None:
    arguments = {"backends": [NUMPY, NUMPY], "mlp": SMALL, "inputs": PIXELS, "targets": LABELS}
    with pytest.raises(ValueError, match=message):
        compare(**{**arguments, "scale": 1 / 256, **change})


def test_parametric_activations_are_checked_as_sharply_as_others() -> None:
    """They begin as the activation itself: y = x + 1 (f(x) - x), in which errors of x cancel."""
    seen = []
    for parametric in (False, True):
        mlp = MLP([6, 16, 16, 16, 3], activation="selu", parametric_activation=parametric)
        report = compare([NUMPY, NUMPY], mlp, PIXELS, LABELS, scale=1 / 256, steps=1)
        whole = [one for one in report.agreements if one.check == "whole step"]
        seen.append([one.smallest_fault for one in whole if one.tensor == "layer 1 dW"])
    for plain, trained in zip(*seen, strict=True):  # in float64, in float32
        assert trained <= 2.0 * plain
