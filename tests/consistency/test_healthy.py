"""No right backend is accused, whatever the sizes of numbers, and unchecked parts are reported."""

import re
from typing import Any

import numpy as np
import pytest

from pluggable_mlp import MLP, compare, get_backend, make_optimizer
from pluggable_mlp.consistency.report import Report, format_report
from tests.consistency.healthy import healthy
from tests.consistency.libraries import NUMPY
from tests.consistency.planted import OtherBackend

NIGHTLY = [pytest.mark.nightly, pytest.mark.slow]
RNG = np.random.default_rng(4)
X = RNG.normal(size=(24, 5))
LABELS = RNG.integers(0, 3, size=24)


def others(*names: str) -> list[Any]:
    for name in names:
        pytest.importorskip(name)
    return [get_backend(name) for name in names]


def accused(report: Report) -> list[Any]:
    return [one for one in report.agreements if one.part_of_bound > 1.0]


@pytest.mark.parametrize(
    "seed", [*range(6), *(pytest.param(seed, marks=NIGHTLY) for seed in range(6, 60))]
)
def test_no_right_backend_is_accused(seed: int) -> None:
    report = compare([NUMPY, *others("torch", "array_api_strict")], **healthy(seed))
    assert not accused(report)
    # Most elements are checked, and the others are reported.
    assert len(report.unchecked) < len(report.agreements)
    told = "not checked" in format_report(report)
    assert told == bool(report.unchecked)


def test_a_loss_that_overflows_on_one_side_is_not_checked() -> None:
    """The sum of the losses is beyond float32; PyTorch says so, NumPy may add in another way."""
    wide = OtherBackend(mean=lambda x, axis: np.mean(x, axis=axis, dtype="float64").astype(x.dtype))
    wide.xp.beyond_standard = ("mean",)
    targets = np.full(24, 2e38)
    still = {"optimizer": make_optimizer("sgd", learning_rate=0.0), "steps": 2}
    report = compare([NUMPY, wide], MLP([5, 1], loss="poisson"), X, targets, **still)
    loss = {
        (one.check, one.dtype): one.unchecked_part
        for one in report.agreements
        if one.tensor == "loss"
    }
    assert not accused(report)
    assert loss["whole step", "float32"] == loss["layer by layer", "float32"] == 1.0
    assert loss["whole step", "float64"] == 0.0
    assert {one.tensor for one in report.unchecked} >= {"loss"}
    assert "layer by layer, float32: not checked: up to 100.00% of " in format_report(report)


def test_an_infinite_gradient_where_a_unit_is_off_is_not_checked() -> None:
    """Zero times it is NaN on NumPy, and PyTorch makes no product."""
    mlp = MLP([5, 4, 1], activation="relu", loss="squared_error")
    report = compare([NUMPY, *others("torch")], mlp, X, np.full(24, 3e38), steps=1)
    assert not accused(report)


@pytest.mark.parametrize("unchecked", [False, True])
def test_infinity_on_one_side_is_a_fault_where_numbers_are_in_range(unchecked: bool) -> None:
    wrong = OtherBackend(sum=lambda x, **how: np.sum(x, **how) + np.inf)
    targets = np.full(24, 2e38 if unchecked else 2.0)
    report = compare([NUMPY, wrong], MLP([5, 1], loss="poisson"), X, targets, steps=1)
    found = {(one.tensor, one.dtype) for one in accused(report)}
    assert (("loss", "float32") in found) == (not unchecked)
    assert ("loss", "float64") in found


@pytest.mark.parametrize("rows", [1, 24, 200])
def test_a_bias_far_larger_than_the_products(rows: int) -> None:
    """PyTorch adds the products to the bias one by one."""
    inputs, targets = 1e-6 * RNG.normal(size=(rows, 30)), np.full((rows, 4), 1000.0)
    optimizer = make_optimizer("sgd", learning_rate=0.5)
    report = compare(
        [NUMPY, *others("torch")],
        MLP([30, 4], loss="squared_error"),
        inputs,
        targets,
        optimizer=optimizer,
        steps=8,
    )
    assert not accused(report)
    (y,) = (one for one in report.agreements if one.tensor == "layer 1 y")
    assert y.smallest_fault < 1e-4


@pytest.mark.parametrize("name", ["torch", "array_api_strict"])
def test_weights_of_the_examples_are_compared(name: str) -> None:
    """What weights do is bounded; other weights on one side are seen, in the batch and after it."""
    weights = RNG.random(24) * 5.0

    backends = [NUMPY, *others(name)]
    network = MLP([5, 4, 3]), X, LABELS
    report = compare(backends, *network, sample_weight=weights, batch_size=10, steps=3)
    assert not accused(report)
    assert all(one.smallest_fault < 1e-2 for one in report.agreements)
    assert "sample_weight" in {one.tensor for one in report.agreements}
    weighted, plain, by_class = (
        compare([NUMPY, NUMPY], *network, arithmetic="reproducible", steps=1, **given).hashes
        for given in (
            {"sample_weight": weights},
            {},
            {"sample_weight": np.ones(24), "class_weight": "balanced"},
        )
    )
    assert len({hashes[0].sha256 for hashes in (weighted, plain, by_class)}) == 3

    other = weights.copy()
    other[7] *= 1.0 + 1e-3
    wrong = compare([NUMPY, Swapped(weights, other)], *network, sample_weight=weights, steps=1)
    assert {"sample_weight", "layer 1 dW"} <= {one.tensor for one in accused(wrong)}


class Swapped(OtherBackend):
    """NumPy, but for one array from the host another one comes in."""

    def __init__(self, array: Any, other: Any) -> None:
        super().__init__()
        self._array, self._other = array, other

    def asarray(self, data: Any, dtype: str | None = None) -> Any:
        return super().asarray(self._other if data is self._array else data, dtype)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("xp.sin", lambda xp, x: xp.sin(x)),
        ("xp.var", lambda xp, x: x * xp.var(x, axis=-1, keepdims=True)),
        ("x ** y", lambda xp, x: xp.abs(x) ** 1.5),
    ],
)
def test_a_formula_without_a_bound_says_so(name: str, formula: Any) -> None:
    mlp = MLP([5, 6, 3], activation=(formula, lambda xp, x: xp.ones_like(x)))
    expected = rf"no error bound is known for {re.escape(name)}.*docs/explanation/compare\.md"
    with pytest.raises(ValueError, match=expected):
        compare([NUMPY, NUMPY], mlp, X, LABELS, steps=1)
