"""The two measures of a difference, on numbers whose ulps are counted by hand."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pluggable_mlp.consistency.comparators import difference_in_ulps, part_of_bound, sharpness
from pluggable_mlp.consistency.report import Agreement, Report, format_report
from pluggable_mlp.namespaces.bounded.array import Bounded
from pluggable_mlp.namespaces.bounded.namespace import BoundedNamespace


@pytest.mark.parametrize(
    ("reference", "other", "ulps"),
    [
        ([1.0], [1.0], 0.0),
        ([1.0], [1.0 + 2.0**-23], 1.0),
        ([1.0], [1.0 - 2.0**-24], 0.5),  # below a power of two an ulp is half as large
        ([4.0], [4.0 + 3 * 2.0**-21], 3.0),
        # The root mean square is sqrt((16 + 0) / 2) = 2.8: the small element counts in its ulps.
        ([4.0, 2.0**-20], [4.0, 2.0**-20 + 2.0**-22], 1.0),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([math.nan, math.inf], [math.nan, math.inf], 0.0),
        ([math.inf, 1.0], [1.0, 1.0], math.inf),
        ([1.0], [math.nan], math.inf),
        ([], [], 0.0),
    ],
)
def test_difference_in_ulps(reference: Any, other: Any, ulps: float) -> None:
    a, b = (np.asarray(x, dtype=np.float32) for x in (reference, other))
    assert difference_in_ulps(a, b) == ulps


@pytest.mark.parametrize(
    ("a", "b", "error", "part"),
    [
        (1.0, 1.5, 0.25, 1.0),  # both may be off by 0.25
        (1.0, 1.5, 0.125, 2.0),
        (1.0, 1.0, 0.0, 0.0),
        (1.0, 1.5, 0.0, math.inf),
        (1.0, 1.5, math.inf, 0.0),  # nothing is known: no disagreement, but a blind check
        (1.0, 1.5, math.nan, 0.0),
        (math.nan, 1.0, 1.0, math.inf),
        (1.0, math.inf, 1.0, math.inf),
        (math.nan, 1.0, math.inf, 0.0),  # one may overflow and the other not
        (1.0, math.inf, math.nan, 0.0),
        (math.nan, math.nan, 1.0, 0.0),
    ],
)
def test_part_of_bound(a: float, b: float, error: float, part: float) -> None:
    bounded = Bounded(np.asarray([1.0]), np.asarray([error]), BoundedNamespace("float64"))
    got = part_of_bound(np.asarray([a]), np.asarray([b]), bounded)
    assert got == pytest.approx(part, rel=1e-5)


@pytest.mark.parametrize("known", [True, False])
def test_another_shape_or_dtype_is_a_disagreement(known: bool) -> None:
    a = np.ones(3, dtype=np.float32)
    error = [1.0, 1.0, 1.0] if known else [math.inf] * 3
    bounded = Bounded(np.ones(3), np.asarray(error), BoundedNamespace("float32"))
    for other in (np.ones(3), np.ones((1, 3), dtype=np.float32), np.float32(1.0)):
        assert part_of_bound(a, other, bounded) == difference_in_ulps(a, other) == math.inf


@pytest.mark.parametrize(
    ("a", "b", "before", "error", "smallest_fault", "blind_part", "unchecked_part"),
    [
        ([1.0], [1.0], 0.0, [0.25], 0.5, 0.0, 0.0),  # two of them may differ by 0.5
        ([1.0], [1.25], 0.0, [0.25], 0.75, 0.0, 0.0),  # they do already, perhaps the other way
        ([1.0], [9.0], 0.0, [0.25], 1.0, 1.0, 0.0),  # beyond the bound: how far does not matter
        ([1.0, 4.0], [1.0, 4.0], 0.0, [0.25, 0.25], 0.125, 0.0, 0.0),
        ([0.25, 4.0], [0.25, 4.0], 0.0, [0.25, 0.25], 0.125, 0.5, 0.0),
        ([4.0, 1.0], [4.0, 1.0], [3.0, 0.0], [0.25, 0.5], 0.5, 0.5, 0.0),  # relative to the change
        ([0.0, 1.0], [0.0, 1.0], 0.0, [0.0, 0.25], 0.5, 0.0, 0.0),  # zeros have no relative faults
        ([0.0, 0.0], [0.0, 0.0], 0.0, [0.0, 0.0], 0.0, 0.0, 0.0),
        ([0.0, 0.0], [0.0, 0.0], 0.0, [0.0, 0.25], math.inf, 1.0, 0.0),
        ([1.0], [1.0], 0.0, [math.inf], math.inf, 1.0, 1.0),
        ([math.nan], [math.nan], 0.0, [math.nan], math.inf, 1.0, 1.0),
        ([math.inf], [math.inf], [math.inf], [math.nan], math.inf, 1.0, 1.0),
        ([math.inf, 1.0], [1.0, 1.0], 0.0, [math.inf, 0.25], 0.5, 0.5, 0.5),
        ([1.0, 0.0], [1.0, 0.0], 0.0, [0.25, math.inf], 0.5, 0.0, 0.5),
        ([], [], 0.0, [], 0.0, 0.0, 0.0),
    ],
)
def test_sharpness(
    a: Any,
    b: Any,
    before: Any,
    error: Any,
    smallest_fault: float,
    blind_part: float,
    unchecked_part: float,
) -> None:
    bounded = Bounded(np.asarray(a), np.asarray(error), BoundedNamespace("float64"))
    got = sharpness(np.asarray(a), np.asarray(b), bounded, np.asarray(before))
    assert got == pytest.approx((smallest_fault, blind_part, unchecked_part), rel=1e-5)


def agreement(
    tensor: str, backend: str, ulps: float, part: float, step: int = 1, **other: Any
) -> Any:
    numbers = {"part_of_worst_case": part, "smallest_fault": 2e-6, "blind_part": 0.0}
    numbers |= {"unchecked_part": 0.0, **other}
    return Agreement("whole step", "float32", tensor, backend, ulps, part, step=step, **numbers)


def test_report_text() -> None:
    by_layer = replace(
        agreement("loss", "torch", 1.0, 1.25, part_of_worst_case=0.5), check="layer by layer"
    )
    agreements = (
        by_layer,
        agreement("loss", "torch", 1.0, 2.5e-3),
        agreement("loss", "a_longer_name_than_most_others_have", 0.0, 0.0),
        agreement("layer 1 dW", "torch", 12.25, 0.125, 2, smallest_fault=0.3, blind_part=0.5),
        agreement("layer 1 dW", "a_longer_name_than_most_others_have", 3.0, 1.5, 7),
        agreement("layer 1 db", "torch", 2.5e7, 0.5, 2, smallest_fault=3e-3),
        agreement("layer 1 db", "a_longer_name_than_most_others_have", 1.0, 0.0, blind_part=1.0),
    )
    names = ("numpy", "torch", "a_longer_name_than_most_others_have")
    report = Report(names, "float32", "native", 128, 20, 1437, 3, agreements, 3e-7)
    assert format_report(report).splitlines() == [
        "native, float32: 20 steps of up to 128 of 1437 examples, seed 3",
        "",
        "layer by layer, float32",
        "                                           torch  a_longer_name_than_most_others_have",
        "                        ulps  of bound      sees             ulps  of bound      sees",
        "loss                     1.0   1.2e+00   2.0e-06                                    -",
        "",
        "whole step, float32",
        "                                           torch  a_longer_name_than_most_others_have",
        "                        ulps  of bound      sees             ulps  of bound      sees",
        "loss                     1.0   2.5e-03   2.0e-06              0.0   0.0e+00   2.0e-06",
        "layer 1 dW              12.2   1.2e-01     blind              3.0   1.5e+00   2.0e-06",
        "layer 1 db           2.5e+07   5.0e-01   3.0e-03              1.0   0.0e+00     blind",
        "",
        "layer by layer: roundings of mean zero exceed a bound with a probability of at most "
        "3.0e-07",
        "blind: rounding could explain faults as large as the values themselves; the bounds of a "
        "whole step grow from layer to layer",
        "",
        "beyond the bound: torch, loss, layer by layer in float32, step 1: 1.25 times what "
        "rounding can make it differ from numpy; improbable, but within the worst case",
        "beyond the bound: a_longer_name_than_most_others_have, layer 1 dW, whole step in float32, "
        "step 7: 1.5 times what rounding can make it differ from numpy",
    ]
    assert report.to_dict()["passes"] is False
    assert not replace(report, agreements=(by_layer,)).passes


def test_what_was_not_checked_is_named_and_counted() -> None:
    nothing = {"smallest_fault": math.inf, "blind_part": 1.0, "unchecked_part": 1.0}
    of_few = [
        agreement("loss", "b", 0.0, 0.0),
        agreement("dz", "b", 0.0, 0.0, unchecked_part=0.5),
        agreement("layer 1 W", "b", math.inf, 0.0, **nothing),
    ]
    of_many = [
        replace(agreement(f"layer {n} W", "b", 0.0, 0.0, **nothing), dtype="float64")
        for n in range(5)
    ]
    checked = replace(of_few[0], check="layer by layer")
    found = (checked, *of_few, *of_many)
    report = Report(("a", "b"), "float32", "native", 1, 2, 1, 0, found)
    assert report.passes
    assert report.unchecked == (*of_few[1:], *of_many)
    lines = format_report(report).splitlines()
    reason = "where rounding could take numbers out of the range of their dtype, or divisors to 0"
    assert [line for line in lines if "not checked" in line] == [
        f"whole step, float32: not checked: up to 100.00% of a tensor (layer 1 W), {reason}",
        f"whole step, float64: not checked: up to 100.00% of a tensor (layer 0 W), {reason}",
    ]


def test_infinite_numbers_are_null_in_json() -> None:
    infinite = agreement("loss", "b", math.inf, math.inf, smallest_fault=math.inf)
    report = Report(("a", "b"), "float32", "native", 1, 1, 1, 0, (infinite,))
    (found,) = report.to_dict()["agreements"]
    for name in ("ulps", "part_of_bound", "part_of_worst_case", "smallest_fault"):
        assert found[name] is None
    assert not report.passes
