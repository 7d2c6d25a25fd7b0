"""`plot`, and the displays of runs in Python: what they show is what a run reached."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from pluggable_mlp import (
    ConfusionMatrixDisplay,
    PredictionErrorDisplay,
    TrainingCurveDisplay,
    WeightsDisplay,
)
from pluggable_mlp.backends import get_backend
from pluggable_mlp.data import load_dataset
from pluggable_mlp.figures.report import figures_of, learning_curves
from pluggable_mlp.runs.predict import load_run
from tests.cli.saved_runs import FIGURES, content, lines

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 (only if it is there)

pytestmark = pytest.mark.usefixtures("figures_are_closed")


def points(ax):
    return np.asarray(ax.collections[0].get_offsets())


@pytest.mark.parametrize("name", FIGURES)
def test_plot_writes_images(command, folders, tmp_path, name):
    options, suffix, start = ([], "png", b"\x89PNG")
    if name == "labels":
        options, suffix, start = ["--format", "svg"], "svg", b"<?xml"
    outcome = command("plot", folders / name, "--output", tmp_path, *options)
    assert outcome.code == 0, outcome.err
    files = [tmp_path / f"{figure}.{suffix}" for figure in FIGURES[name]]
    assert outcome.out.split() == [str(file) for file in files]
    assert all(file.read_bytes().startswith(start) for file in files)
    assert plt.get_fignums() == []


def test_a_run_may_still_be_training(folders, tmp_path):
    """Then it has metrics, but no model; a value that is no number is left out of its curve."""
    history = lines(folders / "numbers")
    history[1]["validation_r2"] = None
    text = "".join(f"{json.dumps(line)}\n" for line in history)
    (tmp_path / "metrics.jsonl").write_text(text)
    (line,) = TrainingCurveDisplay.from_run(str(tmp_path), metric="r2").lines_
    expected = [history[0]["validation_r2"], np.nan, history[2]["validation_r2"]]
    np.testing.assert_array_equal(line.get_ydata(), expected)


def test_what_a_run_does_not_have_is_named(command, folders, tmp_path):
    np.savez(tmp_path / "data.npz", X=np.arange(70.0)[:, None], y=np.arange(70) % 2)
    given = ("train", "--quiet", "--data", tmp_path / "data.npz", "--epochs", 1, "--test-share", 0)
    assert command(*given, "--output", tmp_path / "run").code == 0
    for call, words in (
        (lambda: ConfusionMatrixDisplay.from_run(folders / "numbers"), "regression, which has no"),
        (lambda: PredictionErrorDisplay.from_run(folders / "numbers"), "expected one of y1, y2"),
        (
            lambda: ConfusionMatrixDisplay.from_run(tmp_path / "run"),
            "has no examples for testing",
        ),
        (
            lambda: TrainingCurveDisplay.from_run(folders),
            "metrics.jsonl has 0 epochs, expected 1 or more",
        ),
        (lambda: WeightsDisplay.from_run(folders), "config.json"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    assert plt.get_fignums() == []
    assert command("plot", tmp_path / "run").out.split() == [
        str(tmp_path / "run" / "plots" / f"{name}.png") for name in FIGURES["labels"]
    ]


def test_the_figures_of_a_command_are_the_displays(folders):
    """Of a run with two outputs: each has its residuals."""
    run = load_run(folders / "numbers", get_backend("numpy"))
    figures = dict(figures_of(run))
    assert [*figures] == FIGURES["numbers"]
    loss, r2 = figures["learning-curves"].axes
    expected = {ax: TrainingCurveDisplay.from_run(folders / "numbers", metric=metric).lines_
                for ax, metric in ((loss, "loss"), (r2, "r2"))}  # fmt: skip
    for ax, expected_lines in expected.items():
        assert [line.get_ydata().tolist() for line in ax.lines] == [
            line.get_ydata().tolist() for line in expected_lines
        ]
        kept = content(folders / "numbers", "summary.json")["kept_epoch"]
        assert [line.get_markevery() for line in ax.lines if line.get_marker() == "o"] == [
            [kept - 1]
        ]
    for ax in figures["residuals"].axes:
        display = PredictionErrorDisplay.from_run(folders / "numbers", output=ax.get_title())
        assert points(ax).tolist() == points(display.ax_).tolist()
    image = figures["first-layer"].axes[0].images[0].get_array()
    np.testing.assert_array_equal(image, run.parameters[0]["W"].T)


def test_a_confusion_matrix_has_a_row_for_each_true_class(folders):
    inputs, targets = load_dataset("digits").test
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (targets, load_run(folders / "images").predict(inputs)), 1)
    found = ConfusionMatrixDisplay.from_run(folders / "images").confusion_matrix
    np.testing.assert_array_equal(found, expected)
    assert (expected != expected.T).any()


def test_the_first_layer_of_pixels_is_shown_as_images(folders):
    """Nine of 8 x 8, with a gap between them."""
    assert WeightsDisplay.from_run(folders / "images").im_.get_array().shape == (26, 26)


def test_a_square_count_of_named_features_makes_no_images(command, tmp_path):
    """Sixteen: a category of two values becomes two."""
    names = [*(f"c{k}" for k in range(14)), "d"]
    columns = [[*(f"{(k * n) % 11}" for n in range(1, 15)), "ab"[k % 2]] for k in range(70)]
    rows = "\n".join(",".join([*row, str(k % 2)]) for k, row in enumerate(columns))
    (tmp_path / "table.csv").write_text(",".join([*names, "class"]) + f"\n{rows}\n")
    given = ("--data", tmp_path / "table.csv", "--hidden", 4, "--epochs", 1, "--recipe", "none")
    assert command("train", *given, "--output", tmp_path / "run").code == 0
    ax = WeightsDisplay.from_run(tmp_path / "run").ax_
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    assert ticks == [*names[:-1], "d=a", "d=b"]


@pytest.mark.parametrize(
    ("losses", "labels"),
    [
        ((0.46, 0.41), None),  # less than a power of ten apart: as it falls
        ((0.5, 0.03), ["0.05", "0.1", "0.2", "0.5"]),
        ((300.0, 0.002), ["0.01", "0.1", "1", "10", "100"]),
        ((0.5, 0.0), None),
    ],
)
def test_the_axis_of_losses_has_numbers_in_full(tmp_path, losses, labels):
    rest = {"seconds": 1.0, "parameters_sha256": 64 * "0"}
    lines = [json.dumps({"epoch": k, "train_loss": of} | rest) for k, of in enumerate(losses, 1)]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    run = SimpleNamespace(folder=tmp_path, summary={"kept_epoch": 1})
    (ax,) = learning_curves([run]).axes
    low, high = ax.get_ylim()
    ticks = [*zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)]
    shown = [of.get_text() for at, of in ticks if low <= at <= high]
    assert ax.get_yscale() == ("linear" if labels is None else "log")
    assert not [of.get_text() for of in ax.get_yticklabels(minor=True) if of.get_text()]
    assert len(shown) >= 3
    assert all(re.fullmatch(r"[\d.]+", of) for of in shown)
    assert labels is None or shown == labels


@pytest.mark.parametrize("name", ["plot", "report"])
def test_a_place_that_cannot_be_written_is_named(command, folders, tmp_path, name):
    place = tmp_path / "file" / "place"
    place.parent.write_text("")
    outcome = command(name, folders / "labels", "--output", place)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"--output {place} cannot be written: Not a directory\n" in outcome.err


def test_members_have_no_first_layer_of_one_network(command, tmp_path):
    np.savez(tmp_path / "data.npz", X=np.arange(70.0)[:, None], y=np.arange(70) % 2)
    given = ("--data", tmp_path / "data.npz", "--recipe", "realmlp-td-s:members=2", "--epochs", 1)
    assert command("train", "--quiet", *given, "--output", tmp_path / "run").code == 0
    outcome = command("plot", tmp_path / "run")
    assert (outcome.code, "first-layer" in outcome.out) == (0, False), outcome.err
    assert command("report", tmp_path / "run").code == 0
