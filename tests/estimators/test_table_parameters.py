"""Estimators for tables: parameters that take the place of a recipe's values, and their search."""

import numpy as np
import pytest

from pluggable_mlp import DataError, DataWarning, TableClassifier, TableRegressor
from tests.estimators.tables import COLUMNS, LABELS, PRICES, QUICK, N, frame

pl = pytest.importorskip("polars")
pytestmark = pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")

OTHERS = {
    "recipe": "none",
    "hidden": (8,),
    "activation": "tanh",
    "dropout": 0.5,
    "input_dropout": 0.5,
    "input_noise": 0.5,
    "norm": "layer",
    "optimizer": "sgd",
    "learning_rate": 1e-3,
    "weight_decay": 0.5,
    "clip_norm": 1e-3,
    "schedule": "none",
    "warmup": 3,
    "batch_size": 16,
    "scaling": "standard",
}
OF_CLASSES = {"label_smoothing": 0.0, "class_weight": "balanced"}
OF_NUMBERS = {"loss": "huber", "target_scaling": "minmax"}


def trained(kind, **parameters):
    X, y = pl.DataFrame(COLUMNS), LABELS if kind is TableClassifier else PRICES
    members = None if "recipe" in parameters else 1  # recipe 'none' takes no members
    return kind(max_iter=4, random_state=0, n_members=members, **parameters).fit(X, y)


def arrays(model):
    return [np.asarray(array) for layer in model.parameters_ for array in layer.values()]


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        *((TableClassifier, *pair) for pair in (OTHERS | OF_CLASSES).items()),
        *((TableRegressor, *pair) for pair in OF_NUMBERS.items()),
    ],
)
def test_a_parameter_replaces_the_value_of_the_recipe(kind, name, value):
    expected, found = trained(kind), trained(kind, **{name: value})
    assert found.get_params()[name] == value
    is_alike = name not in ("recipe", "hidden", "norm")
    pairs = zip(arrays(expected), arrays(found), strict=is_alike)
    assert not all(array.shape == other.shape and np.all(array == other) for array, other in pairs)


def test_numbers_of_numpy_are_taken_and_one_width_is_one_layer():
    expected = trained(TableClassifier, hidden=(8,), learning_rate=0.01, batch_size=16)
    numbers = {"learning_rate": np.float64(0.01), "batch_size": np.int64(16)}
    for hidden in (8, np.int64(8), np.asarray([8]), [8]):
        found = trained(TableClassifier, hidden=hidden, **numbers)
        assert all(map(np.array_equal, arrays(found), arrays(expected)))


def test_early_stopping_has_its_patience():
    X, y = pl.DataFrame(COLUMNS), LABELS
    recipe = {"recipe": "tabm-mini", "n_members": 2, "learning_rate": 0.0, "random_state": 0}
    assert TableClassifier(early_stopping=2, **recipe).fit(X, y).n_iter_ == 3
    model = TableClassifier(early_stopping="none", max_iter=20, **recipe).fit(X, y)
    assert model.n_iter_ == 20  # the recipe's is 16
    with pytest.raises(ValueError, match=r"a validation part to watch.*validation_fraction=0\.1"):
        model.set_params(early_stopping=2, validation_fraction=0).fit(X, y)


def test_classes_have_the_weights_of_a_mapping():
    """Three rows of a class count as one that weighs three times as much."""
    x = np.asarray([[0.0], [0.0], [1.0], [1.0]] * 8)
    y = np.asarray(["a", "b", "a", "b"] * 8)
    settings = {"validation_fraction": 0, "max_iter": 60, "label_smoothing": 0.0, "hidden": 8}
    model = TableClassifier(class_weight={"b": 3.0}, random_state=0, **settings).fit(x, y)
    np.testing.assert_allclose(model.predict_proba(x)[:, 1], 0.75, atol=0.05)
    both = model.fit(x, y, np.where(y == "b", 1 / 3, 1.0))
    np.testing.assert_allclose(both.predict_proba(x)[:, 1], 0.5, atol=0.05)
    with pytest.raises(ValueError, match=r"class_weight has 'c', expected classes of \['a', 'b'\]"):
        model.set_params(class_weight={"c": 1.0}).fit(x, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden": (0,)}, r"hidden is \(0,\), expected a sequence of integers of at least 1"),
        ({"hidden": [[4, 3]]}, r"hidden is \(\[4, 3\],\), expected a sequence of integers of at"),
        ({"hidden": [[4, 3], 2]}, r"hidden is \(\[4, 3\], 2\), expected a sequence of integers"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0, expected a finite number of at least 0"),
        ({"activation": "relo"}, "relo"),
        (
            {"loss": "huber", "label_smoothing": 0.0},
            "loss for classification is 'huber', expected one of softmax_cross_entropy",
        ),
        ({"class_weight": "equal"}, "class_weight"),
        ({"categorical_features": ["y"]}, r"\['y'\], expected names or places of columns: .y. not"),
        ({"categorical_features": [99]}, r"\[99\], expected names or places of columns: index 99"),
        ({"recipe": "tabm:members=2", "n_members": 3}, "members=2,members=3', expected members on"),
    ],
)
def test_what_a_setting_does_not_take_is_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        TableClassifier(**QUICK | parameters).fit(frame(), LABELS)


def test_a_frame_after_an_array_is_read_by_place():
    """Numbers that are categories stay so."""
    X = np.stack([COLUMNS["code"], np.arange(N)], axis=1)
    model = TableClassifier(**QUICK, categorical_features=[0]).fit(X, LABELS)
    assert model.preparation_.columns[0].categories == ("0", "14", "21", "28", "7")
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        found = model.predict_proba(pl.DataFrame(X, schema=["b", "a"]))
    np.testing.assert_array_equal(found, model.predict_proba(X))


def test_a_frame_may_have_other_columns_in_another_order():
    """Of which those that fit did not see are named, and those that it dropped may be absent."""
    X = frame(age=COLUMNS["age"], city=COLUMNS["city"], constant=[1] * N)
    held = X[:20]["city", "age", "x", "constant"].with_columns(more=pl.lit(3.0))
    model = TableClassifier(**QUICK).fit(X, LABELS)
    assert model.feature_names_in_.tolist() == ["x", "age", "city", "constant"]
    with pytest.warns(DataWarning, match="columns that are not used: 'more'"):
        found = model.predict_proba(held)
    np.testing.assert_array_equal(found, model.predict_proba(X[:20]))
    np.testing.assert_array_equal(model.predict_proba(held.drop("more", "constant")), found)
    with pytest.raises(DataError, match="has no column 'age'; it has city, x"):
        model.predict(held["city", "x"])
    ordered, other = (
        TableClassifier(**QUICK).fit(X, LABELS, eval_set=(table, LABELS[:20]))
        for table in (X[:20], held.drop("more"))
    )
    assert ordered.validation_errors_ == other.validation_errors_
