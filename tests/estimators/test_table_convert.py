"""ONNX Runtime takes columns as a frame holds them, and gives what `predict` does."""

import numpy as np
import pytest

from pluggable_mlp import TableClassifier

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
    """Compare a classifier's graph with it, and return the graph."""
    session = graph(model, path)
    labels, probabilities = session.run(None, inputs)
    np.testing.assert_array_equal(labels, model.predict(X))
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)
    return session


def trained(X, **settings):
    return TableClassifier(max_iter=4, random_state=0, hidden=(8,), **settings).fit(X, LABELS)


def test_an_onnx_graph_takes_codes_and_booleans_as_they_are(tmp_path):
    columns = {
        "code": [7 * (i % 5) - 7 for i in range(N)],
        "pair": [10 + i % 2 for i in range(N)],
        "part": [[0.5, 2.0, -1.5][i % 3] for i in range(N)],
        "member": [i % 4 == 0 for i in range(N)],
        "gone": [[True, False, None][i % 3] for i in range(N)],
        "zip": [["10115", "20095"][i % 2] for i in range(N)],
    }
    X = pl.DataFrame(columns, schema_overrides={"zip": pl.Categorical})
    model = trained(X, recipe="realmlp-td", categorical_features=np.array(["code", "pair", "part"]))
    later = columns | {"code": [*columns["code"][:-2], 7, 3]}  # 3 training never saw
    inputs = {name: raw(of) for name, of in later.items()}
    inputs |= {name: inputs[name].astype(np.int64) for name in ("code", "pair")}
    inputs["gone"] = np.array(["TRUE", "False", "", "True", "false", ""] * 10, object)
    session = check(model, X.with_columns(code=pl.Series(later["code"])), tmp_path / "m", inputs)
    assert {node.name: node.type for node in session.get_inputs()} == {
        "code": "tensor(int64)",
        "pair": "tensor(int64)",
        "part": "tensor(double)",
        "member": "tensor(bool)",
        "gone": "tensor(string)",
        "zip": "tensor(string)",
    }


def test_columns_named_as_an_onnx_output_keep_their_names(tmp_path):
    """As "label_" is a column, too, the labels are "label__"."""
    X = pl.DataFrame({"label": COLOURS, "label_": COLOURS[::-1], "size": SIZES})
    session = check(trained(X), X, tmp_path / "m", {of: raw(X[of].to_list()) for of in X.columns})
    assert names(session.get_inputs()) == X.columns
    assert names(session.get_outputs()) == ["label__", "probabilities"]
