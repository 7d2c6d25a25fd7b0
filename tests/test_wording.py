"""Words of messages: counts, short lists, rows as lines."""

from pluggable_mlp.fields import align, list_first, pluralize


def test_one_is_singular():
    assert [pluralize(n, "row") for n in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]


def test_a_long_list_ends_with_dots():
    assert list_first(range(6)) == "0, 1, 2, 3, 4, 5"
    assert list_first(range(7)) == "0, 1, 2, 3, 4, 5, …"
    assert list_first(["a", "b"], most=1) == "a, …"


def test_fields_stand_one_below_the_other():
    assert align([["a", "bcd", ""], ["ef", "g", "h"]]) == ["a   bcd", "ef  g    h"]
