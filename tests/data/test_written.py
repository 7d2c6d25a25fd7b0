"""Numbers and dates as they are written for people: refused, with the row and what to do."""

import datetime
import re

import pytest

from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.written import refuse_for_people
from tests.data.texts import texts_of


@pytest.mark.parametrize(
    "form",
    ["${:.2f}", "1,{:.0f}", "{:.1f} %", "€ 1,{:.0f}.50", "({:.2f})", "{:.0f}'000", "-${}", "1 {}"],
)
def test_numbers_that_are_written_for_people_are_refused(form):
    texts = [None, *(form.format(100 + 7 * k) for k in range(50))]
    fault = "example: column 'price' holds {!r} in row {}, a number as it is written for people; "
    row = texts.index(min(texts[1:])) + 1
    with pytest.raises(DataError, match=re.escape(fault.format(texts[row - 1], row))):
        refuse_for_people("example", "price", texts_of(texts))


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%dT%H:%M:%S+00:00"])
def test_dates_are_refused(form):
    start = datetime.datetime(2024, 2, 3, tzinfo=datetime.UTC)
    days = [(start + datetime.timedelta(days=5 * k)).strftime(form) for k in range(40)]
    row = days.index(min(days)) + 1
    fault = f"column 'day' holds {min(days)!r} in row {row}, a date; write what may matter of it as"
    with pytest.raises(DataError, match=re.escape(fault)):
        refuse_for_people("example", "day", texts_of(days * 2))


@pytest.mark.parametrize("form", ["n{}", "{}-{}", "{}:30", "A {}", "{} km", "{}-3/4"])
def test_other_texts_are_texts(form):
    refuse_for_people("example", "code", texts_of([form.format(2000 + k, k) for k in range(50)]))


def test_few_prices_are_not_refused():
    refuse_for_people("example", "price", texts_of(["$1.50", "$2.50", "1,000"] * 50))
