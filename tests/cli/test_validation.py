"""The validation part: watched while training, kept apart from training and testing."""

import hashlib
import json
import math

import numpy as np
import pytest

from pluggable_mlp.data import load_dataset
from tests.cli.saved_runs import content, lines

TRAIN = ("train", "--hidden", 8, "--epochs", 3)


def rows(array):
    return {tuple(row) for row in array.tolist()}


def test_the_test_part_decides_nothing(command, tmp_path):
    """Wrong test labels change the test score alone."""
    train, test = load_dataset("digits").train, load_dataset("digits").test
    options = ("--optimizer", "adam", "--validation", 0.2, "--early-stopping", 1)
    scores, rest = [], []
    for shift in (0, 1):
        data, folder = tmp_path / f"{shift}.npz", tmp_path / str(shift)
        arrays = {"X": train.inputs / 16, "y": train.targets, "X_test": test.inputs / 16}
        np.savez(data, **arrays, y_test=(test.targets + shift) % 10)
        command(*TRAIN, *options, "--data", data, "--output", folder)
        summary = content(folder, "summary.json")
        scores.append(summary["test_accuracy"])
        rest.append((summary["parameters_sha256"], [*map(_without_time, lines(folder))]))
    assert rest[0] == rest[1]
    assert scores[0] != scores[1]


def _without_time(line):
    return {name: value for name, value in line.items() if name != "seconds"}


def test_what_is_kept_for_validation_trains_nothing(command, tmp_path):
    """The run is that of a file that lacks these examples."""
    parts = load_dataset("digits", validation=0.25)
    splits = {"": parts.train, "_test": parts.test}
    arrays = {f"{k}{part}": a for part, of in splits.items() for k, a in zip("Xy", of, strict=True)}
    np.savez(
        tmp_path / "rest.npz",
        **arrays | {"X": parts.train.inputs / 16, "X_test": parts.test.inputs / 16},
    )
    command(*TRAIN, "--validation", 0.25, "--output", tmp_path / "run")
    command(*TRAIN, "--data", tmp_path / "rest.npz", "--output", tmp_path / "rest")
    hashes = [
        content(tmp_path / name, "summary.json")["parameters_sha256"] for name in ("run", "rest")
    ]
    assert hashes[0] == hashes[1]
    assert all("validation_loss" in line for line in lines(tmp_path / "run"))
    assert not any("validation_loss" in line for line in lines(tmp_path / "rest"))


def test_the_words_that_draw_it_are_those_of_philox():
    """NumPy's Philox with the key (seed, 3): the least word is first, class after class."""
    seed, share = 7, 0.25
    whole, parts = (load_dataset("digits", validation=of, seed=seed) for of in (None, share))
    labels = whole.train.targets.tolist()
    words = np.random.Philox(key=[seed, 3], counter=[0, 0, 0, 0]).random_raw(len(labels)).tolist()
    order = sorted(range(len(labels)), key=lambda place: (labels[place], words[place]))
    drawn = sorted(
        order[n] for n in range(len(order)) if math.floor((n + 1) * share) > math.floor(n * share)
    )
    kept = sorted({*range(len(labels))} - {*drawn})
    for name, places in (("validation", drawn), ("train", kept)):
        assert parts.splits[name].inputs.tolist() == whole.train.inputs[places].tolist()
        assert parts.splits[name].targets.tolist() == whole.train.targets[places].tolist()
    places = hashlib.sha256(json.dumps(drawn).encode()).hexdigest()
    assert places == "5f81ba0fe929e082f77b0869088b9627f8fdbeb4eed6e4df60cc9a774f0ec7aa"


GENERATOR = np.random.default_rng(2)
X, X_VALIDATION = GENERATOR.normal(size=(2, 140, 3))
TARGETS = {
    "classes": lambda x: (x @ [1.0, -2.0, 0.5] > 3.0).astype(int),  # few are
    "numbers": lambda x: 5000.0 + 1000.0 * (x @ [1.0, -2.0, 0.5]) + 300.0 * x[:, 0] ** 2,
}


@pytest.fixture
def validated(command, tmp_path):
    """Train; return the last epoch's measures, and the predictions of the validation part."""

    def run(kind, *options):
        y, y_validation = (TARGETS[kind](x) for x in (X, X_VALIDATION))
        arrays = {"X": X, "y": y, "X_test": X[:20], "y_test": y[:20]}
        np.savez(tmp_path / "d.npz", **arrays, X_validation=X_VALIDATION, y_validation=y_validation)
        np.save(tmp_path / "x.npy", X_VALIDATION)
        given = ("--epochs", 5, "--hidden", 4, "--learning-rate", 0.1, *options)
        outcome = command("train", "--data", tmp_path / "d.npz", *given, "--output", tmp_path / "r")
        assert outcome.code == 0, outcome.err
        predicted = command("predict", tmp_path / "r", tmp_path / "x.npy").out.splitlines()
        rows = [[float(text) for text in line.split(",")] for line in predicted[1:]]
        return lines(tmp_path / "r")[-1], np.asarray(rows), y_validation

    return run


def test_class_weights_are_for_training_alone(validated):
    measured, predicted, labels = validated("classes", "--class-weight", "balanced")
    losses = -np.log(predicted[np.arange(140), 1 + labels])
    weights = 1.0 / np.bincount(labels)[labels]
    assert measured["validation_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert abs(np.average(losses, weights=weights) / np.mean(losses) - 1.0) > 0.1


def test_errors_are_in_the_units_of_the_targets(validated):
    measured, predicted, numbers = validated("numbers")
    errors = predicted[:, 0] - numbers
    assert measured["validation_mean_absolute_error"] == pytest.approx(
        np.mean(np.abs(errors)), rel=1e-4
    )
    r2 = 1.0 - np.sum(errors**2) / np.sum((numbers - np.mean(numbers)) ** 2)
    assert measured["validation_r2"] == pytest.approx(r2, rel=1e-4)
    assert measured["validation_mean_absolute_error"] > 10.0


@pytest.fixture
def own(tmp_path):
    """A data set with a validation part of its own."""
    parts = load_dataset("digits", validation=0.1)
    arrays = {}
    for name, split in parts.splits.items():
        end = "" if name == "train" else f"_{name}"
        arrays |= {f"X{end}": split.inputs / 16, f"y{end}": split.targets}
    np.savez(tmp_path / "own.npz", **arrays)
    return tmp_path / "own.npz"


def test_the_data_sets_own_part_is_used(command, own, tmp_path):
    command(*TRAIN, "--data", own, "--output", tmp_path / "own")
    command(*TRAIN, "--validation", 0.1, "--output", tmp_path / "share")
    measured = [
        [line["validation_loss"] for line in lines(tmp_path / name)] for name in ("own", "share")
    ]
    assert measured[0] == measured[1]
    refused = command(*TRAIN, "--data", own, "--validation", 0.1)
    assert refused.code == 2
    assert "has a validation part of its own; leave --validation out, or give 0" in refused.err
    assert (
        command(*TRAIN, "--data", own, "--validation", 0, "--output", tmp_path / "none").code == 0
    )
    assert "validation_loss" not in lines(tmp_path / "none")[0]


EARLY = ("--validation", 0.2, "--optimizer", "adam", "--learning-rate", 0.02)


def test_early_stopping_restores_the_best_weights(command, tmp_path):
    """What a run of so many epochs, and no more, would have reached."""
    early, short = tmp_path / "early", tmp_path / "short"
    given = ("train", "--hidden", 20, *EARLY)
    outcome = command(*given, "--epochs", 200, "--early-stopping", 3, "--output", early)
    summary, losses = (
        content(early, "summary.json"),
        [line["validation_loss"] for line in lines(early)],
    )
    best = 1 + losses.index(min(losses))
    assert summary["epochs"] == len(losses) == best + 3 < 200
    assert summary["kept_epoch"] == best
    assert summary["validation_loss"] == min(losses)
    assert f"after {best + 3} epochs, the best of which, {best}, is kept," in outcome.out
    assert command(*given, "--epochs", best, "--output", short).code == 0
    reached = content(short, "summary.json")
    assert reached["parameters_sha256"] == summary["parameters_sha256"]
    assert reached["test_loss"] == summary["test_loss"]
    assert reached["train_loss"] == summary["train_loss"]
    assert json.loads(command("evaluate", "--json", early).out)["loss"] == summary["test_loss"]


def test_a_schedule_follows_the_validation_loss(command, tmp_path):
    """A plateau that takes any validation loss for no better makes the rate 0 after two epochs."""
    given = ("--schedule", "plateau:patience=0,factor=0,threshold=0.9", "--epochs", 6)
    command("train", *given, "--validation", 0.2, "--output", tmp_path / "run")
    losses = [line["validation_loss"] for line in lines(tmp_path / "run")]
    assert losses[0] != losses[1] == losses[2] == losses[5]
    # As the training loss of the first epoch is taken before its steps, both would not do alike.
    command("train", "--schedule", "plateau:patience=0,factor=0", *EARLY[:2], "--epochs", 30,
            "--learning-rate", 1.5, "--output", tmp_path / "steep")  # fmt: skip
    steep = lines(tmp_path / "steep")
    first = next(
        k for k in range(1, 30) if steep[k]["validation_loss"] >= steep[k - 1]["validation_loss"]
    )
    hashes = [line["parameters_sha256"] for line in steep]
    assert hashes[first] == hashes[first + 1] == hashes[-1]
    assert len(set(hashes[: first + 1])) == first + 1
