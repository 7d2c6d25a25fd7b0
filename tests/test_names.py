"""Choosing a piece by its name."""

import re
from dataclasses import dataclass

import pytest

from pluggable_mlp.names import choose, make

TABLE = {"sigmoid": 1, "tanh": 2}


def test_a_known_name_gives_its_piece():
    assert choose(TABLE, "tanh", "activation") == 2


def test_an_unknown_name_lists_the_right_ones_and_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"^activation is 'sigmod', expected one of sigmoid, tanh"):
        choose(TABLE, "sigmod", "activation")
    with pytest.raises(ValueError, match=r"; did you mean 'sigmoid'\?$"):
        choose(TABLE, "sigmod", "activation")


def test_nothing_is_suggested_for_what_is_like_nothing():
    with pytest.raises(ValueError, match=r"expected one of sigmoid, tanh$"):
        choose(TABLE, "qqq", "activation")


@pytest.mark.parametrize("name", [None, 3, ["tanh"]])
def test_what_is_no_name_is_an_unknown_name(name):
    with pytest.raises(ValueError, match=re.escape(f"activation is {name!r}, expected")):
        choose(TABLE, name, "activation")


@dataclass(frozen=True)
class Slope:
    slope: float = 0.5
    offset: float = 1.0


PIECES = {"plain": len, "slope": Slope()}


def test_a_piece_is_made_with_its_parameters_and_keeps_the_others():
    assert make(PIECES, "slope", "activation", slope=2.0) == Slope(2.0, 1.0)
    assert make(PIECES, "slope", "activation") is PIECES["slope"]
    assert make(PIECES, "plain", "activation") is len


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "slope",
            r"^activation 'slope' takes no slop; it takes slope, offset; did you mean 'slope'",
        ),
        ("plain", r"^activation 'plain' takes no slop; it takes no parameters$"),
    ],
)
def test_a_parameter_that_a_piece_does_not_take(name, message):
    with pytest.raises(ValueError, match=message):
        make(PIECES, name, "activation", slop=2.0)
