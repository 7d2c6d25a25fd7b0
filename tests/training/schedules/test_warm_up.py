"""Warm-up before every schedule and before a function."""

import pytest

from pluggable_mlp.training.schedules import SCHEDULES, Step, WarmUp, make_schedule, scheduled_rate


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_before_any(name):
    """1/4, 2/4, 3/4 and all of the first rate, then the schedule from its beginning."""
    needs = {"every": 3} if name == "step" else {}
    alone = make_schedule(name, 0.5, total_steps=20, **needs)
    warm = make_schedule(name, 0.5, total_steps=24, warmup=4, **needs)
    assert [warm(step) for step in range(4)] == [alone(0) * part for part in (0.25, 0.5, 0.75, 1)]
    assert [warm(step) for step in range(4, 24)] == [alone(step) for step in range(20)]


def test_warm_up_passes_the_loss_on_to_plateau():
    warm = make_schedule("plateau", 1.0, warmup=2, patience=0, factor=0.5)
    numbers = {"step": 0, **warm.initial_numbers()}
    for _ in range(2):
        numbers = warm.after_epoch(numbers, 1.0)
    assert scheduled_rate(warm, numbers) == 0.25


def test_warm_up_before_a_function():
    warm = WarmUp(lambda step: 1.0 / (step + 1), 2)
    assert [warm(step) for step in range(4)] == [0.5, 1.0, 1.0, 0.5]
    assert warm.initial_numbers() == {}
    assert warm.after_epoch({"step": 1}, 0.5) == {"step": 1}


def test_warm_up_needs_steps():
    with pytest.raises(ValueError, match="steps is 0, expected an integer of at least 1"):
        WarmUp(Step(0.1, every=3), 0)
    with pytest.raises(TypeError, match=r"schedule is 0.1, expected one such as Constant\(0.1\)"):
        WarmUp(0.1, 3)
