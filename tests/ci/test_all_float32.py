"""`ci/all_float32.py` sees what is wrong; what it recorded is of the present functions.

All but the hash of a sample is for the nightly tests.
"""

import hashlib
import json

import pytest

from ci.all_float32 import FUNCTIONS, RECORD, examine, results_of, sample

RECORDED = json.loads(RECORD.read_text("utf-8"))["functions"]
BLOCKS = [0x3F80, 0x7F80, 0xC2AE]  # from 1, from infinity with NaN, from -87, where exp vanishes


@pytest.mark.parametrize("name", RECORDED)
def test_the_record_is_of_the_present_functions(name):
    results = results_of(FUNCTIONS[name], sample())
    found = hashlib.sha256(results.astype("<f4").tobytes()).hexdigest()
    assert found == RECORDED[name]["sample_sha256"]


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_recorded_results_keep_their_promises(name):
    found = RECORDED[name]
    assert found["special_values_wrong"] == 0
    assert found["largest_error"] <= FUNCTIONS[name].bound
    assert (found["at"] is None) == (found["not_correctly_rounded"] == 0)


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_some_blocks(name):
    found = examine(FUNCTIONS[name], BLOCKS)
    assert found.special_values_wrong == 0
    assert 0.5 <= found.largest_error <= FUNCTIONS[name].bound
    assert 0 < found.results < len(BLOCKS) * 2**16
