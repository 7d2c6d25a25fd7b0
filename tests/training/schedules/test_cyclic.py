"""Cosine and one-cycle at their edges, by hand."""

from pluggable_mlp.training.schedules import Cosine, OneCycle


def test_cosine_keeps_its_final_rate():
    schedule = Cosine(0.5, total_steps=10, final=0.125)
    assert (schedule(0), schedule(10), schedule(1000)) == (0.5, 0.125, 0.125)


def test_one_cycle_at_its_corners():
    """15 = 0.25 * 64 - 1 is the top, 63 the last step."""
    schedule = OneCycle(0.5, total_steps=64, rising=0.25)
    assert schedule(0) == 0.5 / 25
    assert schedule(15) == 0.5
    assert schedule(63) == schedule(64) == 0.5 / 25 / 1e4
    assert max(schedule(step) for step in range(64)) == 0.5


def test_one_cycle_without_a_rising_part_falls_from_the_top():
    schedule = OneCycle(0.5, total_steps=8, rising=0.0)
    rates = [schedule(step) for step in range(8)]
    assert rates[0] == 0.5
    assert rates == sorted(rates, reverse=True)
