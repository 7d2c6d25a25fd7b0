"""The predictions of a row: the same whatever rows, columns and format its file has.

Trained in reproducible arithmetic, whose bits do not depend on the other examples of a batch.
"""

import csv
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cli.conftest import ended

polars = pytest.importorskip("polars")

COUNT = 84
generator = np.random.default_rng(3)


def some(values, missing):
    """Values, of which every so many-th is missing."""
    return [None if k % missing == missing - 1 else value for k, value in enumerate(values)]


def mixed():
    numbers = generator.normal(size=COUNT).round(3).tolist()
    colors = [("red", "green", "no", "1")[k] for k in generator.integers(0, 4, COUNT)]
    return {
        "number": some(numbers, 9),
        "color": some(colors, 7),
        "flag": [bool(flag) for flag in generator.integers(0, 2, COUNT)],
        "count": generator.integers(0, 50, COUNT).tolist(),
        "binary": generator.integers(0, 2, COUNT).tolist(),
    }


def plain():
    columns = {"a": generator.normal(size=COUNT).tolist(), "b": list(map(float, range(COUNT)))}
    return columns | {"c": generator.integers(0, 2, COUNT).tolist()}


def pixels():
    """Images of 8 x 8, the first half of them black and white."""
    images = generator.integers(0, 256, (COUNT, 64))
    images[: COUNT // 2] = images[: COUNT // 2] > 127
    return {f"p{k}": column.tolist() for k, column in enumerate(images.T)}


TABLES = {"mixed": mixed(), "plain": plain(), "pixels": pixels()}


def write(path, table):
    """Write a table in the format of the path's end."""
    if path.suffix == ".parquet":
        polars.DataFrame(table).write_parquet(path)
    elif path.suffix == ".feather":
        polars.DataFrame(table).write_ipc(path)
    elif path.suffix == ".npy":
        np.save(path, np.array(list(table.values()), float).T)
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="," if path.suffix == ".csv" else "\t")
            writer.writerow(table)
            writer.writerows(zip(*table.values(), strict=True))
    return path


def done(*arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert ended(*arguments) == 0


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """Train on each of TABLES when it is first asked for; predict files with it."""
    folder = tmp_path_factory.mktemp("runs")
    options = ("--hidden", 3, "--epochs", 2, "--arithmetic", "reproducible", "--quiet")

    def run(name, file, table):
        if not (folder / name).exists():
            data = write(
                folder / f"{name}.csv", TABLES[name] | {"y": [k % 2 for k in range(COUNT)]}
            )
            done("train", "--data", data, *options, "--output", folder / name)
        done("predict", folder / name, write(folder / file, table), "--output", folder / "p.csv")
        return (folder / "p.csv").read_text().splitlines()[1:]

    whole = {name: run(name, "whole.csv", table) for name, table in TABLES.items()}
    return run, whole


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixed", "plain", pytest.param("pixels", marks=pytest.mark.slow)])
@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_predictions_depend_on_their_row_alone(predicted, name, data):
    run, whole = predicted
    assert len(whole[name]) == COUNT
    chosen = data.draw(st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=5, unique=True))
    columns = data.draw(st.permutations(list(TABLES[name])))
    form = data.draw(st.sampled_from(["csv", "tsv", "parquet", "feather"]))
    part = {column: [TABLES[name][column][row] for row in chosen] for column in columns}
    if form in ("parquet", "feather"):  # which has a dtype for columns without any value, too
        kinds = polars.DataFrame(TABLES[name]).schema
        part = polars.DataFrame(part, schema={column: kinds[column] for column in columns})
    assert run(name, f"part.{form}", part) == [whole[name][row] for row in chosen]


@pytest.mark.parametrize("name", ["plain", "pixels"])
@given(rows=st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=5, unique=True))
@settings(deadline=None, max_examples=12)
def test_numbers_of_a_table_are_the_same_in_an_array(predicted, name, rows):
    run, whole = predicted
    part = {column: [values[row] for row in rows] for column, values in TABLES[name].items()}
    assert run(name, "part.npy", part) == [whole[name][row] for row in rows]


def test_a_row_that_counts_is_a_row(tmp_path):
    """Of a table without a header, as training's was."""
    rows = [[k % 5, k % 3, k % 7, k % 2] for k in range(COUNT)]
    lines = [",".join(map(str, row)) for row in rows]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    (tmp_path / "new.csv").write_text("0,1,2\n4,2,6\n")
    done("train", "--data", tmp_path / "table.csv", "--epochs", 1, "--output", tmp_path / "run")
    done("predict", tmp_path / "run", tmp_path / "new.csv", "--output", tmp_path / "p.csv")
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 1 + 2


def test_a_row_that_counts_is_a_row_where_training_had_arrays(tmp_path, capsys):
    rows = np.array([[k % 5, k % 3, k % 7] for k in range(COUNT)], float)
    np.savez(tmp_path / "table.npz", X=rows, y=np.arange(COUNT) % 2)
    (tmp_path / "new.csv").write_text("0,1,2\n4,2,6\n")
    np.save(tmp_path / "new.npy", np.array([[0.0, 1, 2], [4, 2, 6]]))
    options = ("--epochs", 1, "--arithmetic", "reproducible", "--output", tmp_path / "run")
    done("train", "--data", tmp_path / "table.npz", *options)
    for form in ("npy", "csv"):
        new, output = tmp_path / f"new.{form}", tmp_path / f"p-{form}.csv"
        done("predict", tmp_path / "run", new, "--output", output)
    assert "new.csv: the first line, 0,1,2, is an example" in capsys.readouterr().err
    assert (tmp_path / "p-csv.csv").read_text() == (tmp_path / "p-npy.csv").read_text()
