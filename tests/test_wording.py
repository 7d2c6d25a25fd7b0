"""Words of messages: counts, short lists, rows as lines."""

from pluggable_mlp.fields import aligned, counted, listed


def test_one_is_singular():
    assert [counted(n, "row") for n in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]


def test_a_long_list_ends_with_dots():
    assert listed(range(6)) == "0, 1, 2, 3, 4, 5"
    assert listed(range(7)) == "0, 1, 2, 3, 4, 5, …"
    assert listed(["a", "b"], most=1) == "a, …"


def test_fields_stand_one_below_the_other():
    assert aligned([["a", "bcd", ""], ["ef", "g", "h"]]) == ["a   bcd", "ef  g    h"]
