"""`ci/all_float32.py` sees what is wrong; what it recorded is of the present functions."""

import hashlib
import json

import mpmath as mp
import numpy as np
import pytest

from ci.all_float32 import FUNCTIONS, RECORD, examine, results_of, sample, xp
from tests.together import together

RECORDED = json.loads(RECORD.read_text("utf-8"))["functions"]
BLOCKS = [0x3F80, 0x7F80, 0xC2AE]  # from 1, from infinity with NaN, from -87, where exp vanishes
EVERY = together("name", FUNCTIONS)


def test_only_functions_are_recorded():
    assert set(RECORDED) <= set(FUNCTIONS)


@together("name", RECORDED)
def test_the_record_is_of_the_present_functions(name):
    results = results_of(FUNCTIONS[name], sample())
    found = hashlib.sha256(results.astype("<f4").tobytes()).hexdigest()
    assert found == RECORDED[name]["sample_sha256"]


@together("name", RECORDED)
def test_recorded_results_keep_their_promises(name):
    found = RECORDED[name]
    assert found["special_values_wrong"] == 0
    assert found["largest_error"] <= FUNCTIONS[name].bound
    assert (found["at"] is None) == (found["not_correctly_rounded"] == 0)


@EVERY
def test_some_blocks(name):
    found = examine(FUNCTIONS[name], BLOCKS)
    assert found.special_values_wrong == 0
    assert 0.5 <= found.largest_error <= FUNCTIONS[name].bound
    assert 0 < found.results < len(BLOCKS) * 2**16


@EVERY
@np.errstate(all="ignore")
def test_references_are_nearer_than_they_are_trusted(name):
    """To 32 units in the last place of float64: an eighth of that on 300 arguments."""
    function = FUNCTIONS[name]
    x = np.random.default_rng(5).normal(0.0, 3.0, 300)
    for argument, value in zip(x.tolist(), function.float64(x).tolist(), strict=True):
        if np.isfinite(value):
            exact = function.exact(mp.mpf(argument))
            assert abs(mp.mpf(value) - exact) <= 4 * mp.mpf(np.spacing(abs(value))), argument


def planted(blocks, change):
    """The finding of exp over blocks after a change of its results (n,) for arguments (n,)."""
    exact = FUNCTIONS["exp"]

    def ours(x):
        return xp.wrap(change(np.asarray(x), np.asarray(exact.ours(x))))

    return examine(exact._replace(ours=ours), blocks)


def at(x, value):
    """A change of the result for one argument."""
    return lambda arguments, results: np.where(arguments == x, np.float32(value), results)


def test_one_result_that_is_a_unit_off_is_seen():
    right = examine(FUNCTIONS["exp"], [0x3F80])
    e, unit = np.float32(np.e), 2.0**-22
    for wrong in (e - np.float32(unit), e + np.float32(unit)):
        found = planted([0x3F80], at(1.0, wrong))
        assert found.not_correctly_rounded == right.not_correctly_rounded + 1
        assert found.at == (1.0).hex()
        assert found.largest_error == pytest.approx(abs(float(wrong) - np.e) / unit, abs=1e-6)
        assert found.sha256 != right.sha256


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


def test_a_cube_that_overflows_early_is_as_wrong_as_it_is_far():
    """The cube of x rounds to the largest number, a unit below 2^128; it is 0.62 units off."""
    x, cube = np.float32(float.fromhex("0x1.965feap+42")), FUNCTIONS["x**3"]
    block = int(x.view(np.uint32)) // 2**16
    found = examine(cube, [block])
    exact = int(float(x)) ** 3
    assert np.float32(exact) == np.finfo(np.float32).max
    assert np.isinf(results_of(cube, x[None].view(np.uint32))[0])
    assert found.special_values_wrong == 0
    assert found.largest_error >= (2**128 - exact) / 2**104 > 0.6

    def ours(x):
        return xp.wrap(np.where(np.asarray(x) == 1.0, np.float32(np.inf), np.asarray(cube.ours(x))))

    far = examine(cube._replace(ours=ours), [0x3F80])
    assert far.largest_error > cube.bound


def test_a_lost_nan_is_seen():
    found = planted([0x7F80], lambda x, y: np.nan_to_num(y, posinf=np.inf))
    assert found.special_values_wrong == 2**16 - 1  # all but infinity


@pytest.mark.parametrize(("sign", "blocks"), [(1, [0x3F80, 0x3F81]), (-1, [0xBF80, 0xBF81])])
def test_a_decrease_is_seen_between_blocks_too(sign, blocks):
    first = np.uint32(blocks[1] << 16).view(np.float32)
    assert planted(blocks, at(first, np.exp(sign * 1.0))).decreases == 1
