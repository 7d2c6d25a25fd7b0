"""`ci/all_float32.py` sees what is wrong; what it recorded is of the present functions.

All but the hash of a sample is for the nightly tests.
"""

import hashlib
import json

import numpy as np
import pytest

from ci.all_float32 import FUNCTIONS, RECORD, examine, results_of, sample, xp
from tests.together import together

RECORDED = json.loads(RECORD.read_text("utf-8"))["functions"]
BLOCKS = [0x3F80, 0x7F80, 0xC2AE]  # from 1, from infinity with NaN, from -87, where exp vanishes


@together("name", RECORDED)
def test_the_record_is_of_the_present_functions(name):
    results = results_of(FUNCTIONS[name], sample())
    found = hashlib.sha256(results.astype("<f4").tobytes()).hexdigest()
    assert found == RECORDED[name]["sample_sha256"]


@pytest.mark.nightly
@pytest.mark.slow
@together("name", RECORDED)
def test_recorded_results_keep_their_promises(name):
    found = RECORDED[name]
    assert found["special_values_wrong"] == 0
    assert found["largest_error"] <= FUNCTIONS[name].bound
    assert (found["at"] is None) == (found["not_correctly_rounded"] == 0)


@pytest.mark.nightly
@pytest.mark.slow
@together("name", FUNCTIONS)
def test_some_blocks(name):
    found = examine(FUNCTIONS[name], BLOCKS)
    assert found.special_values_wrong == 0
    assert 0.5 <= found.largest_error <= FUNCTIONS[name].bound
    assert 0 < found.results < len(BLOCKS) * 2**16


def planted(blocks, change):
    """The finding of exp over blocks after a change of its results (n,) for arguments (n,)."""
    exact = FUNCTIONS["exp"]

    def ours(x):
        return xp.wrap(change(np.asarray(x), np.asarray(exact.ours(x))))

    return examine(exact._replace(ours=ours), blocks)


def at(x, value):
    """A change of the result for one argument."""
    return lambda arguments, results: np.where(arguments == x, np.float32(value), results)


@pytest.mark.nightly
@pytest.mark.slow
def test_one_result_that_is_a_unit_off_is_seen():
    right = examine(FUNCTIONS["exp"], [0x3F80])
    e, unit = np.float32(np.e), 2.0**-22
    for wrong in (e - np.float32(unit), e + np.float32(unit)):
        found = planted([0x3F80], at(1.0, wrong))
        assert found.not_correctly_rounded == right.not_correctly_rounded + 1
        assert found.at == (1.0).hex()
        assert found.largest_error == pytest.approx(abs(float(wrong) - np.e) / unit, abs=1e-6)
        assert found.sha256 != right.sha256


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize(
    ("x", "block", "wrong"),
    [
        (np.inf, 0x7F80, 3e38),
        (-np.inf, 0xFF80, -0.0),
        (-np.inf, 0xFF80, 1e-40),
        (1.0, 0x3F80, np.nan),
        (1.0, 0x3F80, np.inf),
        (float.fromhex("0x1.62e42ep+6"), 0x42B1, np.inf),  # exp of it is 0.9999 of the largest
    ],
)
def test_one_wrong_special_value_is_seen(x, block, wrong):
    found = planted([block], at(x, wrong))
    assert found.special_values_wrong == 1
