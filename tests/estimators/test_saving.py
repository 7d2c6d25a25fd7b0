"""Files of estimators: one that has changed is refused, and so is one of another model."""

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_regression

from pluggable_mlp import (
    BatchNorm,
    LeakyReLU,
    MLPClassifier,
    MLPRegressor,
    TableClassifier,
    TableRegressor,
    get_backend,
    make_schedule,
)
from tests.strangers import changes, content_of, other_arrays, written

polars = pytest.importorskip("polars")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
NAMES = np.asarray(["setosa", "versicolor", "virginica"])[Y]
FRAME = polars.DataFrame(dict(zip("abcd", X.T, strict=True)))
NUMBERS = make_regression(60, 4, n_targets=2, random_state=0)

MODELS = {
    "classifier": lambda: MLPClassifier(
        (5, 3),
        [LeakyReLU(0.1), "tanh"],
        norm=BatchNorm(),
        early_stopping=True,
        class_weight={"setosa": 2.0},
        learning_rate=make_schedule("cosine", 0.01, total_steps=30),
        random_state=0,
        max_iter=3,
    ).fit(FRAME, NAMES),
    "several labels": lambda: MLPClassifier((4,), max_iter=2).fit(X, np.eye(3, dtype=int)[Y]),
    "regressor": lambda: MLPRegressor("huber", (4,), max_iter=2, random_state=0).fit(*NUMBERS),
}


@pytest.fixture
def saved(model, tmp_path):
    """A fitted model, where it is saved, and its inputs."""
    path = tmp_path / "model.safetensors"
    fitted = MODELS[model]()
    fitted.save(path)
    return fitted, path, FRAME if model == "classifier" else NUMBERS[0]


@pytest.mark.parametrize("model", ["classifier"])
def test_a_changed_byte_is_seen_or_changes_nothing(saved):
    """Some numbers have a last digit that no float holds."""
    model, path, inputs = saved
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 400)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 7
        path.write_bytes(changed)
        try:
            MLPClassifier.load(path)
        except ValueError as error:
            if str(path) not in str(error):
                raise
        else:
            np.testing.assert_equal(content_of(bytes(changed)), content_of(whole), str(place))
    path.write_bytes(whole)
    np.testing.assert_array_equal(MLPClassifier.load(path).predict(inputs), model.predict(inputs))


@pytest.mark.parametrize("model", MODELS)
def test_the_hash_is_what_the_documentation_says(saved):
    model, path, inputs = saved
    description, arrays = content_of(path.read_bytes())
    path.write_bytes(written(description, arrays))
    loaded = type(model).load(path)
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.predict(inputs), model.predict(inputs))
    names = getattr(model, "feature_names_in_", None)
    np.testing.assert_array_equal(getattr(loaded, "feature_names_in_", None), names)
    for name, wrong, fault in (
        ("hidden_layer_sizes", [7] * len(model.hidden_layer_sizes), "=.* describe another"),
        ("activation", "relo", "' parameter .* Got 'relo'"),
    ):
        description["parameters"][name] = wrong
        path.write_bytes(written(description, arrays))
        with pytest.raises(ValueError, match=f"model.safetensors is damaged: .*{name}{fault}"):
            type(model).load(path)


TABLE = FRAME.with_columns(kind=polars.Series(NAMES[::-1]))
EVERY_KIND = MODELS | {
    "table": lambda: TableClassifier(
        "tabm-mini", hidden=4, n_members=2, max_iter=1, random_state=0
    ).fit(TABLE, NAMES),
    "numbers of a table": lambda: TableRegressor(hidden=4, max_iter=1).fit(TABLE, X[:, 0]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", EVERY_KIND)
def test_a_strange_value_anywhere_is_refused_or_predicts(model, tmp_path):
    """It replaces no method, and no array is of another form."""
    fitted, path = EVERY_KIND[model](), tmp_path / "model.safetensors"
    fitted.save(path)
    inputs = {"regressor": NUMBERS[0], "several labels": X, "classifier": FRAME}.get(model, TABLE)
    tree, arrays = content_of(path.read_bytes())
    tree["attributes"]["predict"] = 5
    others = [(place, tree, changed) for place, changed in other_arrays(arrays)]
    path.write_bytes(written(tree, arrays))
    with pytest.raises(ValueError, match="safetensors is damaged: .*`predict`"):
        type(fitted).load(path)
    del tree["attributes"]["predict"]
    for place, content, tensors in [*((*one, arrays) for one in changes(tree)), *others]:
        path.write_bytes(written(content, tensors))
        try:
            loaded = type(fitted).load(path)
        except MemoryError:
            continue
        except ValueError as error:
            if str(path) not in str(error):
                raise
            continue
        assert tensors is arrays, place
        assert vars(loaded).keys() <= {*vars(fitted), "_optimizer_state", "device"}, place
        try:
            assert loaded.predict(inputs).shape == fitted.predict(inputs).shape, place
        except ValueError:  # other names of columns
            assert "name" in place or "pixels" in place, place


@pytest.mark.parametrize("model", ["classifier"])
def test_names_of_features_hold_after_loading(saved):
    _, path, _ = saved
    loaded = MLPClassifier.load(path)
    assert loaded.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(FRAME[["d", "c", "b", "a"]])


@pytest.mark.parametrize("model", ["classifier"])
def test_a_device_without_memory_is_no_damage_of_the_file(saved, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(type(get_backend("numpy")), "asarray", refuse)
    with pytest.raises(RuntimeError, match="^CUDA error: out of memory"):
        MLPClassifier.load(saved[1])
