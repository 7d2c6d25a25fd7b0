"""Annotated fields: what they take, what their errors say, and what texts stand for."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from msgspec import Meta

from pluggable_mlp.fields import check_fields, fields_of


@dataclass(frozen=True)
class Example:
    count: Annotated[Annotated[int, Meta(ge=1)], "How many."] = 3
    share: Annotated[Annotated[float, Meta(ge=0, lt=1)] | None, "How much."] = None
    rate: Annotated[float, Meta(gt=0, le=2.5)] = 1.0
    sizes: tuple[Annotated[int, Meta(ge=2)], ...] = (4, 5)
    mode: Literal["fast", "exact"] = "fast"
    name: str | None = None

    def __post_init__(self):
        check_fields(self)


FIELDS = fields_of(Example)


def test_a_field_is_described_by_its_annotation():
    shown = {name: (of.kind, of.many, of.default, of.help) for name, of in FIELDS.items()}
    assert shown == {
        "count": (int, False, 3, "How many."),
        "share": (float, False, None, "How much."),
        "rate": (float, False, 1.0, ""),
        "sizes": (int, True, (4, 5), ""),
        "mode": (str, False, "fast", ""),
        "name": (str, False, None, ""),
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"count": 0}, "count is 0, expected an integer of at least 1"),
        ({"count": True}, "count is True, expected an integer of at least 1"),
        ({"count": 1.0}, "count is 1.0, expected an integer of at least 1"),
        ({"count": "3"}, "count is '3', expected an integer of at least 1"),
        ({"count": None}, "count is None, expected an integer of at least 1"),
        ({"share": 1}, "share is 1, expected a finite number of at least 0 and below 1"),
        ({"share": float("nan")}, "share is nan, expected a finite number of at least 0 and be"),
        ({"rate": 0}, "rate is 0, expected a finite number above 0 and at most 2.5"),
        ({"rate": 10**400}, "expected a finite number above 0 and at most 2.5"),
        ({"sizes": (4, 1)}, "sizes is (4, 1), expected integers of at least 2, separated by com"),
        ({"sizes": 4}, "sizes is 4, expected integers of at least 2"),
        ({"mode": "exat"}, "mode is 'exat', expected one of exact, fast; did you mean 'exact'?"),
        ({"mode": 3}, "mode is 3, expected one of exact, fast"),
        ({"name": 3}, "name is 3, expected a text"),
    ],
)
def test_an_error_says_what_came_and_what_was_expected(given, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the words are compared)
        Example(**given)
    assert words in str(caught.value)


def test_values_are_converted():
    made = Example(share=0, rate=2, sizes=[7, 8])
    assert made == Example(share=0.0, rate=2.0, sizes=(7, 8))
    assert [type(of) for of in (made.share, made.rate, made.sizes)] == [float, float, tuple]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "12", 12),
        ("share", "0.25", 0.25),
        ("share", "0", 0.0),
        ("sizes", "2, 3", (2, 3)),
        ("sizes", " ", ()),
        ("mode", "exact", "exact"),
        ("name", "null", "null"),
    ],
)
def test_a_text_stands_for_a_value(name, text, value):
    assert FIELDS[name].parse(text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [("count", "1.5"), ("share", "null"), ("share", ""), ("sizes", "2,,3"), ("sizes", "2,x")],
)
def test_a_text_that_stands_for_nothing_is_shown(name, text):
    with pytest.raises(ValueError, match=f"{name} is {text!r}, expected "):
        FIELDS[name].parse(text)
