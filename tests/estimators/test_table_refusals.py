"""What estimators for tables refuse: columns, targets and settings that cannot be used, by name."""

import datetime

import numpy as np
import pytest
from sklearn.base import clone

from pluggable_mlp import MLPRegressor, TableClassifier, TableRegressor
from tests.estimators.tables import LABELS, PRICES, QUICK, N, frame

pl = pytest.importorskip("polars")

DATES = [datetime.date(2026, 1, 1) + datetime.timedelta(i) for i in range(N)]
WRONG = {
    "a plan": (frame().lazy(), LABELS, r"X is a LazyFrame, expected a data frame: give X.collect"),
    "lists": (frame(list=[[i] for i in range(N)]), LABELS, "column 'list' is of type List"),
    "infinity": (frame(z=[np.inf] * N), LABELS, "column 'z' holds inf in row 1"),
    "labels that are dates": (
        frame(),
        np.array(DATES[:2] * (N // 2)),
        r"y holds datetime.date\(2026, 1, 1\) in row 1, expected only texts",
    ),
    "one class": (frame(), ["a"] * N, "y has one class, 'a', expected two"),
    "holes": (frame(), [None, *LABELS[1:]], "y holds None in row 1, expected only texts"),
    "some holes": (frame(), [*LABELS[2:], None, None], f"y holds None in row {N - 1}"),
    "nothing": (pl.DataFrame({"c": [1] * N}), LABELS, "no column can be used"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_used_is_named(case):
    X, y, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        TableClassifier(**QUICK).fit(X, y)


@pytest.mark.parametrize("model", [TableRegressor(), MLPRegressor()], ids=["table", "array"])
def test_a_target_with_holes_or_of_texts_is_refused(model):
    with pytest.raises(ValueError, match="Input y contains NaN"):
        model.fit(frame(), [float("nan"), *PRICES[1:]])
    mixed = [[number, *LABELS[1:]] for number in (1.0, float("nan"))]
    days = [date - DATES[0] for date in DATES]
    fault = "y holds '(yes|no|None|2026-01-01|0:00:00|0 days)', expected numbers"
    times = [DATES, np.array(DATES, "M8[D]"), days, np.array(days, "m8[D]")]
    for wrong in (LABELS, np.array(mixed[0], object), *mixed, [None, *PRICES[1:]], *times):
        with pytest.raises(ValueError, match=fault):
            model.fit(frame(), wrong)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1])
def test_numbers_that_a_float_does_not_hold_are_no_categories(number):
    """Rounded they would be other ones."""
    codes, fault = [1, 2, number] * (N // 3), r"holds -?9007199254740992, a category of 2\*\*53 or"
    model = TableClassifier(**QUICK, categorical_features=[-1])
    for X in (frame(z=codes), frame(z=[*codes[:-1], None]), np.array(codes)[:, None]):
        with pytest.raises(ValueError, match=fault):
            model.fit(X, LABELS)
    model.fit(frame(z=[*map(str, codes)]), LABELS)
    with pytest.raises(ValueError, match=fault):
        model.predict(frame(z=codes))


def test_a_failed_fit_changes_nothing():
    model = TableClassifier(**QUICK).fit(frame(), LABELS)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="expected two classes"):
        model.fit(frame(new=LABELS), ["a"] * N)
    assert vars(model) == before
    assert clone(model).get_params() == model.get_params()


def test_eval_set_is_checked():
    model = TableClassifier(**QUICK)
    with pytest.raises(ValueError, match="a new label is maybe, which training never saw"):
        model.fit(frame(), LABELS, eval_set=(frame(), ["maybe"] * N))
    pairs = frame(z=[0.0, 1.0] * (N // 2))[:2]  # of two rows and two columns
    for wrong in (frame(), pairs, (frame(),), (frame(), LABELS, LABELS)):
        with pytest.raises(ValueError, match="eval_set is .*, expected a tuple"):
            model.fit(frame(), LABELS, eval_set=wrong)


@pytest.mark.parametrize("model", [TableClassifier(), TableRegressor()], ids=["classes", "numbers"])
@pytest.mark.parametrize("y", [[1], [1] * (N + 1)], ids=["one", "one more"])
def test_targets_of_another_length_are_refused(model, y):
    with pytest.raises(ValueError, match=rf"inconsistent numbers of samples: \[{N}, {len(y)}\]"):
        model.fit(frame(), y)


@pytest.mark.parametrize("fraction", [0.0, 0.2])
def test_negative_weights_are_refused(fraction):
    for weights in (np.where(np.arange(N) == 7, -2.0, 1.0), -np.ones(N)):
        with pytest.raises(ValueError, match="sample_weight holds negative numbers, NaN or inf"):
            TableClassifier(validation_fraction=fraction).fit(frame(), LABELS, weights)


@pytest.mark.parametrize("fraction", [0.0, 0.2])
@pytest.mark.parametrize("eval_set", [None, (frame(), PRICES)], ids=["drawn", "given"])
def test_groups_are_checked_even_if_no_rows_are_drawn(eval_set, fraction):
    model = TableRegressor(**QUICK, validation_fraction=fraction)
    with pytest.raises(ValueError, match=rf"groups has shape \({N}, 2\), expected \({N},\)"):
        model.fit(frame(), PRICES, groups=np.ones((N, 2)), eval_set=eval_set)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(frame(), PRICES, groups=np.ones(N - 1), eval_set=eval_set)


def test_labels_of_pandas_may_be_nullable_and_none_may_be_missing():
    pandas = pytest.importorskip("pandas")
    labels = pandas.Series([1, 2] * (N // 2), dtype="Int64")
    assert TableClassifier(**QUICK).fit(frame(), labels).classes_.dtype.kind == "i"
    texts = pandas.Series([LABELS[0], pandas.NA, *LABELS[2:]], dtype="string")
    with pytest.raises(ValueError, match="y holds <NA> in row 2, expected only texts"):
        TableClassifier(**QUICK).fit(frame(), texts)
