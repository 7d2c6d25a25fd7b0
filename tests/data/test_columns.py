"""What becomes of a table's columns: scikit-learn's encoder and imputer are the oracle."""

import re
import warnings

import msgspec
import numpy as np
import pytest

from pluggable_mlp.data import DataError, DataWarning
from pluggable_mlp.data.columns import Column, Order, encode, fit_columns

polars = pytest.importorskip("polars")
SimpleImputer = pytest.importorskip("sklearn.impute").SimpleImputer
OneHotEncoder = pytest.importorskip("sklearn.preprocessing").OneHotEncoder

from tests.data.frames import frame_of  # noqa: E402 (polars)


def features_of(columns):
    return [name for column in columns for block in column.blocks for name in block.features]


def applied(columns, frame, name="file"):
    return encode(name, columns, frame)[:]


AGES = [3.0, None, 1.0, 9.0, 4.0, None]
HEIGHTS = [1.0, 2.0, 3.0, 4.0, 5.0, 6.5]
CITIES = ["Rome", "Oslo", None, "Rome", "Bern", "Oslo"]
TABLE = frame_of(age=AGES, height=HEIGHTS, city=CITIES)


def test_it_agrees_with_scikit_learn():
    columns = fit_columns("example", TABLE)
    assert features_of(columns) == [
        "age", "age missing", "height", "city=Bern", "city=Oslo", "city=Rome", "city missing"
    ]  # fmt: skip
    imputer = SimpleImputer(strategy="median", add_indicator=True)
    ages = imputer.fit_transform(np.array(AGES, float)[:, None])
    cities = OneHotEncoder(
        categories=[["Bern", "Oslo", "Rome"]], handle_unknown="ignore", sparse_output=False
    ).fit_transform(np.array(CITIES)[:, None])
    heights = np.array(HEIGHTS)[:, None]
    expected = np.hstack([ages, heights, cities, [[0], [0], [1], [0], [0], [0]]])
    np.testing.assert_array_equal(applied(columns, TABLE, "example"), expected)
    _, numeric = encode("example", columns, TABLE).only(lambda block: block.kind == "number")
    assert numeric.tolist() == [True, False, True, False, False, False, False]


def test_numbers_come_first_and_embedded_columns_last():
    """Otherwise the order is the table's; that a number is missing stands in its column's place."""
    sexes = ["m", "f", None, "m", "f", "f"]
    floors = ["0", "1", "2", "3", "3", None]
    frame = frame_of(floor=floors, sex=sexes, age=AGES, city=CITIES, height=HEIGHTS)
    columns = fit_columns("example", frame, pairs="sign")
    features = encode("example", columns, frame, Order(True, 4))
    signs = [[1], [-1], [0], [1], [-1], [-1]]
    cities = [[0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]]
    of_floors = np.eye(5)[[0, 1, 2, 3, 3, 4], :4]
    ages = np.array([[3.0, 0], [3.5, 1], [1, 0], [9, 0], [4, 0], [3.5, 1]])
    expected = [ages[:, :1], np.array(HEIGHTS)[:, None], signs, ages[:, 1:], cities, of_floors]
    np.testing.assert_array_equal(features[:], np.hstack(expected))


def test_unseen_categories_are_zero_with_one_warning():
    columns = fit_columns("example", TABLE)
    cities = ["Paris", "Rome", "Lima", "Paris", "Rome", "Rome"]
    with pytest.warns(DataWarning) as caught:
        features = applied(columns, frame_of(age=AGES, height=HEIGHTS, city=cities))
    assert [str(one.message) for one in caught] == [
        "file: column 'city' holds 'Lima', 'Paris', which training never saw, in 3 rows: they "
        "count as none of its categories"
    ]
    assert features[:, 3:].sum(axis=1).tolist() == [0, 1, 0, 0, 1, 1]


def test_values_missing_only_in_later_rows_warn():
    columns = fit_columns("example", TABLE)
    heights = [None, 2.0, 3.0, 4.0, 5.0, 6.5]
    with pytest.warns(DataWarning, match=r"column 'height' lacks values in 1 row, .* count as 3.5"):
        features = applied(columns, frame_of(age=AGES, height=heights, city=CITIES))
    assert features[0, 2] == 3.5


def test_unusable_columns_are_left_out():
    count = 30
    names = [f"n{k}" for k in range(count)]
    frame = frame_of(a=range(count), names=names, empty=[None] * count)
    columns = fit_columns("example", frame)
    assert features_of(columns) == ["a"]
    assert [column.describe() for column in columns] == [
        ("a", 0, "0 to 29", "number"),
        ("names", 0, "", "left out: 30 different texts, such as 'n0'"),
        ("empty", 30, "", "left out: it has no values"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert applied(columns, frame.select("a")).shape == (30, 1)
    fault = "no column can be used ('names': 30 different texts, such as 'n0', 'empty': it has no"
    with pytest.raises(DataError, match=re.escape(f"example: {fault}")):
        fit_columns("example", frame.select("names", "empty"))


@pytest.mark.parametrize(("count", "features"), [(10_000, 10_001), (10_001, 1)])
def test_up_to_ten_thousand_different_texts_are_categories(count, features):
    shops = [f"{k % count:05}" for k in range(3 * count)]
    columns = fit_columns("example", frame_of(a=range(3 * count), shop=shops))
    assert len(features_of(columns)) == features


CABINS = [f"C{k}" if k % 4 == 0 else None for k in range(200)]


def test_of_texts_that_are_all_different_it_is_kept_where_they_are_missing():
    """As of the cabins on the Titanic."""
    frame = frame_of(a=range(200), cabin=CABINS)
    columns = fit_columns("example", frame)
    assert features_of(columns) == ["a", "cabin missing"]
    assert columns[1].describe() == (
        "cabin",
        150,
        "",
        "50 different texts, such as 'C0'; a feature says where they are missing",
    )
    later = frame_of(cabin=["D9", None, "C4"], a=range(3))
    for found in (columns, again(columns)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            features = applied(found, later)
        assert features.tolist() == [[0, 0], [1, 1], [2, 0]]


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
    columns = fit_columns("example", frame_of(s=seen * 10))
    rows = frame_of(s=later)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "file: .* never saw")
        warnings.filterwarnings("ignore", "file: column 's' lacks values")
        features = applied(columns, rows)
    expected = [[float(k == place) for k in range(len(features_of(columns)))] for place in places]
    assert features.tolist() == expected


def again(columns):
    """What JSON keeps of columns."""
    return msgspec.json.decode(msgspec.json.encode(columns), type=tuple[Column, ...])


def test_numbers_may_be_categories_and_stay_so_in_later_rows():
    frame = frame_of(a=range(6), code=[3, 1, None, 2.5, 3, 1])
    _, code = fit_columns("example", frame, categorical={"code"})
    assert (code.categories, code.range) == (("1", "2.5", "3"), (1.0, 3.0))
    features = applied([code], frame_of(code=[1, 3, None]))
    assert features.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_the_sign_of_zero_is_no_difference():
    """Which of two zeros is the smallest one depends on the machine."""
    for zeros in ([0.0, -0.0, 0.0], [-0.0, -0.0, -0.0]):
        (column,) = fit_columns("example", frame_of(a=zeros))
        assert str((column.range, column.fill)) == "((0.0, 0.0), 0.0)"
