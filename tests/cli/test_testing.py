"""The test part: of the data, a share of them, other data by `--test`, or none."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from pluggable_mlp.data import load_dataset

pytest.importorskip("polars")

COUNT = 140
GENERATOR = np.random.default_rng(8)
NUMBERS = GENERATOR.normal(size=(COUNT, 2)).round(3)
CITIES = np.array(["Bern", "Oslo", "Rome"])[GENERATOR.integers(0, 3, COUNT)]
CLASSES = np.where((NUMBERS[:, 0] > 0) ^ (CITIES == "Oslo"), "yes", "no")
TRAIN = ("--epochs", 2, "--hidden", 4, "--quiet", "--seed", 3, "--recipe", "none")


def write(path, rows, names=("a", "city", "b", "class")):
    """Write some rows of a table, its columns in the order of these names."""
    columns = {"a": NUMBERS[rows, 0], "b": NUMBERS[rows, 1], "city": CITIES[rows]}
    columns["class"] = CLASSES[rows]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(zip(*(columns[name].tolist() for name in names), strict=True))
    return path


@pytest.fixture
def files(tmp_path):
    """A table for training, and one for testing whose columns are in another order."""
    table = write(tmp_path / "own.csv", slice(0, 100))
    return table, write(tmp_path / "other.csv", slice(100, None), ("class", "b", "a", "city"))


def content(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def test_the_examples_of_another_file_are_for_testing(command, files, tmp_path):
    table, other = files
    arguments = ["--data", table, *TRAIN, "--target", "class"]
    outcome = command("train", *arguments, "--test", other, "--output", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    all_rows = command("train", *arguments, "--test-share", 0, "--output", tmp_path / "all")
    assert all_rows.code == 0, all_rows.err
    summary, without = (content(tmp_path / name, "summary") for name in ("run", "all"))
    assert summary["parameters_sha256"] == without["parameters_sha256"]  # of the same rows
    for measured in (
        command("evaluate", "--json", tmp_path / "run"),
        command("evaluate", "--json", tmp_path / "run", "--data", other),
        command("evaluate", "--json", tmp_path / "all", "--data", other),
    ):
        assert json.loads(measured.out)["examples"] == 40
        assert json.loads(measured.out)["loss"] == summary["test_loss"]
        assert json.loads(measured.out)["accuracy"] == summary["test_accuracy"]


def test_a_test_file_trains_nothing_and_scales_nothing(command, files, tmp_path):
    table, other = files
    tested = load_dataset(table, target="class", test=other)
    alone = load_dataset(table, target="class", test_share=0)
    np.testing.assert_array_equal(tested.train.inputs, alone.train.inputs)
    assert tested.preparation == replace(alone.preparation, examples={"train": 100, "test": 40})
    assert list(alone.splits) == ["train"]
    expected = (NUMBERS[100:] - NUMBERS[:100].mean(axis=0)) / NUMBERS[:100].std(axis=0)
    names = alone.preparation.feature_names
    places = [names.index(name) for name in ("a", "b")]
    np.testing.assert_allclose(tested.test.inputs[:, places], expected, rtol=1e-12)
    labels = [tested.class_labels[k] for k in tested.test.targets]
    assert labels == CLASSES[100:].tolist()


def test_the_certificate_holds_the_data_for_testing(command, files, tmp_path):
    table, other = files
    folder = tmp_path / "run"
    arguments = ["--data", table, *TRAIN, "--target", "class", "--test", other]
    assert command("train", *arguments, "--output", folder).code == 0
    certificate = content(folder, "certificate")
    assert certificate["settings"]["test"] == str(other)
    expected = load_dataset(table, target="class", test=other, seed=3, task=None).sha256()
    assert certificate["data_sha256"] == expected
    assert command("verify", folder).code == 0
    moved = other.rename(tmp_path / "moved.csv")
    lost = command("verify", folder)
    assert lost.code == 2
    assert "other.csv: there is no such file" in lost.err
    assert "or say with --data, and --test, where those of the run are" in lost.err
    assert lost.err == command("train", "--resume", folder).err
    assert command("verify", folder, "--test", moved).code == 0
    longer = command("train", "--resume", folder, "--epochs", 3, "--test", moved)
    assert longer.code == 0, longer.err
    write(moved, slice(101, None))
    for arguments in (["verify", folder, "--test", moved], ["evaluate", folder]):
        assert command(*arguments).code == 2
    refused = command("train", "--resume", folder, "--epochs", 4, "--test", moved)
    assert refused.code == 2
    assert "holds other data than the run was trained on" in refused.err


def test_a_run_without_a_test_part(command, files, tmp_path):
    table, _ = files
    folder = tmp_path / "run"
    outcome = command(
        "train", "--data", table, *TRAIN, "--test-share", 0, "--output", folder, "--target", "class"
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("train loss ")
    assert not [name for name in content(folder, "summary") if name.startswith("test_")]
    assert content(folder, "config")["settings"]["test_share"] == 0
    assert command("verify", folder).code == 0
    assert command("train", "--resume", folder, "--epochs", 3).code == 0
    refused = command("evaluate", folder)
    assert refused.code == 2
    assert "has no examples for testing" in refused.err
    assert "--data" in refused.err


def test_a_test_part_of_the_data_stays_the_only_one(command, files):
    for options in (["--test", files[1]], ["--test-share", 0.5], ["--test-share", 0]):
        outcome = command("train", "--data", "digits", *TRAIN, *options)
        assert outcome.code == 2
        assert f"has a test part of its own; leave {options[0]} out" in outcome.err
