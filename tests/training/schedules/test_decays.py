"""The decays by hand; their recorded rates are in test_contract."""

from pluggable_mlp.training.schedules import make_schedule


def test_constant():
    assert [make_schedule("constant", 0.25)(step) for step in (0, 1, 10**9)] == [0.25] * 3
