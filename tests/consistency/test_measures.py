"""The two measures of a difference, on numbers whose ulps are counted by hand."""

import math
from typing import Any

import numpy as np
import pytest

from pluggable_mlp.consistency import Report, difference_in_ulps, format_report, part_of_bound
from pluggable_mlp.consistency.bounded import Bounded, Precision
from pluggable_mlp.consistency.report import Agreement


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
        (1.0, 1.0, math.inf, math.inf),  # nothing is known: not to be passed in silence
        (1.0, 1.0, math.nan, math.inf),
        (math.nan, 1.0, 1.0, math.inf),
        (math.nan, math.nan, 1.0, 0.0),
    ],
)
def test_part_of_bound(a: float, b: float, error: float, part: float) -> None:
    precision = Precision(np.dtype("float64"))
    bounded = Bounded(np.asarray([1.0]), np.asarray([error]), precision)
    got = part_of_bound(np.asarray([a]), np.asarray([b]), bounded)
    assert got == pytest.approx(part, rel=1e-5)


def test_report_text() -> None:
    agreements = (
        Agreement("loss", "torch", 1.0, 2.5e-3, 1),
        Agreement("loss", "a_longer_name_than_most", 0.0, 0.0, 1),
        Agreement("layer 1 dW", "torch", 12.25, 0.125, 2),
        Agreement("layer 1 dW", "a_longer_name_than_most", 3.0, 1.5, 7),
    )
    names = ("numpy", "torch", "a_longer_name_than_most")
    report = Report(names, "float32", "native", 128, 20, 1437, 0, agreements)
    assert format_report(report).splitlines() == [
        "native, float32: 20 steps of up to 128 of 1437 examples, seed 0",
        "",
        "                              torch  a_longer_name_than_most",
        "                     ulps  of bound           ulps  of bound",
        "loss                  1.0   2.5e-03            0.0   0.0e+00",
        "layer 1 dW           12.2   1.2e-01            3.0   1.5e+00",
        "",
        "beyond the bound: a_longer_name_than_most, layer 1 dW, step 7: 1.5 times what rounding "
        "can make it differ from numpy",
    ]
    assert report.to_dict()["passes"] is False


def test_infinite_parts_are_null_in_json() -> None:
    report = Report(
        ("a", "b"), "float32", "native", 1, 1, 1, 0, (Agreement("loss", "b", 1.0, math.inf, 1),)
    )
    assert report.to_dict()["agreements"][0]["part_of_bound"] is None
    assert not report.passes
