"""What becomes of a table's columns: scikit-learn's encoder and imputer are the oracle."""

import re
import warnings

import msgspec
import numpy as np
import pytest

from pluggable_mlp.data import DataError, DataWarning
from pluggable_mlp.data.columns import Column, encode, fit_columns
from pluggable_mlp.data.encoded import Order
from pluggable_mlp.data.frame import Frame, Texts
from tests.data.texts import texts_of

SimpleImputer = pytest.importorskip("sklearn.impute").SimpleImputer
OneHotEncoder = pytest.importorskip("sklearn.preprocessing").OneHotEncoder

NAN = float("nan")


def features_of(columns):
    return [feature for column in columns for feature in column.features]


def applied(columns, frame, name="file"):
    return encode(name, columns, frame)[:]


AGES = np.array([3.0, NAN, 1.0, 9.0, 4.0, NAN])
HEIGHTS = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.5])
CITIES = texts_of(["Rome", "Oslo", None, "Rome", "Bern", "Oslo"])
TABLE = Frame(("age", "height", "city"), (AGES, HEIGHTS, CITIES))


def test_it_agrees_with_scikit_learn():
    columns = fit_columns("example", TABLE)
    assert features_of(columns) == [
        "age", "age missing", "height", "city=Bern", "city=Oslo", "city=Rome", "city missing"
    ]  # fmt: skip
    ages = SimpleImputer(strategy="median", add_indicator=True).fit_transform(AGES[:, None])
    cities = OneHotEncoder(
        categories=[["Bern", "Oslo", "Rome"]], handle_unknown="ignore", sparse_output=False
    ).fit_transform(np.array([[CITIES.distinct[k] if k >= 0 else None] for k in CITIES.codes]))
    expected = np.hstack([ages, HEIGHTS[:, None], cities, [[0], [0], [1], [0], [0], [0]]])
    np.testing.assert_array_equal(applied(columns, TABLE, "example"), expected)
    numeric = encode("example", columns, TABLE).is_number
    assert numeric.tolist() == [True, False, True, False, False, False, False]


def test_numbers_come_first_and_embedded_columns_last():
    """Otherwise the order is the table's; that a number is missing stands in its column's place."""
    sexes = texts_of(["m", "f", None, "m", "f", "f"])
    floors = texts_of(["0", "1", "2", "3", "3", None])
    frame = Frame(("floor", "sex", "age", "city", "height"), (floors, sexes, AGES, CITIES, HEIGHTS))
    columns = fit_columns("example", frame, pairs="sign")
    made = encode("example", columns, frame, Order(numbers_first=True, embedded=4))
    signs = [[1], [-1], [0], [1], [-1], [-1]]
    cities = [[0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]]
    of_floors = np.eye(5)[[0, 1, 2, 3, 3, 4], :4]
    ages = np.array([[3.0, 0], [3.5, 1], [1, 0], [9, 0], [4, 0], [3.5, 1]])
    expected = [ages[:, :1], HEIGHTS[:, None], signs, ages[:, 1:], cities, of_floors]
    np.testing.assert_array_equal(made[:], np.hstack(expected))


def test_later_columns_are_found_by_name_and_the_rest_is_left():
    columns = fit_columns("example", TABLE)
    moved = Frame(("x", "city", "height", "age"), (HEIGHTS, CITIES, HEIGHTS, AGES))
    np.testing.assert_array_equal(applied(columns, moved), applied(columns, TABLE, "example"))


def test_unseen_categories_are_zero_with_one_warning():
    columns = fit_columns("example", TABLE)
    cities = texts_of(["Paris", "Rome", "Lima", "Paris", "Rome", "Rome"])
    with pytest.warns(DataWarning) as told:
        made = applied(columns, Frame(TABLE.names, (AGES, HEIGHTS, cities)))
    assert [str(one.message) for one in told] == [
        "file: column 'city' holds 'Lima', 'Paris', which training never saw, in 3 rows: they "
        "count as none of its categories"
    ]
    assert made[:, 3:].sum(axis=1).tolist() == [0, 1, 0, 0, 1, 1]


def test_values_missing_only_in_later_rows_warn():
    columns = fit_columns("example", TABLE)
    heights = np.array([NAN, 2.0, 3.0, 4.0, 5.0, 6.5])
    with pytest.warns(DataWarning, match=r"column 'height' lacks values in 1 row, .* count as 3.5"):
        made = applied(columns, Frame(TABLE.names, (AGES, heights, CITIES)))
    assert made[0, 2] == 3.5


def test_unusable_columns_are_left_out():
    count = 30
    names = texts_of([f"n{k}" for k in range(count)])
    empty, none = np.full(count, NAN), texts_of([None] * count)
    frame = Frame(("a", "names", "empty", "none"), (np.arange(30.0), names, empty, none))
    columns = fit_columns("example", frame)
    assert features_of(columns) == ["a"]
    assert [column.describe() for column in columns] == [
        ("a", 0, "0 to 29", "number"),
        ("names", 0, "", "left out: 30 different texts in 30 rows"),
        ("empty", 30, "", "left out: it has no values"),
        ("none", 30, "", "left out: it has no values"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert applied(columns, Frame(("a",), (np.arange(30.0),))).shape == (30, 1)
    fault = "no column can be used ('names': 30 different texts in 30 rows, 'empty': it has no val"
    with pytest.raises(DataError, match=re.escape(f"example: {fault}")):
        fit_columns("example", Frame(("names", "empty"), (names, empty)))


@pytest.mark.parametrize(("count", "features"), [(10_000, 10_001), (10_001, 1)])
def test_up_to_ten_thousand_different_texts_are_categories(count, features):
    codes = np.arange(3 * count, dtype=np.int32) % count
    texts = Texts(tuple(f"{k:05}" for k in range(count)), codes)
    columns = fit_columns("example", Frame(("a", "shop"), (codes * 0.5, texts)))
    assert len(features_of(columns)) == features


CABINS = texts_of([f"C{k}" if k % 4 == 0 else None for k in range(200)])


def test_of_texts_that_are_all_different_it_is_kept_where_they_are_missing():
    """As of the cabins on the Titanic."""
    frame = Frame(("a", "cabin"), (np.arange(200.0), CABINS))
    columns = fit_columns("example", frame)
    assert features_of(columns) == ["a", "cabin missing"]
    assert columns[1].describe() == (
        "cabin",
        150,
        "",
        "50 different texts in 50 rows; a feature says where they are missing",
    )
    later = texts_of(["D9", None, "C4"])
    for found in (columns, again(columns)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = applied(found, Frame(("cabin", "a"), (later, np.arange(3.0))))
        assert made.tolist() == [[0, 0], [1, 1], [2, 0]]


@pytest.mark.parametrize(
    ("seen", "later", "places"),
    [
        (["False", "Maybe", "True"], ["False"], [0]),
        (["False", "Maybe", "True"], ["True", "False"], [2, 0]),
        (["False", "True"], ["true", None, "False"], [1, -1, 0]),
        (["false", "true"], ["True", "FALSE"], [1, 0]),
        (["False", "True", "true"], ["true", "True"], [1, 1]),
    ],
)
def test_booleans_are_alike_where_training_saw_no_other_texts(seen, later, places):
    columns = fit_columns("example", Frame(("s",), (texts_of(seen * 10),)))
    rows = Frame(("s",), (texts_of(later),))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "file: .* never saw")
        warnings.filterwarnings("ignore", "file: column 's' lacks values")
        made = applied(columns, rows)
    expected = [[float(k == place) for k in range(len(features_of(columns)))] for place in places]
    assert made.tolist() == expected


def again(columns):
    """What JSON keeps of columns."""
    return msgspec.json.decode(msgspec.json.encode(columns), type=tuple[Column, ...])


def test_it_survives_json():
    columns = fit_columns("example", TABLE)
    assert again(columns) == columns


@pytest.mark.parametrize("fill", [None, NAN])
def test_a_number_needs_one_that_stands_for_missing_ones(fill):
    with pytest.raises(ValueError, match="fill of column 'age' is"):
        Column("age", "number", fill=fill)


def test_only_categories_that_are_numbers_have_a_range():
    with pytest.raises(ValueError, match="column 'age' has the range .* expected null"):
        Column("age", "category", range=(1.0, 2.0), categories=("1", "old"))


def test_the_sign_of_zero_is_no_difference():
    """Which of two zeros is the smallest one depends on the machine."""
    for zeros in ([0.0, -0.0, 0.0], [-0.0, -0.0, -0.0]):
        (column,) = fit_columns("example", Frame(("a",), (np.array(zeros),)))
        assert str((column.range, column.fill)) == "((0.0, 0.0), 0.0)"
