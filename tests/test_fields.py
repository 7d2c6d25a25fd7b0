"""Annotated fields: what they take, what their errors say, and what texts stand for."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from msgspec import Meta

from pluggable_mlp.fields import (
    BelowOne,
    Component,
    Flag,
    PositiveCount,
    convert,
    kind_of,
    parse,
)


@dataclass(frozen=True)
class Example(Component):
    count: Annotated[Annotated[int, Meta(ge=1)], "How many."] = 3
    share: Annotated[Annotated[float, Meta(ge=0, lt=1)] | None, "How much."] = None
    rate: Annotated[float, Meta(gt=0, le=2.5)] = 1.0
    sizes: Annotated[tuple[Annotated[int, Meta(ge=2)], ...], "How many each."] = (4, 5)
    mode: Annotated[Literal["fast", "exact"], "How."] = "fast"
    name: Annotated[str | None, "Whose."] = None
    limit: Annotated[int, Meta(ge=1)] | Literal["none"] | None = None


FIELDS = Example.__dataclass_fields__


def test_a_number_is_one_on_the_command_line_unless_other_texts_are_taken():
    kinds = {name: kind_of(field) for name, field in FIELDS.items()}
    assert kinds == {
        "count": int,
        "share": float,
        "rate": float,
        "sizes": str,
        "mode": str,
        "name": str,
        "limit": str,
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
        ({"sizes": (4, 1)}, "sizes is (4, 1), expected a sequence of integers of at least 2"),
        ({"sizes": {4, 5}}, "sizes is {4, 5}, expected a sequence of integers of at least 2"),
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
    made = Example(share=0, rate=2, sizes=[7, np.int8(8)])
    assert made == Example(share=0.0, rate=2.0, sizes=range(7, 9))
    assert made.sizes == (7, 8)
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
        ("limit", "none", "none"),
        ("limit", "7", 7),
    ],
)
def test_a_text_stands_for_a_value(name, text, value):
    assert parse(FIELDS[name], text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("count", text) for text in ("1.5", "1.0", "1e1")),
        *(("sizes", text) for text in ("2,,3", "2,x", "2,3e1")),
        *(("share", ""), ("limit", "0"), ("limit", "1E1")),
    ],
)
def test_a_text_that_stands_for_nothing_is_shown(name, text):
    with pytest.raises(ValueError, match=f"{name} is {text!r}, expected "):
        parse(FIELDS[name], text)


@pytest.mark.parametrize("value", [0, 0.5, 0.999, np.float64(0.5), np.float32(0.5), np.int64(0)])
def test_number_in_range(value):
    number = convert("x", value, BelowOne)
    assert type(number) is float
    assert number == value


@pytest.mark.parametrize(
    "value",
    [
        *(-1e-300, 1, float("nan"), float("-inf"), "0.5", None, False, np.False_, 1j, [0.5]),
        *(10**400, Fraction(10**400)),
    ],
)
def test_number_out_of_range(value):
    expected = f"x is {value!r}, expected a finite number of at least 0 and below 1"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        convert("x", value, BelowOne)


def test_the_bounds_themselves():
    for bounds in ({"le": 1.0}, {"ge": 1.0}):
        assert convert("x", 1.0, Annotated[float, Meta(**bounds)]) == 1.0
    for bounds, words in (({"gt": 1.0}, "above 1"), ({"lt": 1.0}, "below 1")):
        with pytest.raises(ValueError, match=f"^x is 1.0, expected a finite number {words}$"):
            convert("x", 1.0, Annotated[float, Meta(**bounds)])


def test_number_of_any_size_is_finite():
    with pytest.raises(ValueError, match=r"^x is inf, expected a finite number$"):
        convert("x", float("inf"), float)


@pytest.mark.parametrize("value", [1, 2**70, np.int64(3), np.uint8(3)])
def test_count_in_range(value):
    count = convert("n", value, PositiveCount)
    assert type(count) is int
    assert count == value


@pytest.mark.parametrize("value", [0, np.int64(0), 1.0, np.float64(1), "1", None, True, np.True_])
def test_count_out_of_range(value):
    with pytest.raises(ValueError, match=r"^n is .*, expected an integer of at least 1$"):
        convert("n", value, PositiveCount)


def test_fields_are_kept_as_python_numbers():
    @dataclass(frozen=True)
    class Own(Component):
        x: Annotated[float, Meta(lt=1)]
        n: Annotated[int, Meta(ge=1), "in words"]
        yes: Flag = True
        what: Any = None

    own = Own(np.float32(0.5), np.int8(2), what="it")
    assert (type(own.x), type(own.n)) == (float, int)
    assert own == Own(0.5, 2, what="it")
    with pytest.raises(ValueError, match="^x is 1, expected a finite number below 1$"):
        Own(1, 2)
    with pytest.raises(ValueError, match="^n is 0, expected an integer of at least 1$"):
        Own(0.5, 0)
    with pytest.raises(ValueError, match="^yes is 1, expected True or False$"):
        Own(0.5, 2, 1)
