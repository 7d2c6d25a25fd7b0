"""Tables of any columns, `--target` and `--scaling`, from `train` to `predict`."""

import csv
import gzip
import io
import json

import numpy as np
import pytest

from tests.cli.saved_runs import content

polars = pytest.importorskip("polars")

TRAIN = ("--epochs", 5, "--hidden", 8, "--learning-rate", 0.05, "--recipe", "none")
COUNT = 210


def columns():
    """Columns of a table of 210 rows: whether someone buys follows from the city and the age."""
    generator = np.random.default_rng(3)
    city = generator.choice(["Bern", "Oslo", "Rome"], COUNT)
    age = generator.integers(18, 80, COUNT)
    buys = np.where(age + 30 * (city == "Rome") > 55, "yes, now", "no")
    return {
        "age": ["" if k % 11 == 0 else str(n) for k, n in enumerate(age)],
        "city": ["NA" if k % 17 == 3 else str(name) for k, name in enumerate(city)],
        "buys": buys.tolist(),
        "income": [f"{n:.2f}" for n in generator.lognormal(10, 1, COUNT)],
        "pair": [str(k % 2) for k in range(COUNT)],
    }


def write(path, table, header=True, delimiter=","):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    if header:
        writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def rows(outcome):
    assert outcome.code == 0, outcome.err
    return list(csv.DictReader(io.StringIO(outcome.out)))


@pytest.fixture
def trained(told, tmp_path):
    """Train on a table; return the outcome and the run's folder."""

    def run(path, *options, folder="run"):
        outcome = told("train", "--data", path, *TRAIN, *options, "--output", tmp_path / folder)
        assert outcome.code == 0, outcome.err
        return outcome, tmp_path / folder

    return run


def test_texts_and_missing_values_are_learned_from(command, told, trained, tmp_path):
    path = write(tmp_path / "table.csv", columns())
    outcome, run = trained(path, "--target", "buys", "--epochs", 40)
    shown = outcome.out.splitlines()
    assert shown[0].startswith("age     number; missing ones become ")
    assert shown[1].startswith("city    one of 3 categories: Bern, Oslo, Rome; missing ones are in")
    assert shown[2:4] == ["income  number", "pair    number"]
    assert shown[4] == "8 features, standard scaling"
    assert "classification of 2 classes: no, yes, now" in shown
    config, summary = content(run, "config.json"), content(run, "summary.json")
    assert config["class_labels"] == ["no", "yes, now"]
    assert config["settings"]["scaling"] == config["scaling"]["kind"] == "standard"
    assert [column["kind"] for column in config["columns"]] == [
        "number", "category", "number", "number"
    ]  # fmt: skip
    assert summary["test_accuracy"] > 0.8
    assert (
        json.loads(command("evaluate", "--json", run).out)["accuracy"] == summary["test_accuracy"]
    )
    found = [row["prediction"] for row in rows(command("predict", run, path))]
    right = np.mean(np.asarray(found) == columns()["buys"])
    assert right > 0.8
    again = json.loads(told("evaluate", "--json", run, "--data", path).out)
    assert (again["examples"], again["accuracy"]) == (COUNT, right)
    assert command("verify", run).code == 0


@pytest.mark.parametrize("target", ["1", "a", "-3", "1,2"])
def test_the_target_of_later_files_is_found_by_its_name(told, trained, tmp_path, target):
    """However it was given for training: by its name or its place, alone or among several."""
    x = np.random.default_rng(0).normal(size=(COUNT, 3)).round(3)
    table = dict(zip("abc", x.T.tolist(), strict=True))
    path = write(tmp_path / "table.csv", table)
    moved = write(tmp_path / "moved.csv", {name: table[name] for name in "cba"})
    _, run = trained(path, "--target", target)
    named = "a,b" if "," in target else "a"
    assert content(run, "config.json")["settings"]["target"] == named
    measured = [told("evaluate", "--json", run, "--data", data).out for data in (path, moved)]
    assert measured[0] == measured[1]
    assert json.loads(measured[0])["examples"] == COUNT


def test_the_header_and_the_encoding_may_be_said(command, trained, tmp_path):
    """Years name columns here, and the file is not UTF-8; later files are read as it is."""
    text = "2020,2021,Köln\n" + "".join(f"{k},{k % 7},{'äö'[k % 2]}\n" for k in range(60))
    path = tmp_path / "years.csv"
    path.write_bytes(text.encode("latin-1"))
    outcome, run = trained(path, "--header", "yes", "--encoding", "latin-1")
    assert "classification of 2 classes: ä, ö" in outcome.out
    settings = content(run, "config.json")["settings"]
    assert (settings["header"], settings["encoding"]) == ("yes", "latin-1")
    assert len(rows(command("predict", run, path))) == 60
    outcome, _ = trained(path, "--encoding", "latin-1", "--header", "no", folder="bare")
    assert "classification of 3 classes: Köln, ä, ö" in outcome.out
