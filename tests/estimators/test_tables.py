"""Estimators for tables: frames and arrays, the best epoch, weights, labels, files, equal bits."""

import pickle
import time
from copy import copy

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from threadpoolctl import threadpool_limits

from pluggable_mlp import DataWarning, TableClassifier, TableRegressor
from pluggable_mlp.backends.numpy import NumpyBackend
from pluggable_mlp.estimators.saved import COMPONENTS
from pluggable_mlp.files.serialization import read_tree, write_tree
from pluggable_mlp.network.categories import Categories
from tests.estimators.tables import COLUMNS, LABELS, PRICES, QUICK, N, frame

pl = pytest.importorskip("polars")


def frames():
    pd = pytest.importorskip("pandas")
    pa = pytest.importorskip("pyarrow")
    return pl.DataFrame(COLUMNS), pd.DataFrame(COLUMNS), pa.table(COLUMNS)


def array():
    """The columns as an array of objects, as a list of rows gives it."""
    return np.array([*COLUMNS.values()], dtype=object).T


@pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")
def test_frames_of_all_libraries_and_arrays_give_the_same_model():
    choices = ([np.int64(3)], ["code", "code"], [3, -1, "code"], [False, False, False, True])
    models = [
        TableClassifier(**QUICK, categorical_features=chosen).fit(X, LABELS)
        for X, chosen in zip((*frames(), array()), choices, strict=True)
    ]
    expected = models[0].predict_proba(frames()[0])
    assert expected.shape == (N, 2)
    for model, X in zip(models, (*frames(), array()), strict=True):
        np.testing.assert_array_equal(model.predict_proba(X), expected)
    assert models[0].classes_.tolist() == ["no", "yes"]
    shown = [row.becomes for row in models[0].preparation_.describe()]
    assert shown[3] == "one of 5 categories: 0, 14, 21, 28, 7"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["realmlp-td-s", "tabm-mini", "tabm"])
def test_recipes_learn(recipe):
    X, y = load_iris(return_X_y=True)
    settings = {"recipe": recipe, "n_members": 4, "max_iter": 40, "random_state": 0}
    model = TableClassifier(**settings).fit(X[::2], y[::2])
    assert model.score(X[1::2], y[1::2]) > 0.9
    X, y = load_diabetes(return_X_y=True)
    regressor = TableRegressor(**settings).fit(X[::2], y[::2])
    assert regressor.score(X[1::2], y[1::2]) > 0.3
    assert 0.5 * y.mean() < regressor.predict(X).mean() < 2 * y.mean()  # in their own units


def test_realmlp_td_embeds_columns_of_nine_categories_or_more():
    """The names of the features are in the order of the matrix, in which such columns are last."""
    table = pl.DataFrame(
        {
            "many": [f"m{i % 9}" for i in range(N)],
            "age": np.cos(np.arange(N)),
            "few": [f"f{i % 8}" for i in range(N)],
        }
    )
    model = TableClassifier("realmlp-td", **QUICK).fit(table, LABELS)
    assert model.network_.category_embedding == Categories((9,))
    assert [of["category_E"].shape for of in model.parameters_ if "category_E" in of] == [(10, 8)]
    preparation = model.preparation_
    assert preparation.feature_names == (
        "age", *(f"few=f{i}" for i in range(8)), *(f"many=m{i}" for i in range(9))
    )  # fmt: skip
    columns = [
        of if of.dtype.is_numeric() else of.cast(pl.Enum(of.unique().sort())) for of in table
    ]
    frame = pl.DataFrame(columns)
    for row, features in enumerate(preparation.inputs("X", frame, "float64")[:]):
        hot = [preparation.feature_names[i] for i in np.flatnonzero(features[1:] > 0.5) + 1]
        assert hot == [f"few=f{row % 8}", f"many=m{row % 9}"]


def test_the_best_epoch_is_kept():
    X, y = load_iris(return_X_y=True)
    model = TableClassifier(**QUICK | {"max_iter": 20, "random_state": 5}).fit(X, y)
    errors = model.validation_errors_
    assert errors[model.best_iteration_ - 1] == min(errors) < errors[-1]
    held_out = model.fit(X, y, eval_set=(X[::3], y[::3]))
    best = min(held_out.validation_errors_)
    assert held_out.score(X[::3], y[::3]) == pytest.approx(1 - best)


def test_a_smaller_last_batch_is_left_out():
    """Both classes have probability 1/2 up to the second step: the first one's rate is 0."""
    X, y = np.random.default_rng(0).normal(size=(48, 2)), np.arange(48) % 2
    model = TableClassifier(**QUICK | {"max_iter": 1}, batch_size=16, validation_fraction=0)
    (two,), (three,) = (model.fit(X[:n], y[:n]).loss_curve_ for n in (47, 48))
    assert two == pytest.approx(np.log(2))
    assert three != pytest.approx(np.log(2), rel=1e-5)


def test_a_time_limit_ends_training(monkeypatch):
    """By a clock of what training does: the fourth epoch, which would end later, is not begun."""
    X, y = load_iris(return_X_y=True)
    assert TableClassifier(time_limit=1e-3, random_state=0, n_members=1).fit(X, y).n_iter_ == 1
    ticks, own, ends = [], NumpyBackend.to_numpy, []
    monkeypatch.setattr(NumpyBackend, "to_numpy", lambda self, x: ticks.append(1) or own(self, x))
    for name in ("monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, lambda: float(len(ticks)))
    for epochs in (1, 2):
        TableClassifier(max_iter=epochs, random_state=0, n_members=1).fit(X, y)
        ends.append(len(ticks) - sum(ends))
    limit = 3.5 * (ends[1] - ends[0])
    assert TableClassifier(time_limit=limit, random_state=0, n_members=1).fit(X, y).n_iter_ == 3


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_predictions_of_a_row_depend_on_no_other_and_on_no_thread(backend, arithmetic):
    """To rounding, or to the last bit; of blocks whose last is shorter, on two threads and one.

    On other kernels of OpenBLAS: ci/kernels.sh.
    """
    if backend != "numpy":
        pytest.importorskip(backend)
    X = np.random.default_rng(0).normal(size=(1300, 5))
    settings = {"backend": backend, "arithmetic": arithmetic, "max_iter": 1, "random_state": 0}
    settings["hidden"] = (32, 32)
    model = TableClassifier(**settings).fit(X, X[:, 0] > 0)
    with threadpool_limits(2):
        every = model.predict_proba(X)
    with threadpool_limits(1):
        parts = [model.predict_proba(X[rows]) for rows in (slice(700), slice(700, None))]
    assert len(np.unique(every)) > 1000
    tolerance = 1e-5 if arithmetic == "native" else 0.0
    np.testing.assert_allclose(every, np.concatenate(parts), rtol=tolerance, atol=tolerance)


def test_weights_of_zero_leave_rows_out():
    X = np.repeat([[0.0], [1.0]], 40, axis=0)
    y, weights = np.tile([0.0, 1.0], 40), np.tile([1.0, 0.0], 40)
    model = TableRegressor(**QUICK).fit(X, y, weights)
    assert np.abs(model.predict(X)).max() < 0.2
    assert TableRegressor(**QUICK).fit(X, y).predict(X).mean() > 0.3


@pytest.mark.parametrize("smallest", [0.0, 1e-42])  # the second is 0 on some libraries
def test_a_part_whose_rows_weigh_nothing_is_named(smallest):
    """A single row counts: either it is one of those for validation, or it is not."""
    X, y = np.arange(60.0).reshape(30, 2), np.arange(30.0)
    messages = set()
    for row in range(30):
        with pytest.raises(ValueError, match="the weights are 0 in all") as caught:
            TableRegressor(**QUICK).fit(X, y, np.where(np.arange(30) == row, 1.0, smallest))
        messages.add(str(caught.value))
    training, validation = sorted(messages)
    assert "in all rows of the train part, expected one above 0: take another" in training
    assert "in all rows of the validation part" in validation


@pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")
@pytest.mark.parametrize("recipe", ["realmlp-td-s", "realmlp-td", "tabm-mini"])
@pytest.mark.parametrize("kind", [TableClassifier, TableRegressor])
def test_saved_and_pickled_models_predict_the_same(tmp_path, kind, recipe):
    X = frames()[0]
    y = LABELS if kind is TableClassifier else PRICES
    model = kind(recipe, **QUICK | {"n_members": 2}).fit(X, y)
    model.save(tmp_path / "model")
    for again in (kind.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        assert again.get_params() == model.get_params()
    other = TableRegressor if kind is TableClassifier else TableClassifier
    with pytest.raises(ValueError, match=f"holds {kind.__name__} of format 3, expected T"):
        other.load(tmp_path / "model")
    content = read_tree(tmp_path / "model", "", COMPONENTS)
    content["parameters"]["hidden"] = (3,)
    write_tree(tmp_path / "model", content, COMPONENTS)
    with pytest.raises(ValueError, match="model is damaged: parameters.* expected"):
        kind.load(tmp_path / "model")


@pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")
def test_parameters_of_another_network_are_not_saved(tmp_path):
    """Also if the arrays have the same shapes."""
    model = TableRegressor(max_iter=1, random_state=0, hidden=(8,)).fit(frames()[0], PRICES)
    others = {"hidden": (3,), "n_members": 1, "activation": "relu", "optimizer": "lbfgs"}
    others["recipe"] = "realmlp-td-s:members=1"
    fields = ["sizes", "ensemble", "activation", "ensemble", "ensemble"]
    for (name, value), field in zip(others.items(), fields, strict=True):
        other = copy(model).set_params(**{name: value})
        with pytest.raises(ValueError, match=f"fitted one, which differs in {field}: fit it again"):
            other.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    model.set_params(n_members=8, verbose=True).save(tmp_path / "model")


def test_a_number_that_only_a_prediction_lacks_is_the_median():
    """Of a table of numbers alone, too."""
    X = np.random.default_rng(0).normal(size=(N, 2))
    X[:, 1] = np.arange(N) % 3
    model = TableClassifier(validation_fraction=0, **QUICK).fit(X, LABELS)
    with pytest.warns(DataWarning, match="'x1' lacks values in 1 row.* count as 1, training's"):
        found = model.predict_proba([[0.5, np.nan]])
    np.testing.assert_array_equal(found, model.predict_proba([[0.5, 1.0]]))


def test_useless_columns_are_named_and_dropped():
    X = frame(
        constant=[3] * N, same=["a"] * N, id=[f"row {i}" for i in range(N)]
    )  # fmt: skip
    with pytest.warns(DataWarning, match=r"'constant' \(it is 3 in all rows\), 'same'.*, 'id'"):
        model = TableRegressor(**QUICK).fit(X, PRICES)
    assert model.preparation_.features == 1
    assert model.predict(X.with_columns(id=pl.lit("new"))).shape == (N,)


@pytest.mark.parametrize("n", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_category_in_each_of_many_rows_is_dropped(n):
    X = pl.DataFrame({"x": np.arange(n) % 7, "id": [f"id {i}" for i in range(n)]})
    known = n * 4 // 5  # the rest is for validation
    with pytest.warns(DataWarning, match=rf"'id' \({known} different texts, such as 'id "):
        TableClassifier(max_iter=1, n_members=1, random_state=0).fit(X, np.arange(n) % 7 > 3)


def test_three_rows_are_fitted_with_a_warning():
    with pytest.warns(DataWarning, match="0.2 of 3 examples are 0 for validation"):
        model = TableClassifier(**QUICK).fit([[0.0], [1.0], [2.0]], ["a", "b", "b"])
    assert model.predict([[0.0], [2.0]]).tolist() == ["a", "b"]


@pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")
@pytest.mark.parametrize(
    "labels", [np.array([f"c{i}" for i in range(30)]), np.array([False, True]), [5, -1], [2.0, 1.0]]
)
def test_labels_of_any_type_come_back(labels):
    y = np.resize(labels, N)
    model = TableClassifier(**QUICK).fit(frame(), y)
    assert model.classes_.tolist() == sorted(set(labels))
    assert model.predict(frame()).dtype == y.dtype
    assert model.predict_proba(frame()).shape == (N, len(labels))


@pytest.mark.parametrize(
    ("of_fit", "of_eval_set"), [(np.int64, float), (float, np.int64), (np.bool_, np.int64)]
)
def test_labels_of_eval_set_may_be_of_another_type(of_fit, of_eval_set):
    """Those of the first class are absent there: what remains must not be counted anew."""
    X, y = load_iris(return_X_y=True)
    held = y > 0
    labels = held if of_fit is np.bool_ else (y + 1).astype(of_fit)
    model = TableClassifier(**QUICK)
    others = labels[held].astype(of_eval_set)
    found = clone(model).fit(X, labels, eval_set=(X[held], others))
    expected = clone(model).fit(X, labels, eval_set=(X[held], labels[held]))
    assert found.validation_errors_ == expected.validation_errors_
    assert found.score(X, labels) == expected.score(X, labels) > 0.6


@pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")
def test_realmlp_td_predicts_no_number_beyond_those_of_training():
    X, y = np.linspace(-1.0, 1.0, 80)[:, None], np.linspace(5.0, 9.0, 80)
    model = TableRegressor("realmlp-td", max_iter=4, random_state=0, validation_fraction=0)
    model.fit(X, y)
    ends = (np.array([5.0, 9.0]) - y.mean()) / y.std()
    np.testing.assert_allclose(model.network_.output_range, ends)
    found = model.predict([[-1e6], [0.0], [1e6]])
    assert 5.0 - 1e-5 < found.min() <= found.max() < 9.0 + 1e-5
    always = model.fit(X, np.full(80, 7.0)).predict([[-1e6], [0.5]])
    np.testing.assert_array_equal(always, 7.0)


@pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")
@pytest.mark.parametrize("recipe", ["realmlp-td", pytest.param("tabm", marks=pytest.mark.slow)])
def test_an_onnx_graph_takes_raw_columns(tmp_path, recipe):
    """Of ten towns RealMLP-TD has an embedding; of two sides both have a sign, and 0 for none."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("ndonnx")
    towns = [None if i % 19 == 3 else f"town {i % 10}" for i in range(N)]
    sides = [None if i % 11 == 2 else ["left", "right"][i % 2] for i in range(N)]
    X = pl.DataFrame({"town": towns, "side": sides, **COLUMNS})
    settings = QUICK | {"hidden": (8,), "n_members": 2 if recipe == "tabm" else None}
    classifier = TableClassifier(recipe, **settings).fit(X, LABELS)
    regressor = TableRegressor(recipe, **settings).fit(X, PRICES)
    given = {
        **{name: X[name].fill_null("").to_numpy().astype(object) for name in ("town", "side")},
        "age": X["age"].fill_null(float("nan")).to_numpy(),
        "city": X["city"].fill_null("").to_numpy().astype(object),
        "member": X["member"].to_numpy(),
        "code": X["code"].cast(pl.Float64).to_numpy(),
    }
    results = []
    for name, model in (("classifier", classifier), ("regressor", regressor)):
        model.to_onnx(tmp_path / f"{name}.onnx")
        session = onnxruntime.InferenceSession(tmp_path / f"{name}.onnx")
        results.append(session.run(None, given))
    (labels, probabilities), (predictions,) = results
    assert labels.tolist() == classifier.predict(X).tolist()
    np.testing.assert_allclose(probabilities, classifier.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(predictions, regressor.predict(X), rtol=1e-6, atol=1e-4)
