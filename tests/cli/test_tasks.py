"""Classification, multilabel and regression from `train` to `predict`, by their targets or by name.

The oracles are scikit-learn's metrics of what `predict` wrote.
"""

import csv
import io
import json

import numpy as np
import pytest

from pluggable_mlp.data import DataError, load_dataset

metrics = pytest.importorskip("sklearn.metrics")

generator = np.random.default_rng(5)
INPUTS = generator.normal(size=(210, 4))
SUMS = INPUTS @ np.array([1.0, -2.0, 0.5, 0.0])
TARGETS = {
    "names": np.where(SUMS > 0, "über, 0", "not"),
    "labels": (INPUTS[:, :3] > 0.2).astype(int),
    "numbers": SUMS + 0.25,
    "rows": np.stack([SUMS, 2 - SUMS], axis=1),
    "counts": np.floor(np.abs(SUMS)),
    "codes": np.where(SUMS > 0, 7, 3),
}
TRAIN = ("--epochs", 20, "--learning-rate", 0.05, "--hidden", 8, "--quiet", "--recipe", "none")


@pytest.fixture
def trained(command, tmp_path):
    """Train on one of TARGETS; return the outcome, and what the files of the run say."""

    def run(name, *options):
        path, folder = tmp_path / f"{name}.npz", tmp_path / "run"
        np.savez(path, X=INPUTS, y=TARGETS[name], X_test=INPUTS[:70], y_test=TARGETS[name][:70])
        outcome = command("train", "--data", path, *TRAIN, *options, "--output", folder)
        assert outcome.code == 0, outcome.err
        summary = json.loads((folder / "summary.json").read_text())
        return outcome, json.loads((folder / "config.json").read_text()), summary

    return run


@pytest.fixture
def predicted(command, tmp_path):
    """Predict the test part; return the columns by name."""

    def run():
        np.save(tmp_path / "X.npy", INPUTS[:70])
        rows = list(
            csv.reader(io.StringIO(command("predict", tmp_path / "run", tmp_path / "X.npy").out))
        )
        return dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))

    return run


def numbers(columns, *names):
    return np.stack([np.asarray(columns[name], float) for name in names], axis=1)


def test_names_of_classes_are_given_back(trained, predicted):
    _, config, summary = trained("names")
    assert (config["task"], config["class_labels"]) == ("classification", ["not", "über, 0"])
    assert config["settings"]["loss"] == "softmax_cross_entropy"
    columns = predicted()
    assert list(columns) == ["prediction", "pnot", "püber, 0"]
    expected = metrics.accuracy_score(TARGETS["names"][:70], columns["prediction"])
    assert summary["test_accuracy"] == expected > 0.9
    f1 = metrics.f1_score(TARGETS["names"][:70], columns["prediction"], average="macro")
    assert summary["test_macro_f1"] == pytest.approx(f1, abs=1e-15)


def test_multilabel_targets(trained, predicted):
    _, config, summary = trained("labels")
    assert (config["task"], config["target_names"]) == ("multilabel", ["y1", "y2", "y3"])
    assert config["settings"]["loss"] == "sigmoid_cross_entropy"
    columns = predicted()
    assert list(columns) == ["y1", "y2", "y3", "py1", "py2", "py3"]
    said = numbers(columns, "y1", "y2", "y3")
    assert (said == (numbers(columns, "py1", "py2", "py3") > 0.5)).all()
    expected = metrics.accuracy_score(TARGETS["labels"][:70], said.astype(int))
    assert summary["test_accuracy"] == expected > 0.5
    truth = TARGETS["labels"][:70]
    assert summary["test_hamming_loss"] == metrics.hamming_loss(truth, said)
    f1 = metrics.f1_score(truth, said.astype(int), average="macro")
    assert summary["test_macro_f1"] == pytest.approx(f1, abs=1e-15)


@pytest.mark.parametrize(("name", "columns"), [("numbers", ["prediction"]), ("rows", ["y1", "y2"])])
def test_numbers_are_predicted(command, trained, predicted, tmp_path, name, columns):
    outcome, config, summary = trained(name)
    assert (config["task"], config["class_labels"]) == ("regression", None)
    assert outcome.out.startswith("test R² 0.9")
    found = predicted()
    assert list(found) == columns
    truth = TARGETS[name][:70].reshape(70, -1)
    answers = numbers(found, *columns)
    assert summary["test_r2"] == pytest.approx(metrics.r2_score(truth, answers), abs=1e-6)
    expected = metrics.mean_absolute_error(truth, answers)
    assert summary["test_mean_absolute_error"] == pytest.approx(expected, abs=1e-6)
    expected = metrics.root_mean_squared_error(truth, answers)
    assert summary["test_root_mean_squared_error"] == pytest.approx(expected, abs=1e-6)
    measured = json.loads(command("evaluate", "--json", tmp_path / "run").out)
    assert measured["r2"] == summary["test_r2"]
    again = json.loads(
        command("evaluate", "--json", tmp_path / "run", "--data", tmp_path / f"{name}.npz").out
    )
    assert again == measured
    assert command("verify", tmp_path / "run").code == 0
    command("predict", tmp_path / "run", tmp_path / "X.npy", "--output", tmp_path / "p.npy")
    array = np.load(tmp_path / "p.npy")
    assert array.shape == ((70,) if name == "numbers" else (70, 2))
    np.testing.assert_array_equal(array.reshape(70, -1), answers)


def test_whole_numbers_are_classes(trained):
    assert trained("codes")[1]["task"] == "classification"


def test_labels_have_their_numbers_in_a_table(command, trained, predicted, tmp_path):
    trained("labels")
    truth, said = TARGETS["labels"][:70], numbers(predicted(), "y1", "y2", "y3")
    table = command("evaluate", tmp_path / "run").out.partition("\n\n")[2]
    _, *lines = (line.split() for line in table.splitlines())
    scores = metrics.precision_recall_fscore_support(truth, said, zero_division=0)
    columns = np.stack([scores[3], said.sum(axis=0), *scores[:3]], axis=1)
    assert [name for name, *_ in lines] == ["y1", "y2", "y3"]
    np.testing.assert_allclose(
        np.array([values for _, *values in lines], float), columns, rtol=0, atol=5.1e-5
    )


def test_numbers_have_no_table(command, trained, tmp_path):
    trained("numbers")
    outcome = command("evaluate", tmp_path / "run")
    assert (outcome.code, "\n\n" in outcome.out) == (0, False)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b"], ["a", "b", "pa", "pb"]),
        (["a", "pa"], ["a", "pa", "p_a", "p_pa"]),
        (["a", "pa", "p_a"], ["a", "pa", "p_a", "p__a", "p__pa", "p__p_a"]),
        (["rediction"], ["prediction", "p_rediction"]),
    ],
)
def test_columns_of_predictions_have_names_of_their_own(command, tmp_path, names, expected):
    table = tmp_path / "table.csv"
    labels = INPUTS[:, : len(names)] > 0
    header = ",".join(["x", "z", *names])
    rows = np.column_stack([INPUTS[:, :2], labels])
    np.savetxt(table, rows, delimiter=",", header=header, comments="", fmt="%.17g")
    options = ("--target", ",".join(names), "--task", "multilabel", "--output", tmp_path / "run")
    assert command("train", "--data", table, *TRAIN, *options).code == 0
    outcome = command("predict", tmp_path / "run", table)
    assert outcome.code == 0, outcome.err
    header, *rows = csv.reader(io.StringIO(outcome.out))
    assert header == expected
    found = np.array(rows, float)
    assert (found[:, : len(names)] == (found[:, len(names) :] > 0.5)).all()


def test_a_class_may_have_any_name(command, tmp_path):
    labels = np.where(SUMS > 0, "rediction", "p_rediction")
    np.savez(tmp_path / "data.npz", X=INPUTS, y=labels)
    np.save(tmp_path / "X.npy", INPUTS)
    folder = tmp_path / "run"
    assert command("train", "--data", tmp_path / "data.npz", *TRAIN, "--output", folder).code == 0
    outcome = command("predict", folder, tmp_path / "X.npy")
    assert outcome.out.startswith("prediction,p_p_rediction,p_rediction\n")


RIDERS = np.random.default_rng(0).geometric(1 / 150, 6000)  # of each hour of a year


@pytest.fixture
def table(tmp_path):
    """Write a table whose last column is an array of integers; return its path."""

    def write(targets):
        path = tmp_path / "table.csv"
        rows = np.column_stack([np.sqrt(targets) % 3, np.arange(targets.size) % 7, targets])
        np.savetxt(path, rows, delimiter=",", header="a,b,riders", comments="", fmt="%.6g")
        return path

    return write


def test_counts_do_not_become_classes_without_a_word(command, table):
    assert 500 < np.unique(RIDERS).size < RIDERS.size / 5
    outcome = command("train", "--data", table(RIDERS), "--epochs", 1)
    assert outcome.code == 2
    span = f"{np.unique(RIDERS).size} different integers from {RIDERS.min()} to {RIDERS.max()}"
    assert f"{span} in 6000 examples, which may be amounts or classes" in outcome.err
    assert "choose --task regression or --task classification" in outcome.err


@pytest.mark.parametrize(
    ("options", "task"),
    [
        (["--task", "regression"], "regression"),
        (["--loss", "poisson"], "regression"),
        (["--task", "classification"], "classification"),
    ],
)
def test_who_says_the_task_is_not_asked(command, table, tmp_path, options, task):
    arguments = ["--data", table(RIDERS[:4000]), "--epochs", 1, "--hidden", "", "--recipe", "none"]
    outcome = command("train", *arguments, *options, "--output", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["task"] == task


EVEN = np.arange(600) % 30


@pytest.mark.parametrize(
    ("targets", "task"),
    [
        (EVEN, "classification"),
        (EVEN + 1, "classification"),
        (EVEN + 2, None),  # numbered from 2
        (EVEN * 2, None),  # with gaps
        (np.append(EVEN, [30, 30, 30]), "classification"),
        (EVEN % 20 * 50, "classification"),
        (np.arange(600) % 100, "classification"),
        (np.arange(600) ** 2, None),
        (EVEN / 1.0, "regression"),
        (EVEN / 4, "regression"),
        (EVEN > 3, "classification"),
        (EVEN.astype(str), "classification"),
        ((np.arange(2)[:, None] < EVEN).T, "multilabel"),
        ((np.arange(2)[:, None] < EVEN).T * 2, "regression"),
    ],
)  # fmt: skip
def test_the_task_of_targets(tmp_path, targets, task):
    path = tmp_path / "data.npz"
    np.savez(path, X=np.eye(len(targets), 2), y=targets)
    if task is None:
        with pytest.raises(DataError, match="task='regression' or task='classification'"):
            load_dataset(path)
    else:
        assert load_dataset(path).task == task


def test_the_option_says_what_the_targets_leave_open(trained, predicted):
    _, config, _ = trained("codes", "--task", "regression", "--loss", "huber:delta=0.5")
    assert (config["task"], config["settings"]["loss"]) == ("regression", "huber:delta=0.5")
    assert np.ptp(numbers(predicted(), "prediction")) > 3


def test_the_loss_says_the_task(trained, predicted):
    _, config, _ = trained("counts", "--loss", "poisson")
    assert (config["task"], config["settings"]["task"]) == ("regression", "regression")
    assert numbers(predicted(), "prediction").min() > 0  # rates


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("codes", ["--task", "clasification"], ["task is 'clas", "mean 'classification'"]),
        ("codes", ["--loss", "hubert"], ["loss is 'hubert'", "did you mean 'huber'"]),
        ("numbers", ["--task", "classification"], ["not a whole number", "--task regression"]),
        ("numbers", ["--task", "multilabel"], ["the train targets hold", "give 0 for no"]),
        ("codes", ["--task", "regression", "--loss", "softmax_cross_entropy"],
         ["loss is 'softmax_cross_entropy', expected one for the task regression: squared_error"]),
        ("numbers", ["--label-smoothing", 0.1], ["'squared_error' takes no label_smoothing"]),
        ("numbers", ["--class-weight", "balanced"], ["class_weight is 'balanced'", "no classes"]),
        ("names", ["--task", "regression"], ["the train targets hold texts: "]),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_named(command, tmp_path, name, options, words):
    path = tmp_path / "data.npz"
    np.savez(path, X=INPUTS, y=TARGETS[name])
    outcome = command("train", "--data", path, *options, "--output", tmp_path / "run")
    assert (outcome.code, outcome.out) == (2, "")
    for word in words:
        assert word in outcome.err


def test_other_targets_than_the_run_has_are_refused(command, trained, tmp_path):
    trained("names")
    np.savez(tmp_path / "other.npz", X=INPUTS, y=TARGETS["codes"])
    outcome = command("evaluate", tmp_path / "run", "--data", tmp_path / "other.npz")
    assert (outcome.code, outcome.out) == (2, "")
    assert "the new labels are whole numbers, training's are texts; write them alike" in outcome.err


def test_compare_takes_every_task(command, tmp_path):
    pytest.importorskip("array_api_strict")
    for name in ("labels", "rows"):
        np.savez(tmp_path / "data.npz", X=INPUTS, y=TARGETS[name])
        given = (
            "--data",
            tmp_path / "data.npz",
            "--steps",
            2,
            "--backends",
            "numpy,array_api_strict",
        )
        assert command("compare", *given).code == 0


def houses(folder):
    """A table of prices, from 100,000 on, that follow from the area."""
    area = np.random.default_rng(2).uniform(40, 200, 210).round()
    lines = ["area,price", *(f"{a:.0f},{100_000 + 3000 * a:.0f}" for a in area)]
    (folder / "houses.csv").write_text("\n".join(lines))
    (folder / "areas.csv").write_text("area\n" + "\n".join(f"{a:.0f}" for a in area))
    return folder / "houses.csv", 100_000 + 3000 * area


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        [],
        pytest.param(["--loss", "huber"], marks=pytest.mark.slow),
        ["--target-scaling", "robust"],
    ],
)
def test_numbers_of_any_size_are_learned_and_given_back(command, told, tmp_path, options):
    path, prices = houses(tmp_path)
    run = tmp_path / "run"
    given = ("--task", "regression", "--validation", 0.1, "--epochs", 60, "--activation", "tanh")
    outcome = command("train", "--data", path, *given, *options, "--output", run)
    assert outcome.code == 0, outcome.err
    kind = options[1] if "robust" in options else "standard"
    assert f"{kind} scaling of the targets: the loss is of scaled ones" in outcome.out
    summary = json.loads((run / "summary.json").read_text())
    assert summary["test_r2"] > 0.9
    said = command("predict", run, tmp_path / "areas.csv").out.split()[1:]
    errors = np.abs(np.asarray(said, float) - prices)
    assert errors.mean() < 30_000
    measured = json.loads(told("evaluate", "--json", run, "--data", path).out)
    assert measured["mean_absolute_error"] == pytest.approx(errors.mean(), rel=1e-4)
    squares = np.sqrt((errors**2).mean())
    assert measured["root_mean_squared_error"] == pytest.approx(squares, rel=1e-4)
    again = json.loads(command("evaluate", "--json", run).out)
    assert again["mean_absolute_error"] == summary["test_mean_absolute_error"]
    assert command("verify", run).code == 0


@pytest.mark.slow
def test_each_output_has_its_own_unit(command, told, tmp_path):
    x = np.random.default_rng(1).normal(size=(210, 2))
    np.savez(tmp_path / "data.npz", X=x, y=x * [1000, 0.001] + [5000, 7])
    given = ("train", "--data", tmp_path / "data.npz", "--epochs", 40, "--quiet")
    for backend in ("numpy", "array_api_strict"):
        run = tmp_path / backend
        options = ("--arithmetic", "reproducible", "--backend", backend)
        assert command(*given, *options, "--validation", 0.1, "--output", run).code == 0
    np.save(tmp_path / "x.npy", x)
    command("predict", run, tmp_path / "x.npy", "--output", tmp_path / "p.npy")
    errors = np.abs(np.load(tmp_path / "p.npy") - (x * [1000, 0.001] + [5000, 7]))
    assert errors[:, 1].mean() < 0.001
    assert 1 < errors[:, 0].mean() < 1000
    measured = json.loads(told("evaluate", "--json", run, "--data", tmp_path / "data.npz").out)
    assert measured["mean_absolute_error"] == pytest.approx(errors.mean(), rel=1e-4)
    roots = np.sqrt((errors**2).mean(axis=0)).mean()
    assert measured["root_mean_squared_error"] == pytest.approx(roots, rel=1e-4)
    lines = [(tmp_path / b / "metrics.jsonl").read_text() for b in ("numpy", "array_api_strict")]
    one, other = ([json.loads(line) for line in text.splitlines()] for text in lines)
    assert [line | {"seconds": 0} for line in one] == [line | {"seconds": 0} for line in other]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("codes", ["--target-scaling", "standard"], "expected none for classes or labels"),
        (
            "numbers",
            ["--target-scaling", "standard", "--loss", "poisson"],
            "expected none for the loss",
        ),
        ("numbers", ["--target-scaling", "standrad"], "target_scaling is 'standrad', expected"),
        ("numbers", ["--scaling", "standrad"], "did you mean 'standard'"),
    ],
)
def test_scalings_of_targets_that_do_not_fit(command, tmp_path, name, options, words):
    np.savez(tmp_path / "data.npz", X=INPUTS, y=TARGETS[name])
    outcome = command("train", "--data", tmp_path / "data.npz", *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err


def test_counts_stay_counts(command, tmp_path):
    counts = np.random.default_rng(0).poisson(5, len(INPUTS))
    np.savez(tmp_path / "data.npz", X=INPUTS, y=counts)
    run = tmp_path / "run"
    given = ("--data", tmp_path / "data.npz", "--loss", "poisson", "--epochs", 1)
    assert "scaling of the targets" not in command("train", *given, "--output", run).out
    assert json.loads((run / "config.json").read_text())["target_scaling"] is None
