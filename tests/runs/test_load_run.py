"""Saved runs in Python: predictions and measures are those of the command line."""

import csv
import io
import json

import numpy as np
import pytest

from pluggable_mlp import get_backend, load_dataset, load_run
from tests.cli.conftest import ended

pytestmark = pytest.mark.as_user

polars = pytest.importorskip("polars")

COUNT = 120
NUMBERS = np.random.default_rng(8).standard_normal(COUNT)
TABLE = polars.DataFrame(
    {
        "size": NUMBERS.tolist(),
        "city": [["Bern", "Oslo", None][k % 3] for k in range(COUNT)],
        "kind": ["small" if x < 0 else "large" for x in NUMBERS],
        "price": (3.0 * NUMBERS + 50.0).tolist(),
    }
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Runs of a classification, a regression and images."""
    folder = tmp_path_factory.mktemp("runs")
    TABLE.write_csv(folder / "table.csv")
    settings = ["--quiet", "--epochs", 2, "--hidden", 5, "--recipe", "none"]
    for name, options in {
        "classes": ["--data", folder / "table.csv", "--target", "kind"],
        "numbers": ["--data", folder / "table.csv", "--target", "price"],
        "images": [],
    }.items():
        assert ended("train", *settings, *options, "--output", folder / name) == 0
    return folder


def printed(capsys, *arguments):
    """Return what a command prints."""
    capsys.readouterr()
    assert ended(*arguments) == 0
    return capsys.readouterr().out


def rows(capsys, folder, path):
    """Return the rows that `predict` prints, below the header."""
    text = printed(capsys, "predict", folder, path)
    return [*csv.reader(io.StringIO(text))][1:]


def test_predictions_are_those_of_the_command(capsys, folders):
    run, path = load_run(folders / "classes"), folders / "table.csv"
    expected = rows(capsys, folders / "classes", path)
    assert run.predict(path).tolist() == [row[0] for row in expected]
    probabilities = [[float(p) for p in row[1:]] for row in expected]
    np.testing.assert_array_equal(run.predict_proba(TABLE), probabilities)
    assert run.preparation.class_labels == ("large", "small")


def test_numbers_are_in_their_units(capsys, folders):
    run = load_run(str(folders / "numbers"), get_backend("numpy"))
    found = run.predict(TABLE.drop("price"))
    expected = rows(capsys, folders / "numbers", folders / "table.csv")
    assert found.tolist() == [float(row[0]) for row in expected]
    assert abs(found.mean() - 50.0) < 5.0
    with pytest.raises(ValueError, match="regression, which has no probabilities; use predict"):
        run.predict_proba(TABLE)


@pytest.mark.parametrize(
    "data", [3, None, [[1.0, 2.0]], object()], ids=lambda value: type(value).__name__
)
def test_what_is_no_data_is_refused(folders, data):
    with pytest.raises(TypeError, match=type(data).__name__):
        load_run(folders / "images").predict(data)


def test_arrays_of_any_library_are_taken(folders, backend):
    images = load_dataset("digits").test.inputs[:20]
    run = load_run(folders / "images")
    array = backend.asarray(images)
    np.testing.assert_array_equal(run.predict(array), run.predict(images))
    np.testing.assert_array_equal(run.predict_proba(array), run.predict_proba(images))


def test_a_run_is_shown_without_its_numbers(folders):
    shown = repr(load_run(folders / "images"))
    assert "SavedRun(plan=Plan(options=Options(data='digits'" in shown
    assert str(folders / "images") in shown
    assert "array(" not in shown


def test_measures_are_those_of_the_command(capsys, folders):
    run = load_run(folders / "classes")
    assert run.evaluate() == json.loads(printed(capsys, "evaluate", "--json", folders / "classes"))
    other = folders / "other.csv"
    TABLE.head(20).write_csv(other)
    said = printed(capsys, "evaluate", "--json", folders / "classes", "--data", other)
    assert run.evaluate(TABLE.head(20)) == run.evaluate(other) == json.loads(said)
