"""`--recipe`: tables are trained by a published recipe, as the estimators are; options override."""

import json

import numpy as np
import pytest

from pluggable_mlp import TableClassifier, TableRegressor, load_run
from pluggable_mlp.files import json_sha256, write_json
from pluggable_mlp.training.recipes import RECIPES, Facts, RealMLP
from tests.cli.saved_runs import content, lines

polars = pytest.importorskip("polars")

COUNT = 410  # more than a batch, and a part of one
generator = np.random.default_rng(8)
AGES = [None if k % 11 == 5 else float(age) for k, age in enumerate(generator.normal(40, 9, COUNT))]
CITIES = [["Bern", "Oslo", "Rome", None][k % 4] for k in range(COUNT)]
FLAGS = [["m", "f"][k % 2] for k in range(COUNT)]
COLUMNS = {"age": AGES, "city": CITIES, "sex": FLAGS, "x": generator.normal(size=COUNT).tolist()}
TARGETS = {
    "classes": [["no", "yes"][int(x > 0)] for x in COLUMNS["x"]],
    "numbers": [100.0 + 7.0 * x for x in COLUMNS["x"]],
}


@pytest.fixture
def table(tmp_path):
    def write(task):
        path = tmp_path / f"{task}.parquet"
        polars.DataFrame({**COLUMNS, "target": TARGETS[task]}).write_parquet(path)
        return path

    return write


def done(command, *arguments):
    outcome = command(*arguments)
    assert outcome.code == 0, outcome.err
    return outcome


def errors_of_validation(run, task):
    """Return what the best epoch has least of, by epoch."""
    if task == "classes":
        return [1.0 - line["validation_accuracy"] for line in lines(run)]
    return [line["validation_loss"] for line in lines(run)]


def arrays(parameters):
    return [np.asarray(array) for layer in parameters for array in layer.values()]


GIVEN = {None: [], "tabm-mini": ["tabm-mini:members=2"], "realmlp-td": ["realmlp-td"]}


@pytest.mark.parametrize(
    ("task", "recipe"),
    [
        pytest.param(task, recipe, marks=[pytest.mark.slow] * (recipe != "realmlp-td-s"))
        for task in TARGETS
        for recipe in GIVEN
    ],
)
def test_a_table_is_trained_as_by_the_estimator(command, tmp_path, table, task, recipe):
    """To the last bit; predictions in batches of another size, to rounding."""
    run, named = tmp_path / "run", [f"--recipe={text}" for text in GIVEN[recipe]]
    given = ("--epochs", 4, "--seed", 5, "--test-share", 0, "--output", run, *named)
    done(command, "train", "--data", table(task), *given)
    kind = TableClassifier if task == "classes" else TableRegressor
    members = 2 if recipe == "tabm-mini" else None
    model = kind(recipe or "realmlp-td-s", n_members=members, max_iter=4, random_state=5)
    X = polars.DataFrame(COLUMNS)
    model.fit(X, TARGETS[task])
    saved = load_run(run)
    for ours, theirs in zip(arrays(saved.parameters), arrays(model.parameters_), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert content(run, "summary.json")["kept_epoch"] == model.best_iteration_
    assert errors_of_validation(run, task) == model.validation_errors_
    if task == "classes":
        np.testing.assert_array_equal(saved.predict(X), model.predict(X))
    else:
        np.testing.assert_allclose(saved.predict(X), model.predict(X), rtol=1e-6)


@pytest.mark.parametrize("recipe", ["realmlp-td-s", "tabm:members=2"])
def test_of_equal_epochs_the_one_with_the_least_loss_is_kept(command, tmp_path, table, recipe):
    run = tmp_path / "run"
    given = ("--recipe", recipe, "--hidden", 16, "--validation", 0.02, "--epochs", 24)
    given += ("--learning-rate", 0.05)
    done(command, "train", "--data", table("classes"), *given, "--output", run)
    best = max(line["validation_accuracy"] for line in lines(run))
    equal = {
        line["epoch"]: line["validation_loss"]
        for line in lines(run)
        if line["validation_accuracy"] == best
    }
    kept = content(run, "summary.json")["kept_epoch"]
    assert len(equal) > 1
    assert equal[kept] == min(equal.values())
    assert min(equal) < kept < max(equal)


def test_one_line_says_what_is_used(command, tmp_path, table):
    run = tmp_path / "run"
    given = ("--hidden", 8, "--epochs", 2, "--optimizer", "sgd:momentum=0.5")
    out = done(command, "train", "--data", table("classes"), *given, "--output", run).out
    (line,) = [line for line in out.splitlines() if line.startswith("recipe ")]
    assert line == (
        "recipe realmlp-td-s:members=8: hidden 8, activation selu, label_smoothing 0.1, optimizer "
        "sgd:momentum=0.5, learning_rate 0.1, batch_size 64, epochs 2, early_stopping 64, scaling "
        "smooth_clip"
    )
    settings = content(run, "config.json")["settings"]
    expected = {"hidden": [8], "learning_rate": 0.1, "validation": 0.2}
    expected |= {"scaling": "smooth_clip", "label_smoothing": 0.1, "epochs": 2}
    expected["recipe"] = "realmlp-td-s:members=8"
    assert {name: settings[name] for name in expected} == expected
    assert "schedule" not in settings

    def rewrite(**changed):
        config, summary = (content(run, f"{name}.json") for name in ("config", "summary"))
        summary["config_sha256"] = json_sha256(config | changed)
        write_json(run / "config.json", config | changed)
        write_json(run / "summary.json", summary)

    assert load_run(run).mlp.ensemble.members == 8
    rewrite(examples={})
    with pytest.raises(ValueError, match="config.json is damaged: it lacks 'train'"):
        load_run(run)
    given = ("--recipe", "tabm-mini", "--hidden", 8, "--epochs", 1)
    out = done(command, "train", "--data", table("classes"), *given).out
    assert "recipe tabm-mini:members=32: hidden 8, " in out


def test_the_recipe_of_a_run_may_be_given_again(command, tmp_path, table):
    run = tmp_path / "run"
    given = ("--data", table("classes"), "--hidden", 8, "--schedule", "none", "--epochs", 1)
    done(command, "train", *given, "--output", run)
    again = ("train", "--resume", run, "--epochs", 2, "--recipe")
    done(command, *again, "realmlp-td-s")
    assert content(run, "summary.json")["epochs"] == 2
    outcome = command(*again, "realmlp-td-s:members=4")
    assert outcome.code == 2
    assert "recipe is realmlp-td-s:members=4, expected realmlp-td-s:members=8 as" in outcome.err


@pytest.mark.parametrize(("recipe", "steps"), [("realmlp-td-s", 5), ("tabm:members=2", 6)])
def test_a_smaller_last_batch_is_left_out_by_realmlp_alone(command, tmp_path, table, recipe, steps):
    data, run = table("classes"), tmp_path / "run"  # some 260 rows are for training
    given = ("--recipe", recipe, "--hidden", 8, "--batch-size", 48, "--epochs", 1)
    given += ("--arithmetic", "reproducible", "--output", run)
    done(command, "train", "--data", data, *given)
    assert [path.stem for path in (run / "checkpoints").iterdir()] == [f"{steps:012}"]


def test_all_commands_know_a_run_of_a_recipe(command, tmp_path, table):
    data, run, again = table("classes"), tmp_path / "run", tmp_path / "again"
    recipe = "tabm-mini:members=2"
    given = ("--recipe", recipe, "--hidden", "8,8", "--epochs", 3, "--output", run)
    done(command, "train", "--data", data, "--arithmetic", "reproducible", *given)
    summary = content(run, "summary.json")
    assert done(command, "verify", run).out.startswith("same bits")
    assert (
        json.loads(done(command, "evaluate", "--json", run).out)["accuracy"]
        == summary["test_accuracy"]
    )
    assert len(done(command, "predict", run, data).out.splitlines()) == COUNT + 1
    shown = done(command, "data", data, "--recipe", recipe).out.splitlines()
    assert done(command, "data", run).out.splitlines()[:-1] == shown[:-1]
    done(command, "train", "--config", run / "config.json", "--output", again)
    assert content(again, "summary.json")["parameters_sha256"] == summary["parameters_sha256"]


def test_a_recipe_serves_arrays_of_every_task(command, tmp_path):
    x = generator.normal(size=(60, 3))
    x[:, 2] = 4.0  # never varies
    targets = {
        "classes": np.arange(60) % 3,
        "labels": (x[:, :2] > 0).astype(int),
        "numbers": np.stack([x[:, 0], x[:, 1]], axis=1),
    }
    for name, y in targets.items():
        np.savez(tmp_path / "data.npz", X=x, y=y)
        given = ("--recipe", "tabm-mini:members=2", "--hidden", 8, "--epochs", 2)
        done(command, "train", "--data", tmp_path / "data.npz", *given, "--output", tmp_path / name)
        assert "test_loss" in content(tmp_path / name, "summary.json")


def test_pixels_have_the_bins_of_their_values(command, tmp_path):
    """In units of 1/256, as the network has them."""
    pixels, found = generator.integers(0, 256, (60, 2)), []
    for name, x in (("bytes", pixels.astype(np.uint8)), ("floats", pixels / 256)):
        np.savez(tmp_path / f"{name}.npz", X=x, y=np.arange(60) % 2)
        given = ("--recipe", "tabm:members=2", "--scaling", "none", *QUICK)
        data = tmp_path / f"{name}.npz"
        done(command, "train", "--data", data, *given, "--output", tmp_path / name)
        found.append(content(tmp_path / name, "config.json")["edges"])
        found.append(content(tmp_path / name, "summary.json")["parameters_sha256"])
    assert found[:2] == found[2:]


def test_several_numbers_to_predict_keep_to_no_common_range(command, tmp_path):
    """Of a single one predictions do: tests/estimators/test_tables.py."""
    x, run = generator.normal(size=(60, 2)), tmp_path / "run"
    np.savez(tmp_path / "data.npz", X=x, y=np.stack([x[:, 0], 9.0 + x[:, 0] ** 3], axis=1))
    given = ("--recipe", "realmlp-td", "--target-scaling", "none", *QUICK, "--output", run)
    done(command, "train", "--data", tmp_path / "data.npz", *given)
    assert load_run(run).mlp.output_range is None


@pytest.fixture
def noise(tmp_path):
    """Targets that follow from nothing: the best epochs are the first ones."""
    x = np.random.default_rng(0).normal(size=(200, 4))
    np.savetxt(tmp_path / "noise.csv", x, delimiter=",", header="a,b,c,y", comments="")
    return ("train", "--data", tmp_path / "noise.csv", "--hidden", 4, "--epochs", 120)


def test_the_default_stops_after_64_epochs_without_a_better_one(command, noise):
    """Or a quarter of more than 256, as its schedule has cycles as long."""
    alone = ("--recipe", "realmlp-td-s:members=1", "--json")
    summary = json.loads(done(command, *noise, *alone).out.splitlines()[-1])
    assert summary["epochs"] == summary["kept_epoch"] + 64 < 120
    cases = (3, True), (256, True), (1000, True), (256, False)
    values = [
        RealMLP().values(Facts("classification", 1, False, validates, epochs))
        for epochs, validates in cases
    ]
    assert [of["early_stopping"] for of in values] == [64, 64, 250, None]


def test_batches_by_rows_are_those_of_pytabkit(command, noise):
    values = [
        RealMLP().values(Facts("classification", rows))["batch_size"]
        for rows in (1024, 1025, 8192, 8193, 30_000, 30_001, 100_000, 100_001)
    ]
    assert values == [64, 128, 128, 256, 256, 512, 512, 1024]
    said = done(command, *noise[:3], "--epochs", 1).out
    assert "batch_size 64, epochs 1" in said


@pytest.mark.parametrize("name", ["tabm-mini", "tabm"])
def test_tabm_has_a_layer_fewer_behind_embeddings_of_numbers(name):
    """The defaults of its authors' package."""
    facts = [Facts("regression", 9, has_edges=flag) for flag in (True, False)]
    hidden = [RECIPES[name].values(each)["hidden"] for each in facts]
    assert hidden == [(512,) * 2, (512,) * 3]


def test_none_switches_off_what_a_recipe_has(command, tmp_path, table):
    """As values that do nothing: a norm that no gradient reaches, a constant rate, no end."""
    given = ("--data", table("numbers"), "--recipe", "tabm:members=1", "--hidden", 64)
    run, other, again = (tmp_path / name for name in ("run", "other", "again"))
    (tmp_path / "off.toml").write_text('clip-norm = "none"\nearly_stopping = "none"\nepochs = 2')
    out = done(command, "train", "--config", tmp_path / "off.toml", *given, "--output", run).out
    assert "clip_norm none" in out
    assert "early_stopping none" in out
    unreached = ("--clip-norm", 1e9, "--early-stopping", 1000, "--epochs", 2)
    done(command, "train", *given, *unreached, "--output", other)
    done(command, "train", "--config", run / "config.json", "--output", again)
    same = content(other, "summary.json")["parameters_sha256"]
    assert content(run, "summary.json")["parameters_sha256"] == same
    assert content(again, "summary.json")["parameters_sha256"] == same
    assert done(command, "verify", run).code == 0
    clipped = done(command, "train", *given, "--epochs", 2, "--json").out.splitlines()[-1]
    assert json.loads(clipped)["parameters_sha256"] != same


QUICK = ("--epochs", 1, "--hidden", 4, "--quiet")


@pytest.mark.filterwarnings("ignore::pluggable_mlp.data.DataWarning")
def test_useless_columns_without_names_keep_their_places(command, tmp_path):
    run = tmp_path / "run"
    (tmp_path / "table.csv").write_text("".join(f"3,{k % 7}.5,{k % 2}\n" for k in range(60)))
    (tmp_path / "new.csv").write_text("3,1.5\n3,6.5\n")
    given = ("--recipe", "tabm:members=2", "--task", "classification", *QUICK, "--output", run)
    done(command, "train", "--data", tmp_path / "table.csv", *given)
    _, first, second = done(command, "predict", run, tmp_path / "new.csv").out.splitlines()
    assert first != second


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--recipe", "realmlp-td", "--schedule", "constant"],
            "dropout or decay of realmlp-td:members=8 ends",
        ),
        (["--recipe", "none", "--schedule", "cosine"], "schedule cosine ends with them"),
    ],
)
def test_what_ends_with_the_epochs_cannot_be_prolonged(command, tmp_path, table, options, words):
    run, given = tmp_path / "run", (*options, "--epochs", 2, "--hidden", 8)
    done(command, "train", "--data", table("classes"), *given, "--output", run)
    outcome = command("train", "--resume", run, "--epochs", 4)
    assert outcome.code == 2
    assert f"expected 2 as when the run began: the {words}" in outcome.err
