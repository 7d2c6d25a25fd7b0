"""The door's checks of hyperparameters: what passes, and what the error says."""

import re

import pytest

from pluggable_mlp.training.checks import check_count, check_number, refuse_unknown


@pytest.mark.parametrize("value", [0, 0.5, 0.999])
def test_number_in_range(value):
    check_number("x", value, at_least=0.0, below=1.0)


@pytest.mark.parametrize("value", [-1e-300, 1, float("nan"), float("-inf"), "0.5", None, True])
def test_number_out_of_range(value):
    expected = f"x is {value!r}, expected a finite number of at least 0 and below 1"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        check_number("x", value, at_least=0.0, below=1.0)


def test_number_of_any_size_is_finite():
    with pytest.raises(ValueError, match=r"^x is inf, expected a finite number$"):
        check_number("x", float("inf"))


@pytest.mark.parametrize("value", [0, 1.0, "1", None, True])
def test_count_out_of_range(value):
    with pytest.raises(ValueError, match=r"^n is .*, expected an integer of at least 1$"):
        check_count("n", value, at_least=1)


def test_unknown_names_the_taken_and_the_nearest():
    refuse_unknown("piece", ["beta1"], ["beta1", "beta2"])
    with pytest.raises(
        ValueError,
        match=r"^piece takes no bta1; it takes beta1, beta2; did you mean 'beta1'\?$",
    ):
        refuse_unknown("piece", ["bta1"], ["beta1", "beta2"])
    with pytest.raises(ValueError, match=r"^piece takes no zzz; it takes beta1, beta2$"):
        refuse_unknown("piece", ["zzz"], ["beta1", "beta2"])
