"""Schedules: rates as recorded and by hand, purity, ranges, and how one is made by its name."""

import json
import math
import re
from pathlib import Path

import pytest

from pluggable_mlp.training.optimizer import scheduled_rate
from pluggable_mlp.training.schedules import (
    SCHEDULES,
    Cosine,
    FlatCosine,
    OneCycle,
    Plateau,
    Step,
    WarmUp,
    make_schedule,
)

# Those of torch.optim, scikit-learn and pytabkit, as record_schedules.py wrote them.
RECORDED = json.loads(Path(__file__).with_name("schedules.json").read_text("utf-8"))


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
        ("flat_cos", make_schedule("flat_cosine", 0.3, total_steps=60)),
        ("coslog4", make_schedule("log_cosine", 0.3, total_steps=60)),
    ],
)
def test_follows_the_recorded_rates(name, schedule):
    # Near the end a cosine's 1 + cos cancels, in the recorded rates, too: absolute there.
    got = [schedule(t) for t in range(len(RECORDED[name]))]
    assert got == pytest.approx(RECORDED[name], rel=1e-12, abs=1e-16)


@pytest.mark.parametrize("learning_rate", [0.25, lambda t: 0.5 / (t + 1)])
def test_a_number_or_a_function_is_a_learning_rate(learning_rate):
    assert scheduled_rate(learning_rate, 1) == 0.25


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
    message = rf"learning_rate returned {re.escape(repr(returned))} for t=3, expected a finite"
    with pytest.raises(ValueError, match=message):
        scheduled_rate(lambda t: returned, 3)


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


def test_cosine_keeps_its_final_rate():
    schedule = Cosine(0.5, total_steps=10, final=0.125)
    assert (schedule(0), schedule(10), schedule(1000)) == (0.5, 0.125, 0.125)


def test_flat_cosine_at_its_corners():
    schedule = FlatCosine(0.5, total_steps=64, flat=0.25)
    assert [schedule(t) for t in (0, 15, 16, 64, 1000)] == [0.5, 0.5, 0.5, 0.0, 0.0]
    assert schedule(40) == pytest.approx(0.25, rel=1e-15)
    rates = [schedule(t) for t in range(16, 65)]
    assert rates == sorted(rates, reverse=True)


def test_one_cycle_at_its_corners():
    """15 = 0.25 * 64 - 1 is the top, 63 the last step."""
    schedule = OneCycle(0.5, total_steps=64, rising=0.25)
    assert schedule(0) == 0.5 / 25
    assert schedule(15) == 0.5
    assert schedule(63) == schedule(64) == 0.5 / 25 / 1e4
    assert max(schedule(t) for t in range(64)) == 0.5


def test_plateau_follows_the_recorded_rates():
    schedule = Plateau(0.3, factor=0.2, patience=2, threshold=1e-3)
    losses = RECORDED["losses"]
    rates = [schedule.after(losses[:count])(0) for count in range(1, len(losses) + 1)]
    assert rates == pytest.approx(RECORDED["plateau"], rel=1e-15)
    assert len(set(rates)) == 4  # the record holds three falls


def test_plateau_takes_a_loss_that_is_no_number_for_a_bad_epoch():
    schedule = Plateau(1.0, factor=0.5, patience=0)
    assert schedule.after([float("nan")])(0) == 0.5


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_before_any(name):
    """1/4, 2/4, 3/4 and all of the first rate, then the schedule from its beginning."""
    needs = {"every": 3} if name == "step" else {}
    alone = make_schedule(name, 0.5, total_steps=20, **needs)
    warm = make_schedule(name, 0.5, total_steps=24, warmup=4, **needs)
    assert [warm(t) for t in range(4)] == [alone(0) * part for part in (0.25, 0.5, 0.75, 1)]
    assert [warm(t) for t in range(4, 24)] == [alone(t) for t in range(20)]


def test_warm_up_passes_the_loss_on_to_plateau():
    warm = make_schedule("plateau", 1.0, warmup=2, patience=0, factor=0.5)
    assert warm.follows_losses
    assert [warm.after([1.0, 1.0])(t) for t in range(3)] == [0.25, 0.5, 0.5]


def test_warm_up_before_a_function():
    warm = WarmUp(lambda t: 1.0 / (t + 1), 2)
    assert [warm(t) for t in range(4)] == [0.5, 1.0, 1.0, 0.5]
    assert not warm.follows_losses
    assert warm.after([1.0]) is warm


def test_warm_up_needs_steps():
    with pytest.raises(ValueError, match="steps is 0, expected an integer of at least 1"):
        WarmUp(Step(0.1, every=3), 0)
    with pytest.raises(TypeError, match=r"schedule is 0.1, expected one such as Constant\(0.1\)"):
        WarmUp(0.1, 3)
