"""`pluggable-mlp data`: how a file is prepared, and how that of a saved run was."""

import json
import re
import statistics

import numpy as np
import pytest

polars = pytest.importorskip("polars")

COUNT = 70
pytestmark = pytest.mark.filterwarnings("ignore::pluggable_mlp.data.DataWarning")

PLAIN = ("--recipe", "none")
ALL = ("--test-share", 0, *PLAIN)
TRAIN = ("--epochs", 1, "--hidden", 2, "--quiet", *PLAIN)


def columns():
    generator = np.random.default_rng(4)
    ages = generator.integers(18, 80, COUNT).tolist()
    cities = ["Bern", "Oslo", "Rome"] * COUNT
    return {
        "id": [f"n{k}" for k in range(COUNT)],
        "age": [None if k % 10 == 3 else age for k, age in enumerate(ages)],
        "city": [None if k % 35 == 0 else cities[k] for k in range(COUNT)],
        "income": generator.normal(size=COUNT).round(2).tolist(),
        "buys": [("no", "yes")[k % 2] for k in range(COUNT)],
    }


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    polars.DataFrame(columns()).write_csv(path)
    return path


def shown(outcome):
    """The fields of the table's rows by their first one, and the lines that follow it."""
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    rows = [re.split(r"\s{2,}", line.rstrip()) for line in lines]
    width = next(k for k, line in enumerate(lines) if re.match(r"\d+ features?, ", line))
    assert rows[0] == ["column", "missing", "range", "becomes"]
    return {name: fields for name, *fields in rows[1:width]}, lines[width:]


def test_every_column_is_shown_with_what_becomes_of_it(command, table):
    rows, facts = shown(command("data", table, *ALL))
    values = columns()
    ages = [age for age in values["age"] if age is not None]
    assert rows == {
        "id": ["0", "left out: 70 different texts, such as 'n0'"],
        "age": [
            "7",
            f"{min(ages)} to {max(ages)}",
            f"number; missing ones become {statistics.median(ages):g}, and a feature indicates "
            "them",
        ],
        "city": [
            "2",
            "one of 3 categories: Bern, Oslo, Rome; missing ones are in none, and a feature "
            "indicates them",
        ],
        "income": ["0", f"{min(values['income']):g} to {max(values['income']):g}", "number"],
    }
    assert facts == [
        "7 features, standard scaling",
        "classification of 2 classes: no, yes",
        "examples: 70 train",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target", "income", *ALL], "regression: income, standard scaling"),
        (["--target", "city,income"], None),
        (["--scaling", "minmax", *ALL], "7 features, minmax scaling"),
        (["--target", "age", "--task", "regression", *ALL], None),
        (["--validation", 0.5, "--test-share", 0.2], "examples: 28 train, 14 test, 28 validation"),
        (["--header", "no"], None),
    ],
)
def test_the_options_of_train_hold(command, table, options, words):
    outcome = command("data", table, *options, *PLAIN)
    trained = command("train", "--data", table, *options, *TRAIN)
    assert outcome.code == trained.code == (0 if words else 2)
    assert outcome.err == trained.err
    if words:
        assert words in shown(outcome)[1]


def test_a_run_shows_the_preparation_that_it_keeps(command, table, tmp_path):
    run = tmp_path / "run"
    assert command("train", "--data", table, *TRAIN, "--output", run).code == 0
    before = command("data", table, *PLAIN).out
    table.unlink()
    assert command("data", run).out == before
    config = json.loads((run / "config.json").read_text())
    (age,) = (column for column in config["columns"] if column["name"] == "age")
    age["fill"] += 1
    (run / "config.json").write_text(json.dumps(config))
    edited = command("data", run)
    assert edited.code == 2
    assert "config.json is not what the run was trained with" in edited.err


def test_arrays_are_one_row(command, tmp_path):
    rows, facts = shown(command("data", "digits"))
    assert rows == {"all inputs": ["0", "0 to 1", "64 features, 8-bit pixels divided by 16"]}
    assert facts[1:] == [
        "classification of 10 classes: 0, 1, 2, 3, 4, 5, …", "examples: 1541 train, 256 test"
    ]  # fmt: skip
    np.savez(tmp_path / "a.npz", X=np.eye(14), y=np.linspace(0, 1, 14))
    rows, facts = shown(command("data", tmp_path / "a.npz"))
    assert rows == {"all inputs": ["0", "0 to 1", "14 features, not scaled"]}
    assert facts[1] == "regression: y, standard scaling"


def test_what_does_not_fit_is_refused(command, table, tmp_path):
    outcome = command("data", tmp_path / "absent.csv")
    assert outcome.code == 2
    assert "absent.csv: there is no such file" in outcome.err
    run = tmp_path / "run"
    assert command("train", "--data", table, *TRAIN, "--output", run).code == 0
    outcome = command("data", run, "--target-scaling", "none")
    assert outcome.code == 2
    assert f"target_scaling is 'none', expected none for {run}, a run" in outcome.err
