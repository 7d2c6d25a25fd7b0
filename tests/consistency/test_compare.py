import json
import math
from collections.abc import Iterator
from typing import Any

import array_api_compat.numpy
import numpy as np
import pytest

from pluggable_mlp import MLP
from pluggable_mlp.arithmetic import ARITHMETICS, Native
from pluggable_mlp.backends import Backend, get_backend
from pluggable_mlp.backends.numpy import NumpyBackend
from pluggable_mlp.consistency import compare, format_report
from tests.consistency.libraries import NUMPY

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, size=(48, 6)).astype(np.uint8)
LABELS = RNG.integers(0, 3, size=48)
SMALL = MLP([6, 8, 3])
GRADIENTS = ["loss", "layer 1 dW", "layer 1 db", "layer 2 dW", "layer 2 db"]
PARAMETERS = ["layer 1 W", "layer 1 b", "layer 2 W", "layer 2 b"]


class Replaced:
    """NumPy's namespace with some functions replaced."""

    def __init__(self, **functions: Any) -> None:
        self.__dict__.update(functions)

    def __getattr__(self, name: str) -> Any:
        return getattr(array_api_compat.numpy, name)


class OtherBackend(NumpyBackend):
    """NumPy on a namespace that is not NumPy's."""

    name = "other"

    def __init__(self, **functions: Any) -> None:
        super().__init__()
        self.xp = Replaced(**functions)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_backends_agree_within_the_bound(backend: Backend, dtype: str) -> None:
    report = compare(
        [NUMPY, backend], SMALL, PIXELS, LABELS, scale=1 / 256, dtype=dtype, batch_size=16, steps=4
    )
    assert report.passes
    assert [one.tensor for one in report.agreements] == GRADIENTS
    assert all(one.part_of_bound <= 1.0 for one in report.agreements)
    assert (report.hashes, report.differences) == ((), ())
    assert not math.isnan(sum(one.ulps for one in report.agreements))


def test_float_inputs_and_label_rows() -> None:
    rows = np.eye(3, dtype=np.float32)[LABELS]
    report = compare([NUMPY, OtherBackend()], SMALL, PIXELS / 256.0, rows, steps=1)
    assert report.passes
    assert max(one.ulps for one in report.agreements) == 0.0


def test_a_backend_beyond_the_bound_is_named_with_its_worst_step() -> None:
    calls: Iterator[int] = iter(range(1000))

    def exp(x: Any) -> Any:  # sigmoid and softmax: the fifth call is the third step's first
        return np.exp(x) * (1.01 if next(calls) == 4 else 1.0)

    backends = [NUMPY, OtherBackend(), OtherBackend(exp=exp)]
    report = compare(backends, SMALL, PIXELS, LABELS, scale=1 / 256, batch_size=20, steps=4)
    assert not report.passes
    assert report.backends == ("numpy", "other:cpu (2)", "other:cpu (3)")
    beyond = [one for one in report.agreements if one.part_of_bound > 1.0]
    assert [one.tensor for one in beyond] == GRADIENTS
    assert {(one.backend, one.step) for one in beyond} == {("other:cpu (3)", 3)}
    text = format_report(report)
    assert "beyond the bound: other:cpu (3), loss, step 3: " in text
    assert "within the bound" not in text


class Tampering(Native):
    """Native, but the sixth sum over a batch is a bit off in its third element."""

    def __init__(self, xp: Any) -> None:
        super().__init__(xp)
        calls: Iterator[int] = iter(range(1, 1000))

        def tampered(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
            y = np.sum(x, axis=axis, keepdims=keepdims)
            if axis == -2 and next(calls) == 6:  # two layers a step, from the last to the first
                y[2] = np.nextafter(y[2], np.float32(math.inf))
            return y

        self.sum = tampered


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of an arithmetic that promises the same bits, and does not always keep it."""

    def make(xp: Any, run_all: Any) -> Native:
        return Tampering(xp) if hasattr(xp, "tampering") else Native(xp)

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


def test_same_bits_on_another_device_under_the_reproducible_arithmetic() -> None:
    backends = [NUMPY, get_backend("array_api_strict:device1")]
    report = compare(
        backends, SMALL, PIXELS, LABELS, scale=1 / 256, arithmetic="reproducible", steps=2
    )
    assert report.passes
    assert len(report.hashes) == 2 * len(GRADIENTS + PARAMETERS)


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
    from pluggable_mlp.consistency.judges import _first_difference

    a = np.asarray([[1.0, 0.0]])
    assert _first_difference(a, a.copy()) is None
    assert _first_difference(a, np.asarray([[1.0, -0.0]])) == (
        (0, 1),
        "0x0.0p+0 (0x0000000000000000)",
        "-0x0.0p+0 (0x8000000000000000)",
    )


def test_report_as_json() -> None:
    report = compare([NUMPY, OtherBackend()], SMALL, PIXELS, LABELS, scale=1 / 256, steps=2)
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["passes"] is True
    assert found["backends"] == ["numpy", "other"]
    assert (found["steps"], found["batch_size"], found["examples"]) == (2, 128, 48)
    assert found["agreements"][0] == {
        "tensor": "loss",
        "backend": "other",
        "ulps": 0.0,
        "part_of_bound": 0.0,
        "step": 1,
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
    arguments = {"backends": [NUMPY, NUMPY], "mlp": SMALL, "inputs": PIXELS, "labels": LABELS}
    with pytest.raises(ValueError, match=message):
        compare(**{**arguments, "scale": 1 / 256, **change})
