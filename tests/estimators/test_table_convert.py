"""ONNX Runtime takes columns as a frame holds them, and gives what `predict` does."""

import numpy as np
import pytest

from pluggable_mlp import TableClassifier, TableRegressor

pl = pytest.importorskip("polars")
N = 60
COLOURS = [["red", "green", "blue"][i % 3] for i in range(N)]
LABELS = ["yes" if i % 3 == 0 else "no" for i in range(N)]
SIZES = np.random.default_rng(0).normal(size=N)

pytestmark = pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")


def graph(model, path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("ndonnx")
    model.to_onnx(path)
    return onnxruntime.InferenceSession(path)


def names(nodes):
    return [node.name for node in nodes]


def raw(values):
    """The values of a column as an array: texts as objects."""
    array = np.asarray(values)
    return array.astype(object) if array.dtype.kind == "U" else array


def check(model, X, path, inputs):
    """Compare a classifier's graph with it, and return the types of the inputs."""
    session = graph(model, path)
    labels, probabilities = session.run(None, inputs)
    np.testing.assert_array_equal(labels, model.predict(X))
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)
    return {node.name: node.type for node in session.get_inputs()}


def trained(X, y=LABELS, *, estimator=TableClassifier, **settings):
    return estimator(max_iter=4, random_state=0, **settings).fit(X, y)


@pytest.mark.parametrize("recipe", ["realmlp-td-s", "realmlp-td"])
def test_an_onnx_graph_takes_codes_and_booleans_as_they_are(tmp_path, recipe):
    columns = {
        "code": [7 * (i % 5) - 7 for i in range(N)],
        "pair": [10 + i % 2 for i in range(N)],
        "part": [[0.5, 2.0, -1.5][i % 3] for i in range(N)],
        "member": [i % 4 == 0 for i in range(N)],
        "zip": [["10115", "20095"][i % 2] for i in range(N)],
    }
    X = pl.DataFrame(columns, schema_overrides={"zip": pl.Categorical})
    model = trained(X, recipe=recipe, categorical_features=["code", "pair", "part"])
    later = columns | {"code": [*columns["code"][:-2], 7, 3]}  # 3 training never saw
    inputs = {name: raw(of) for name, of in later.items()}
    inputs |= {name: inputs[name].astype(np.int64) for name in ("code", "pair")}
    assert check(model, X.with_columns(code=pl.Series(later["code"])), tmp_path / "m", inputs) == {
        "code": "tensor(int64)",
        "pair": "tensor(int64)",
        "part": "tensor(double)",
        "member": "tensor(bool)",
        "zip": "tensor(string)",
    }


def test_columns_named_as_an_onnx_output_keep_their_names(tmp_path):
    name = "label"
    X = pl.DataFrame({name: COLOURS, f"{name}_": COLOURS[::-1], "size": SIZES})
    inputs = {of: raw(X[of].to_list()) for of in X.columns}
    for model in (trained(X), trained(X, SIZES, estimator=TableRegressor)):
        session = graph(model, tmp_path / "m")
        assert names(session.get_inputs()) == X.columns
        outputs = ["prediction"]
        expected = [model.predict(X)]
        if isinstance(model, TableClassifier):
            outputs = ["label", "probabilities"]
            expected.append(model.predict_proba(X))
        assert names(session.get_outputs()) == [
            f"{of}__" if of == name else of for of in outputs
        ]  # as name_ is a column, too
        for found, of in zip(session.run(None, inputs), expected, strict=True):
            if of.dtype.kind == "f":
                np.testing.assert_allclose(found, of, rtol=1e-5, atol=1e-5)
            else:
                np.testing.assert_array_equal(found, of)
