"""Plateau against recorded rates; what it remembers, and what it takes for a bad epoch."""

import pytest

from pluggable_mlp.training.schedules import Plateau, scheduled_rate
from tests.training.schedules.recorded import RECORDED


def test_plateau_follows_the_recorded_rates():
    schedule = Plateau(0.3, factor=0.2, patience=2, threshold=1e-3)
    numbers = {"step": 0, **schedule.initial_numbers()}
    rates = []
    for loss in RECORDED["losses"]:
        numbers = schedule.after_epoch(numbers, loss)
        rates.append(scheduled_rate(schedule, numbers))
    assert rates == pytest.approx(RECORDED["plateau"], rel=1e-15)
    assert len(set(rates)) == 4  # the record holds three falls


def test_plateau_takes_a_loss_that_is_no_number_for_a_bad_epoch():
    schedule = Plateau(1.0, factor=0.5, patience=0)
    numbers = schedule.after_epoch({"step": 0, **schedule.initial_numbers()}, float("nan"))
    assert numbers["rate_factor"] == 0.5


def test_plateau_does_not_change_the_numbers_it_is_given():
    schedule = Plateau(1.0)
    numbers = {"step": 3, **schedule.initial_numbers()}
    before = dict(numbers)
    schedule.after_epoch(numbers, 0.5)
    assert numbers == before
