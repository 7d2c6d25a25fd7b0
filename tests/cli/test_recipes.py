"""`--recipe`: tables are trained by a published recipe, as the estimators are; options override."""

import json
import warnings

import numpy as np
import pytest

from pluggable_mlp import TableClassifier, TableRegressor, load_run

polars = pytest.importorskip("polars")

COUNT = 400  # more than a batch, and a part of one
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


def content(run, name):
    return json.loads((run / name).read_text())


def done(command, *arguments):
    outcome = command(*arguments)
    assert outcome.code == 0, outcome.err
    return outcome


def errors_of_validation(run, task):
    """Return what the best epoch has least of, by epoch."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    if task == "classes":
        return [1.0 - line["validation_accuracy"] for line in lines]
    return [line["validation_loss"] for line in lines]


def arrays(parameters):
    return [np.asarray(array) for layer in parameters for array in layer.values()]


RECIPES = {None: [], "tabm-mini": ["tabm-mini:members=2"], "realmlp-td": ["realmlp-td"]}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("task", TARGETS)
def test_a_table_is_trained_as_by_the_estimator(command, tmp_path, table, task, recipe):
    """To the last bit; predictions in batches of another size, to rounding."""
    run, named = tmp_path / "run", [f"--recipe={text}" for text in RECIPES[recipe]]
    given = ("--epochs", 4, "--seed", 5, "--test-share", 0, "--output", run, *named)
    done(command, "train", "--data", table(task), *given)
    kind = TableClassifier if task == "classes" else TableRegressor
    model = kind(recipe or "realmlp-td-s", n_members=2, max_iter=4, random_state=5)
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


@pytest.mark.parametrize(("recipe", "place"), [("realmlp-td-s", -1), ("tabm:members=2", 0)])
def test_of_equal_epochs_the_one_that_the_recipe_says_is_kept(
    command, tmp_path, table, recipe, place
):
    run = tmp_path / "run"
    given = ("--recipe", recipe, "--hidden", 16, "--validation", 0.02, "--epochs", 24)
    done(command, "train", "--data", table("classes"), *given, "--output", run)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    best = max(line["validation_accuracy"] for line in lines)
    equal = [line["epoch"] for line in lines if line["validation_accuracy"] == best]
    assert len(equal) > 1
    assert content(run, "summary.json")["kept_epoch"] == equal[place]


def test_one_line_says_what_was_chosen_and_what_options_changed(command, tmp_path, table):
    run = tmp_path / "run"
    given = ("--hidden", 8, "--epochs", 2, "--optimizer", "sgd:momentum=0.5")
    out = done(command, "train", "--data", table("classes"), *given, "--output", run).out
    (line,) = [line for line in out.splitlines() if line.startswith("recipe ")]
    assert line == (
        "recipe realmlp-td-s: hidden 8 (the recipe: 256,256,256), activation selu, "
        "label_smoothing 0.1, optimizer sgd:momentum=0.5 (the recipe: adam:beta2=0.95), "
        "learning_rate 0.1 (the recipe: 0.04), schedule none (the recipe: log_cosine), "
        "batch_size 256, epochs 2 (the recipe: 256), scaling smooth_clip"
    )
    settings = content(run, "config.json")["settings"]
    expected = {"recipe": "realmlp-td-s", "hidden": [8], "learning_rate": 0.1, "schedule": None}
    expected |= {"scaling": "smooth_clip", "validation": 0.2, "label_smoothing": 0.1, "epochs": 2}
    assert {name: settings[name] for name in expected} == expected


def test_without_a_recipe_it_is_the_plain_network(command, tmp_path, table):
    run = tmp_path / "run"
    given = ("--recipe", "none", "--epochs", 1, "--output", run)
    assert "recipe" not in done(command, "train", "--data", table("classes"), *given).out
    settings = content(run, "config.json")["settings"]
    assert (settings["hidden"], settings["scaling"]) == ([100], "standard")
    assert (settings["optimizer"], settings["validation"]) == ("sgd", 0.0)


@pytest.mark.parametrize(("recipe", "steps"), [("realmlp-td-s", 5), ("tabm:members=2", 6)])
def test_a_smaller_last_batch_is_left_out_by_realmlp_alone(command, tmp_path, table, recipe, steps):
    data, run = table("classes"), tmp_path / "run"  # 256 rows are for training
    given = ("--recipe", recipe, "--hidden", 8, "--batch-size", 48, "--epochs", 1)
    given += ("--arithmetic", "reproducible", "--output", run)
    done(command, "train", "--data", data, *given)
    assert [*content(run, "certificate.json")["records"]] == [str(t + 1) for t in range(steps)]


@pytest.mark.parametrize("recipe", ["realmlp-td-s", "tabm-mini:members=2"])
def test_all_commands_know_a_run_of_a_recipe(command, tmp_path, table, recipe):
    data, run, again = table("classes"), tmp_path / "run", tmp_path / "again"
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


def test_a_killed_run_goes_on_with_the_same_bits(command, tmp_path, table):
    """The checkpoint after the first epoch is all that is left of it."""
    whole, part = tmp_path / "whole", tmp_path / "part"
    given = ("--data", table("classes"), "--recipe", "tabm-mini:members=2", "--hidden", 6)
    for run, epochs in ((whole, 5), (part, 2)):
        done(command, "train", *given, "--epochs", epochs, "--output", run)
    done(command, "train", "--resume", part, "--epochs", 5)
    for name in ("parameters_sha256", "kept_epoch"):
        assert content(part, "summary.json")[name] == content(whole, "summary.json")[name]


def test_a_recipe_serves_arrays_of_every_task(command, tmp_path):
    x = generator.normal(size=(60, 3))
    x[:, 2] = 4.0  # never varies
    targets = {
        "classes": np.arange(60) % 3,
        "labels": (x[:, :2] > 0).astype(int),
        "numbers": np.stack([x[:, 0], x[:, 1]], axis=1),
    }
    for recipe in ("realmlp-td-s", "tabm-mini:members=2"):
        for name, y in targets.items():
            np.savez(tmp_path / "data.npz", X=x, y=y)
            run = tmp_path / f"{name}-{recipe[:4]}"
            given = ("--recipe", recipe, "--hidden", 8, "--epochs", 2, "--output", run)
            done(command, "train", "--data", tmp_path / "data.npz", *given)
            assert "test_loss" in content(run, "summary.json")


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


def test_a_validation_part_of_the_data_is_used(command, tmp_path):
    x, y = generator.normal(size=(40, 2)), np.arange(40) % 2
    np.savez(tmp_path / "data.npz", X=x, y=y, X_validation=x[:9], y_validation=y[:9])
    given = ("--recipe", "realmlp-td-s", "--hidden", 4, "--epochs", 1, "--output", tmp_path / "run")
    done(command, "train", "--data", tmp_path / "data.npz", *given)
    assert content(tmp_path / "run", "config.json")["examples"]["validation"] == 9
    assert done(command, "verify", tmp_path / "run").code == 0


def test_without_validation_the_last_epoch_is_kept(command, tmp_path, table):
    run = tmp_path / "run"
    given = ("--recipe", "tabm:members=2", "--hidden", 4, "--validation", 0, "--output", run)
    done(command, "train", "--data", table("classes"), *given, "--epochs", 20)
    assert content(run, "summary.json")["kept_epoch"] == 20
    assert content(run, "config.json")["settings"]["early_stopping"] is None


def test_none_switches_off_what_a_recipe_has(command, tmp_path, table):
    """As values that do nothing: a norm that no gradient reaches, a constant rate, no end."""
    given = ("--data", table("numbers"), "--recipe", "tabm:members=1", "--hidden", 64)
    run, other, again = (tmp_path / name for name in ("run", "other", "again"))
    (tmp_path / "off.toml").write_text('clip-norm = "none"\nearly_stopping = "none"\nepochs = 2')
    out = done(command, "train", "--config", tmp_path / "off.toml", *given, "--output", run).out
    assert "clip_norm none (the recipe: 1.0)" in out
    assert "early_stopping none (the recipe: 16)" in out
    unreached = ("--clip-norm", 1e9, "--early-stopping", 1000, "--epochs", 2)
    done(command, "train", *given, *unreached, "--output", other)
    done(command, "train", "--config", run / "config.json", "--output", again)
    same = content(other, "summary.json")["parameters_sha256"]
    assert content(run, "summary.json")["parameters_sha256"] == same
    assert content(again, "summary.json")["parameters_sha256"] == same
    assert done(command, "verify", run).code == 0
    clipped = done(command, "train", *given, "--epochs", 2, "--json").out.splitlines()[-1]
    assert json.loads(clipped)["parameters_sha256"] != same


@pytest.mark.parametrize(("patience", "epochs"), [((), 17), (("--early-stopping", "none"), 19)])
def test_a_recipe_may_train_to_the_end(command, table, patience, epochs):
    """Without a learning rate no epoch is better than the first."""
    given = ("--recipe", "tabm:members=1", "--hidden", 2, "--learning-rate", 0, "--epochs", 19)
    out = done(command, "train", "--data", table("classes"), *given, *patience, "--json").out
    assert json.loads(out.splitlines()[-1])["epochs"] == epochs


def test_none_is_a_constant_rate_for_a_recipe_with_a_schedule(command, table):
    found = []
    for name in ("none", "constant"):
        given = ("--hidden", 4, "--epochs", 2, "--schedule", name, "--json")
        out = done(command, "train", "--data", table("classes"), *given).out
        found.append(json.loads(out.splitlines()[-1])["parameters_sha256"])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--early-stopping", "non"], "expected an integer of at least 1, or none"),
        (
            ["--clip-norm", "0"],
            "clip_norm is 0.0, expected a finite number of at least 1e-30, or none",
        ),
        (
            ["--recipe", "tabmm"],
            "recipe is 'tabmm', expected one of realmlp-td-s, realmlp-td, tabm-mini",
        ),
        (["--recipe", "tabm:member=3"], "member"),
        (["--recipe", "tabm:members=0"], "members is 0, expected an integer of at least 1"),
        (["--recipe", "realmlp-td-s:members=3"], "'realmlp-td-s' takes no members"),
        (["--activation", "relu,tanh"], "activation"),
    ],
)
def test_what_a_recipe_does_not_take_is_named(command, table, options, words):
    outcome = command("train", "--data", table("classes"), *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err


def test_few_rows_are_trained_on_with_a_warning(command, tmp_path):
    (tmp_path / "few.csv").write_text("x,y\n0,a\n1,b\n2,b\n")
    run = tmp_path / "run"
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        given = ("--test-share", 0, "--epochs", 3, "--hidden", 4, "--output", run)
        outcome = done(command, "train", "--data", tmp_path / "few.csv", *given)
    assert "3 rows are too few to keep 0.2 of them for validation" in outcome.err
    assert content(run, "summary.json")["kept_epoch"] == 3
    assert done(command, "verify", run).code == 0


QUICK = ("--epochs", 1, "--hidden", 4, "--quiet")


def test_useless_columns_are_named_and_dropped(command, told, tmp_path):
    """Constant ones, and one with a new category in each row; later rows need none of them."""
    rows = range(60)
    table = {"x": [k % 7 for k in rows], "three": [3] * 60, "same": ["a"] * 60,
             "id": [f"row {k}" for k in rows], "y": [k % 2 for k in rows]}  # fmt: skip
    polars.DataFrame(table).write_csv(tmp_path / "table.csv")
    run = tmp_path / "run"
    outcome = told("train", "--data", tmp_path / "table.csv", *QUICK, "--output", run)
    assert outcome.code == 0
    assert (
        "columns that are not used: 'three' (it is 3 in all rows), 'same' (it is a in all rows), "
        "'id' (42 different texts, such as 'row "
    ) in outcome.err
    (tmp_path / "new.csv").write_text("x\n1\n2\n")
    assert len(done(command, "predict", run, tmp_path / "new.csv").out.splitlines()) == 3


@pytest.mark.filterwarnings("ignore::pluggable_mlp.data.DataWarning")
def test_useless_columns_without_names_keep_their_places(command, tmp_path):
    run = tmp_path / "run"
    (tmp_path / "table.csv").write_text("".join(f"3,{k % 7}.5,{k % 2}\n" for k in range(60)))
    (tmp_path / "new.csv").write_text("3,1.5\n3,6.5\n")
    given = ("--recipe", "tabm:members=2", "--task", "classification", *QUICK, "--output", run)
    done(command, "train", "--data", tmp_path / "table.csv", *given)
    _, first, second = done(command, "predict", run, tmp_path / "new.csv").out.splitlines()
    assert first != second


@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_hundred_thousand_categories_are_dropped(told, tmp_path, count):
    table = {"x": np.arange(count) % 7, "id": [f"id {k}" for k in range(count)]}
    polars.DataFrame({**table, "y": np.arange(count) % 2}).write_csv(tmp_path / "table.csv")
    outcome = told("train", "--data", tmp_path / "table.csv", *QUICK)
    assert outcome.code == 0
    assert "columns that are not used: 'id' (" in outcome.err


def test_a_category_that_training_never_saw_counts_as_missing(command, told, tmp_path, table):
    run = tmp_path / "run"
    done(command, "train", "--data", table("classes"), *QUICK, "--output", run)
    (tmp_path / "new.csv").write_text("age,city,sex,x\n40,Lima,m,0.5\n40,,m,0.5\n")
    outcome = told("predict", run, tmp_path / "new.csv")
    assert outcome.err.count("'city' holds 'Lima', which training never saw") == 1
    _, unseen, missing = outcome.out.splitlines()
    assert unseen == missing


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([f"{k % 9},a" for k in range(30)], "all training labels are a"),
        (["1,a", "2,", *(f"{k},b" for k in range(30))], ": row 2 lacks the target 'y';"),
        ([*(f"{k},{'ab'[k % 2]}" for k in range(30)), "inf,a"], "column 'x' holds inf in row 31"),
        ([f"1,{'ab'[k % 2]}" for k in range(30)], "no column can be used ('x': it is 1 in all"),
        (["0,a", "1,b", "2,b"], "give at least 7 of these: 0.143 are kept for testing"),
    ],
)
def test_what_cannot_be_learned_from_is_named(command, tmp_path, lines, words):
    (tmp_path / "table.csv").write_text("\n".join(["x,y", *lines]))
    outcome = command("train", "--data", tmp_path / "table.csv", *QUICK)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err


@pytest.mark.parametrize("option", [["--schedule", "constant"], ["--optimizer", "adamw"]])
def test_what_ends_with_the_epochs_of_a_recipe_cannot_be_prolonged(
    command, tmp_path, table, option
):
    """RealMLP-TD has less and less dropout and decay."""
    run, given = tmp_path / "run", ("--recipe", "realmlp-td", "--epochs", 2, "--hidden", 8)
    done(command, "train", "--data", table("classes"), *given, *option, "--output", run)
    outcome = command("train", "--resume", run, "--epochs", 4)
    assert outcome.code == 2
    assert (
        "expected 2 as when the run began: the dropout or decay of realmlp-td ends" in outcome.err
    )


def test_parameters_by_rows_are_the_same_on_every_backend(command, tmp_path, table):
    pytest.importorskip("torch")
    found = []
    for backend in ("numpy", "torch"):
        for arithmetic in ("native", "reproducible"):
            run = tmp_path / f"{backend}-{arithmetic}"
            given = ("--recipe", "realmlp-td", "--epochs", 1, "--hidden", 8, "--output", run)
            on = ("--backend", backend, "--arithmetic", arithmetic)
            done(command, "train", "--data", table("numbers"), *given, *on)
            found.append(content(run, "certificate.json")["initial_parameters_sha256"])
    assert len({*found}) == 1


def test_the_line_of_a_recipe_has_the_values_that_another_optimizer_uses(command, table):
    given = ("--recipe", "realmlp-td", "--optimizer", "adamw", "--scaling", "standard")
    said = done(command, "train", "--data", table("classes"), "--epochs", 1, *given).out
    assert "learning_rate 0.001 (the recipe: 0.04)" in said
    assert "weight_decay 0.01 (the recipe: 0.02)" in said
    assert "schedule none (the recipe: log_cosine)" in said
    assert "scaling standard (the recipe: smooth_clip)" in said


def test_a_recipe_takes_no_hidden_layer_and_other_optimizers(command, table):
    data = ("train", "--data", table("classes"), "--epochs", 1)
    done(command, *data, "--recipe", "realmlp-td", "--hidden", "")
    given = ("--recipe", "tabm-mini:members=2", "--optimizer", "sgd", "--hidden", 8)
    assert "clip_norm none (the recipe: 1.0)" in done(command, *data, *given).out
