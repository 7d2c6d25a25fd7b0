"""Choosing a piece by its name."""

import pytest

from pluggable_mlp.names import choose

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


@pytest.mark.parametrize("name", [None, 3])
def test_what_is_no_name_is_an_unknown_name(name):
    with pytest.raises(ValueError, match=f"activation is {name!r}, expected"):
        choose(TABLE, name, "activation")
