"""The benchmarks of networks for tables run from end to end, on small tables; no time decides."""

import json
from importlib import import_module

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("polars")
from benchmarks import score_table, scores, table_bits  # noqa: E402  # they import pandas

ROWS = 420
"""Of which four fifths, the training part, are more than a batch."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of data with tables that have the names of adult's and a column of each kind."""
    (tmp_path / "tables").mkdir()
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        age = rng.integers(17, 90, ROWS)
        income = np.where(age + rng.normal(0, 9, ROWS) > 45, ">50K", "<=50K")
        table = {"age": age, "work": rng.choice(["a", "b", "c"], ROWS), "income": income}
        table["sex"] = rng.choice(["Male", "Female"], ROWS)
        pd.DataFrame(table).to_csv(tmp_path / "tables" / f"adult-{part}.csv.gz", index=False)
    monkeypatch.setenv("PLUGGABLE_MLP_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def call(monkeypatch, capsys):
    """A function that calls the `main` of a benchmark; it returns the status and what was said."""

    def called(module, *arguments):
        monkeypatch.setattr("sys.argv", [module.__name__, *map(str, arguments)])
        return module.main(), capsys.readouterr().out

    return called


def test_scores_are_computed_once_and_shown_as_a_table(folder, call):
    output = folder / "scores.jsonl"
    asked = ["--data", "adult", "iris", "--models", "linear", "--output", output]
    call(scores, *asked, "--seeds", 0, 1)
    before = output.read_text()
    results = [json.loads(line) for line in before.splitlines()]
    assert len({(of["data"], of["model"], of["seed"]) for of in results}) == len(results) == 4
    assert all(0.7 < of["score"] <= 1.0 and of["seconds"] > 0.0 for of in results)
    assert {of["rows"] for of in results if of["data"] == "adult"} == {ROWS}
    call(scores, *asked, "--seeds", 1)
    assert output.read_text() == before
    _, shown = call(scores, "--table", "--output", output)
    assert shown.splitlines()[0] == "| data | linear |"
    assert [line.split(" | ")[0] for line in shown.splitlines()[2:]] == [
        "| adult",
        "| iris",
        "| mean",
        "| adult, s",
    ]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("scores", ["--data", "adult", "--models", "linear"]),
        ("table_bits", []),
        ("table_times", []),
    ],
)
def test_a_benchmark_without_its_table_says_what_to_set(
    name, arguments, call, tmp_path, monkeypatch, capsys
):
    if name == "table_times":
        pytest.importorskip("torch")
    module = import_module(f"benchmarks.{name}")
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "tables" / "adult-train.csv.gz"
    for folders, words in {
        "": "PLUGGABLE_MLP_DATA is not set; set it to a folder with tables/adult-train.csv.gz",
        str(tmp_path): f"{place} is not there; set PLUGGABLE_MLP_DATA to a folder with",
    }.items():
        monkeypatch.setenv("PLUGGABLE_MLP_DATA", folders)
        with pytest.raises(SystemExit) as ended:
            call(module, *arguments)
        assert ended.value.code == 2
        assert words in capsys.readouterr().err


def test_a_score_is_the_mean_of_the_seeds_with_its_standard_error():
    results = [
        {"data": "adult", "model": "x", "score": 0.8, "seconds": 2.0},
        {"data": "adult", "model": "x", "score": 0.9, "seconds": 4.0},
        {"data": "adult", "model": "y", "score": 0.5, "seconds": 1.0},
        {"data": "b", "model": "x", "score": 0.1, "seconds": 9.0, "rmse": 12.0},
    ]
    assert score_table.score_table(results).splitlines() == [
        "| data | x | y |",
        "| --- | --- | --- |",
        "| adult | 0.8500 ± 0.05 | 0.5000 (1) |",
        "| b | 0.1000 (1) |  |",
        "| b, RMSE | 12 (1) |  |",
        "| mean | 0.4750 |  |",
        "| adult, s | 3.0 | 1.0 |",
    ]


def test_bits_of_libraries_are_compared(folder, call, monkeypatch):
    status, shown = call(table_bits, "--epochs", 1, "--backends", "numpy")
    *lines, last = shown.splitlines()
    assert (status, last) == (0, "the same bits")
    assert [line.partition(":")[0] for line in lines] == ["numpy, native", "numpy, reproducible"]
    monkeypatch.setattr(table_bits, "fitted", lambda _, **settings: settings["backend"])
    status, shown = call(table_bits, "--backends", "numpy", "torch")
    assert (status, shown.splitlines()[-1]) == (1, "the bits differ")
