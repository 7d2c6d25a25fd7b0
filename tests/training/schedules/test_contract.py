"""What every schedule keeps: rates as recorded, purity, ranges, and how it is made by its name."""

import math
import re
from dataclasses import FrozenInstanceError

import pytest

from pluggable_mlp.training.optimizers import SGD
from pluggable_mlp.training.schedules import (
    SCHEDULES,
    Cosine,
    Schedule,
    make_schedule,
    scheduled_rate,
)
from tests.training.schedules.recorded import RECORDED


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("step", make_schedule("step", 0.3, every=7, factor=0.6)),
        ("exponential", make_schedule("exponential", 0.3, factor=0.97)),
        ("cosine", make_schedule("cosine", 0.3, total_steps=60, final=0.02)),
        ("cosine warmup", make_schedule("cosine", 0.3, total_steps=60, warmup=8)),
        ("one_cycle", make_schedule("one_cycle", 0.3, total_steps=60)),
        (
            "one_cycle rising 0.4",
            make_schedule(
                "one_cycle",
                0.3,
                total_steps=60,
                rising=0.4,
                start_divisor=10.0,
                final_divisor=100.0,
            ),
        ),
        ("inverse_scaling", make_schedule("inverse_scaling", 0.3, power=0.7)),
    ],
)
def test_follows_the_recorded_rates(name, schedule):
    # Near the end a cosine's 1 + cos cancels, in the recorded rates, too: absolute there.
    got = [schedule(step) for step in range(len(RECORDED[name]))]
    assert got == pytest.approx(RECORDED[name], rel=1e-12, abs=1e-16)


@pytest.mark.parametrize("name", SCHEDULES)
def test_is_frozen_and_pure(name):
    schedule = make_schedule(name, 0.5, total_steps=20, **({"every": 3} if name == "step" else {}))
    assert isinstance(schedule, Schedule)
    forwards = [schedule(step) for step in range(20)]
    assert [schedule(step) for step in reversed(range(20))] == forwards[::-1]
    with pytest.raises(FrozenInstanceError):
        schedule.learning_rate = 1.0


@pytest.mark.parametrize("learning_rate", [0.25, lambda step: 0.5 / (step + 1)])
def test_a_number_or_a_function_is_a_learning_rate(learning_rate):
    assert scheduled_rate(learning_rate, {"step": 1}) == 0.25


def test_make_schedule_names_what_is_wrong():
    with pytest.raises(ValueError, match=r"schedule is 'cosin', expected one of .*'cosine'\?"):
        make_schedule("cosin", 0.1)
    with pytest.raises(
        ValueError, match=r"schedule 'cosine' takes no gamma; it takes final, warmup$"
    ):
        make_schedule("cosine", 0.1, total_steps=5, gamma=0.5)
    with pytest.raises(ValueError, match=r"takes no factr; .*; did you mean 'factor'\?"):
        make_schedule("step", 0.1, every=5, factr=0.5)
    with pytest.raises(ValueError, match="'cosine' needs total_steps"):
        make_schedule("cosine", 0.1)
    with pytest.raises(ValueError, match="'step' needs every"):
        make_schedule("step", 0.1)
    with pytest.raises(ValueError, match="warmup is 5, expected fewer than the 5 steps"):
        make_schedule("cosine", 0.1, total_steps=5, warmup=5)
    with pytest.raises(ValueError, match="warmup is 9, expected fewer than the 5 steps"):
        make_schedule("constant", 0.1, total_steps=5, warmup=9)  # it would never end
    with pytest.raises(ValueError, match="warmup is -1, expected an integer of at least 0"):
        make_schedule("constant", 0.1, warmup=-1)
    with pytest.raises(ValueError, match="total_steps is '5', expected an integer of at least 1"):
        make_schedule("constant", 0.1, total_steps="5")


@pytest.mark.parametrize("returned", [-0.1, math.nan, math.inf, None, "much", [0.1, 0.2]])
def test_a_function_must_return_a_rate(returned):
    message = rf"learning_rate returned {re.escape(repr(returned))} for step 3, expected a finite"
    with pytest.raises(ValueError, match=message):
        scheduled_rate(lambda step: returned, {"step": 3})


def test_a_class_is_not_a_schedule():
    with pytest.raises(ValueError, match=r"learning_rate is <class .*Cosine'>, expected a finite"):
        SGD(Cosine)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("constant", {"learning_rate": -1.0}),
        ("constant", {"learning_rate": "much"}),
        ("step", {"every": 0}),
        ("step", {"every": 2.5}),
        ("step", {"factor": -1}),
        ("exponential", {"factor": float("inf")}),
        ("inverse_scaling", {"power": -0.5}),
        ("cosine", {"total_steps": 0}),
        ("cosine", {"final": -1}),
        ("one_cycle", {"total_steps": 1}),
        ("one_cycle", {"rising": 1}),
        ("one_cycle", {"start_divisor": 0.5}),
        ("one_cycle", {"final_divisor": 0}),
        ("plateau", {"factor": 1}),
        ("plateau", {"patience": -1}),
        ("plateau", {"threshold": 1}),
    ],
)
def test_out_of_range(name, parameters):
    needed = {"step": {"every": 5}, "cosine": {"total_steps": 9}, "one_cycle": {"total_steps": 9}}
    ((argument, value),) = parameters.items()
    with pytest.raises(ValueError, match=rf"{argument} is {value!r}, expected "):
        SCHEDULES[name](**{"learning_rate": 0.1, **needed.get(name, {}), **parameters})
