"""The conformance kit: built-in backends pass, and each fault is found by the check of its name."""

import re
import warnings
from contextlib import suppress

import pytest

from pluggable_mlp import get_backend
from pluggable_mlp.backends.numpy import NumpyBackend
from pluggable_mlp.testing import Grade, check_backend, parametrize_with_checks
from pluggable_mlp.testing.conformance import CHECKS, NotOffered
from tests.backends.faulty import FAULTY
from tests.cli.conftest import ended

pytestmark = [pytest.mark.as_user, pytest.mark.quick_on("jax:cpu", "numpy", "array_api_strict")]

# The recorded runs have tests of their own.
ALL = dict(CHECKS)
OWN = [name for name in CHECKS if not name.startswith("recorded run")]
LONG = ("training_with_every_component", "steps_within_bounds")


@pytest.mark.parametrize("name", [name for name in OWN if name not in LONG])
def test_every_backend_passes(backend, name):
    with suppress(NotOffered):
        ALL[name](backend)


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_every_backend_trains(backend, name):
    ALL[name](backend)


MESSAGES = {
    "dtype_promotion": "float32 * a Python number is float64, expected float32",
    "own_arrays_without_copies": "asarray of an array of its own returned a copy",
    "data_of_others": "dtype 'float33' of its own array raised AttributeError(",
    "contracted_products": "a * b + c in float32 differs in",
    "transfer_of_denormal_numbers": "an array of float32 with strides (4,) differs in 3 of 4",
    "context": "zeros(1) was float",
    "other_devices": "arrays of cpu and of device1 are both on",
    "not_a_number": "max of [1, NaN, 2] is 2.0, expected NaN",
    "copies_are_independent": "astype(x, x.dtype) returned a view",
    "compiled_loops": "first carry of 1 calls differs in 2 of 2",
    "traced_steps": "W after 8 steps differs in 24 of 24",
}


@pytest.fixture(scope="module")
def quick():
    """Only the checks of faults: the others take long."""
    with pytest.MonkeyPatch.context() as patch:
        for name in set(CHECKS) - set(FAULTY):
            patch.delitem(CHECKS, name)
        yield


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_backend_is_graded_and_the_fault_named(quick, name):
    report = check_backend(FAULTY[name], on_fail=None)
    (fault,) = [result for result in report.faults if result.check.name == name]
    assert MESSAGES[name] in fault.message
    assert report.grade < fault.check.grade
    assert MESSAGES[name] in str(report)
    with pytest.raises(AssertionError, match=name):
        check_backend(FAULTY[name])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_backend(FAULTY[name], on_fail="warn")
    assert any(MESSAGES[name] in str(warning.message) for warning in caught)


def test_failures_may_be_expected(quick):
    expected = {"own_arrays_without_copies": "it copies"}
    report = check_backend(FAULTY["own_arrays_without_copies"], expected_failures=expected)
    assert report.grade == Grade.NONE
    with pytest.raises(AssertionError, match="passed unexpectedly"):
        check_backend(get_backend("numpy"), expected_failures=expected)


@pytest.mark.parametrize(
    "function", [check_backend, lambda b, **s: parametrize_with_checks([b], **s)]
)
def test_an_unknown_check_is_named(function):
    with pytest.raises(ValueError, match="expected_failures is 'transfers', expected one of "):
        function(get_backend("numpy"), expected_failures={"transfers": "?"})


def test_a_fault_within_training_is_named_with_component_and_line_and_once(monkeypatch):
    names = ["training_with_every_component", "training", "transfer_of_lists"]
    chosen = {name: ALL[name] for name in names}
    monkeypatch.setattr("pluggable_mlp.testing.conformance.CHECKS", chosen)

    class Silent(NumpyBackend):
        def asarray(self, data, dtype=None):
            raise NotImplementedError("later")

    report = check_backend(Silent(), on_fail=None)
    of_components, of_training, of_lists = (result.message for result in report.faults)
    place = r"NotImplementedError: later \(backends/test_conformance\.py, line \d+"
    assert re.fullmatch(place + ", with activations .*, optimizer .*", of_components)
    assert re.fullmatch(place + r"\)", of_training)
    assert of_lists == "as training"


def test_a_member_that_is_none_is_lacking(monkeypatch):
    class Lacking(NumpyBackend):
        to_numpy = None

    with pytest.raises(AssertionError, match="it lacks to_numpy"):
        ALL["members"](Lacking())
    monkeypatch.setattr("pluggable_mlp.backends._load_plug_in", lambda name: Lacking)
    with pytest.raises(TypeError, match="it lacks to_numpy"):
        get_backend("lacking")


def test_on_fail_is_one_of_its_choices():
    with pytest.raises(ValueError, match="on_fail is 'no', expected 'raise', 'warn' or None"):
        check_backend(get_backend("numpy"), on_fail="no")


@pytest.mark.slow
def test_numpy_has_the_highest_grade_and_the_command_says_so(monkeypatch, capsys):
    """By the quick checks and a recorded run: NumPy passes all of them above, one by one."""
    chosen = {name: ALL[name] for name in (*FAULTY, "recorded run: muon, float64")}
    monkeypatch.setattr("pluggable_mlp.testing.conformance.CHECKS", chosen)
    assert ended("check", "numpy") == 0
    said = capsys.readouterr().out
    assert said.endswith("grade: same bits as the recordings\n")
    assert "passed              recorded run: muon, float64\n" in said


def test_an_unknown_backend_is_a_wrong_argument(capsys):
    assert ended("check", "numppy") == 2
    said = capsys.readouterr()
    assert not said.out
    assert "did you mean 'numpy'?" in said.err
