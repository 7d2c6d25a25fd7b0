"""Tables of any columns, `--target` and `--scaling`, from `train` to `predict`."""

import csv
import gzip
import io
import json
import subprocess
import sys

import numpy as np
import pytest

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


def content(folder, name):
    return json.loads((folder / name).read_text())


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


def test_every_format_is_the_same_table(command, trained, tmp_path):
    """A tab-separated one, a gzipped one, Parquet: to the hash of the parameters."""
    table = columns()
    typed = {
        "age": [None if not age else int(age) for age in table["age"]],
        "city": [None if name == "NA" else name for name in table["city"]],
        "buys": table["buys"],
        "income": list(map(float, table["income"])),
        "pair": [bool(int(k)) for k in table["pair"]],
    }
    table["pair"] = [str(k) for k in map(bool, map(int, table["pair"]))]
    typed["pair"] = ["true" if k else "false" for k in typed["pair"]]
    table["pair"] = [k.lower() for k in table["pair"]]
    polars.DataFrame(typed).write_parquet(tmp_path / "table.parquet")
    paths = [
        write(tmp_path / "table.csv", table),
        write(tmp_path / "table.csv.gz", table),
        write(tmp_path / "table.tsv", table, delimiter="\t"),
        tmp_path / "table.parquet",
    ]
    found, answers = set(), set()
    for index, path in enumerate(paths):
        _, run = trained(path, "--target", "buys", folder=f"run{index}")
        summary = content(run, "summary.json")
        found.add((content(run, "config.json")["data_sha256"], summary["parameters_sha256"]))
        answers |= {command("predict", tmp_path / "run0", path).out}
    assert len(found) == 1
    assert len(answers) == 1


@pytest.mark.parametrize("target", ["buys", "3", "-3"])
def test_the_target_is_named_or_counted(trained, tmp_path, target):
    path = write(tmp_path / "table.csv", columns())
    _, run = trained(path, "--target", target)
    names = [column["name"] for column in content(run, "config.json")["columns"]]
    assert names == ["age", "city", "income", "pair"]


@pytest.mark.parametrize("target", ["1", "a", "-3", "1,2"])
def test_the_target_of_later_files_is_found_by_its_name(command, trained, tmp_path, target):
    """However it was given for training: by its name or its place, alone or among several."""
    x = np.random.default_rng(0).normal(size=(COUNT, 3)).round(3)
    table = dict(zip("abc", x.T.tolist(), strict=True))
    path = write(tmp_path / "table.csv", table)
    moved = write(tmp_path / "moved.csv", {name: table[name] for name in "cba"})
    _, run = trained(path, "--target", target)
    named = "a,b" if "," in target else "a"
    assert content(run, "config.json")["settings"]["target"] == named
    measured = [command("evaluate", "--json", run, "--data", data).out for data in (path, moved)]
    assert measured[0] == measured[1]
    assert json.loads(measured[0])["examples"] == COUNT


def test_several_targets_are_labels_or_numbers(command, trained, tmp_path):
    x = np.random.default_rng(0).normal(size=(COUNT, 2))
    table = {
        "red": (x[:, 0] > 0).astype(int), "a": x[:, 0], "green": (x[:, 1] > 0).astype(int),
        "b": x[:, 1], "sum": x.sum(axis=1), "difference": x[:, 0] - x[:, 1],
    }  # fmt: skip
    path = write(tmp_path / "table.csv", table)
    outcome, run = trained(path, "--target", "red,green", folder="labels")
    assert outcome.out.startswith("4 features, standard scaling\nmultilabel: red, green\n")
    assert list(rows(command("predict", run, path))[0]) == ["red", "green", "pred", "pgreen"]
    outcome, run = trained(path, "--target", "difference,sum", folder="numbers")
    assert outcome.out.startswith("4 features, standard scaling\nregression: difference, sum\n")
    assert list(rows(command("predict", run, path))[0]) == ["difference", "sum"]


def test_plain_numbers_are_found_by_their_names(command, told, trained, tmp_path):
    """Without any library but NumPy; another order of the columns, and others beside them."""
    x = np.random.default_rng(0).normal(size=(COUNT, 2))
    table = {"class": (x[:, 0] > 0).astype(int), "a": x[:, 0], "b": x[:, 1]}
    path = write(tmp_path / "table.csv", table)
    outcome, run = trained(path, "--target", "class")
    assert outcome.out.startswith("2 features, standard scaling\nclassification of 2 classes: 0, 1")
    assert content(run, "config.json")["plain"]
    other = write(tmp_path / "other.csv", {"b": table["b"], "x": table["a"] * 9, "a": table["a"]})
    np.save(tmp_path / "X.npy", x)
    expected = command("predict", run, tmp_path / "X.npy").out
    assert told("predict", run, other).out == expected
    assert command("predict", run, path).out == expected
    moved = write(
        tmp_path / "moved.csv", {"b": table["b"], "a": table["a"], "class": table["class"]}
    )
    measured = json.loads(told("evaluate", "--json", run, "--data", moved).out)
    assert measured == json.loads(told("evaluate", "--json", run, "--data", path).out)


def test_a_table_without_names(command, trained, tmp_path):
    path = write(tmp_path / "table.csv", columns(), header=False)
    _, run = trained(path, "--target", "3")
    config = content(run, "config.json")
    assert [column["name"] for column in config["columns"]] == ["1", "2", "4", "5"]
    rest = {name: values for name, values in columns().items() if name != "buys"}
    bare = write(tmp_path / "bare.csv", rest, header=False)
    assert command("predict", run, bare).out == command("predict", run, path).out


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
    assert command("verify", run).code == 0
    assert command("train", "--resume", run, "--epochs", 6).code == 0
    outcome, _ = trained(path, "--encoding", "latin-1", "--header", "no", folder="bare")
    assert "classification of 3 classes: Köln, ä, ö" in outcome.out
    outcome = command("train", "--data", path)
    assert outcome.code == 2
    assert "utf-8" in outcome.err


def test_later_files_that_are_read_unlike_trainings_are_refused(command, trained, tmp_path):
    """With remedies that `predict` and `evaluate` have: they take neither option."""
    named, bare = (
        write(tmp_path / f"{header}.csv", columns(), header=header) for header in (True, False)
    )
    _, of_named = trained(named, "--target", "buys")
    outcome = command("evaluate", of_named, "--data", bare)
    assert outcome.code == 2
    assert "name the columns as training's table did" in outcome.err
    other = tmp_path / "other.csv"
    other.write_bytes(named.read_bytes().replace(b"Rome", b"K\xf6ln"))
    outcome = command("predict", of_named, other)
    assert outcome.code == 2
    assert "is not text in utf-8: line " in outcome.err
    _, of_bare = trained(bare, "--target", "3", folder="of_bare")
    outcome = command("predict", of_bare, named)
    assert outcome.code == 2
    assert "column '1' holds 'age' in row 1, where training saw numbers" in outcome.err
    assert "if the first line names the columns, leave it out" in outcome.err


def test_the_table_of_training_is_known_again_where_a_column_was_left_out(told, trained, tmp_path):
    path = write(tmp_path / "table.csv", {"id": [f"n{k}" for k in range(COUNT)], **columns()})
    outcome, run = trained(path, "--target", "buys")
    assert outcome.out.startswith("id      left out: 180 different texts, such as 'n0'\n")
    outcome = told("evaluate", run, "--data", path)
    assert "the run was trained on most of these examples" in outcome.err


def test_an_unseen_category_warns_once(told, trained, tmp_path):
    path = write(tmp_path / "table.csv", columns())
    _, run = trained(path, "--target", "buys")
    rest = {name: values[:3] for name, values in columns().items()}
    other = write(tmp_path / "other.csv", rest | {"city": ["Lima", "Lima", "Rome"]})
    outcome = told("predict", run, other)
    assert outcome.err.count("Warning") == 1
    assert (
        "other.csv: column 'city' holds 'Lima', which training never saw, in 2 rows" in outcome.err
    )


def test_a_name_of_a_class_may_be_a_number(told, trained, tmp_path):
    """ "10" is a text where "none yet" is one, though the file that is measured has no other."""
    table = columns()
    table["buys"] = ["10" if text == "no" else "later" for text in table["buys"]]
    path = write(tmp_path / "table.csv", table)
    _, run = trained(path, "--target", "buys")
    places = [k for k, text in enumerate(table["buys"]) if text == "10"][:9]
    part = {name: [values[k] for k in places] for name, values in table.items()}
    outcome = told("evaluate", "--json", run, "--data", write(tmp_path / "part.csv", part))
    assert json.loads(outcome.out)["examples"] == 9


@pytest.mark.parametrize(
    "kind",
    ["robust", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("standard", "minmax"))],
)
def test_scaling_is_applied_to_every_later_file(command, trained, tmp_path, kind):
    x = np.random.default_rng(0).normal(size=(COUNT, 3)) * [1, 1e4, 1e-4] + [0, 3e4, 1]
    y = (x[:, 1] > 3e4).astype(int)
    parts = {"X_test": x[:70], "y_test": y[:70]}
    np.savez(tmp_path / "table.npz", X=x, y=y, **parts)
    outcome, run = trained(tmp_path / "table.npz", "--scaling", kind, "--epochs", 90)
    assert outcome.out.startswith(f"3 features, {kind} scaling\n")
    summary = content(run, "summary.json")
    assert summary["test_accuracy"] > 0.7
    np.savez(tmp_path / "other.npz", X=x[:70], y=y[:70])
    outcome = command("evaluate", "--json", run, "--data", tmp_path / "other.npz")
    assert json.loads(outcome.out)["loss"] == summary["test_loss"]
    np.save(tmp_path / "X.npy", x[:70])
    found = [int(row["prediction"]) for row in rows(command("predict", run, tmp_path / "X.npy"))]
    assert np.mean(found == y[:70]) == summary["test_accuracy"]


def test_scaled_pixels(command, trained, tmp_path):
    """Pixels are what they were to an unscaled network: bytes, or fractions."""
    from pluggable_mlp.data import load_dataset

    _, run = trained("digits", "--scaling", "standard")
    test = load_dataset("digits").test
    np.save(tmp_path / "bytes.npy", test.inputs)
    np.save(tmp_path / "fractions.npy", test.inputs / 16)
    answers = [
        command("predict", run, tmp_path / f"{name}.npy").out for name in ("bytes", "fractions")
    ]
    assert answers[0] == answers[1]
    found = [int(row["prediction"]) for row in csv.DictReader(io.StringIO(answers[0]))]
    assert np.mean(found == test.targets) == content(run, "summary.json")["test_accuracy"]


@pytest.mark.slow
def test_scaled_data_have_the_same_bits_on_every_backend(command, trained, tmp_path):
    pytest.importorskip("array_api_strict")
    path = write(tmp_path / "table.csv", columns())
    _, run = trained(path, "--target", "buys", "--arithmetic", "reproducible", "--epochs", 2)
    assert command("verify", run, "--backend", "array_api_strict:device1").code == 0


def test_pairs_of_npy(command, trained, tmp_path):
    x = np.random.default_rng(0).normal(size=(COUNT, 3))
    arrays = {"X": x[:140], "y": x[:140, 0] > 0, "X_test": x[140:], "y_test": x[140:, 0] > 0}
    np.savez(tmp_path / "all.npz", **arrays)
    (tmp_path / "pairs").mkdir()
    for name, array in arrays.items():
        np.save(tmp_path / "pairs" / f"{name}.npy", array)
    hashes = {
        content(trained(tmp_path / name, folder=f"of {name}")[1], "summary.json")[
            "parameters_sha256"
        ]
        for name in ("all.npz", "pairs")
    }
    assert len(hashes) == 1
    (tmp_path / "pairs" / "y_test.npy").unlink()
    outcome = command("train", "--data", tmp_path / "pairs")
    assert (outcome.code, outcome.out) == (2, "")
    assert "pairs: the folder has no y_test.npy" in outcome.err


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({}, ["--target", "bys"], ["has no column 'bys'; it has age, city", "mean 'buys'?"]),
        ({}, ["--target", "9"], ["has no column '9'"]),
        ({}, ["--target", "age,city,buys,income,pair"], ["all columns are targets"]),
        (
            {"city": [*["Oslo"] * 3, "", *["Rome"] * 206]},
            ["--target", "city"],
            [": row 4 lacks the target 'city'", "leave such rows"],
        ),
        ({}, ["--target", "buys,pair"], ["the target 'buys' holds texts", "alone"]),
        ({}, ["--scaling", "standrad"], ["scaling is 'standrad'", "did you mean 'standard'"]),
        ({"income": ["1"] * 99 + ["1,5"] + ["2"] * 110}, [], ["'income' holds '1,5' in row 100"]),
    ],
)
def test_arguments_that_do_not_fit_are_named(command, tmp_path, change, options, words):
    path = write(tmp_path / "table.csv", columns() | change)
    outcome = command("train", "--data", path, *options)
    assert (outcome.code, outcome.out) == (2, "")
    for word in words:
        assert word in outcome.err


def test_other_inputs_than_a_table_are_refused(command, trained, tmp_path):
    path = write(tmp_path / "table.csv", columns())
    _, run = trained(path, "--target", "buys")
    np.save(tmp_path / "X.npy", np.zeros((2, 7)))
    outcome = command("predict", run, tmp_path / "X.npy")
    assert (outcome.code, outcome.out) == (2, "")
    assert (
        "holds no table, as the network was trained on; give the columns age, city" in outcome.err
    )
    assert "leave --target out" in command("train", "--data", "digits", "--target", "a").err


@pytest.mark.slow
def test_without_polars_the_extra_is_named(tmp_path):
    path = write(tmp_path / "table.csv", columns())
    code = (
        "import sys; sys.modules['polars'] = None; from pluggable_mlp.cli import main;"
        f"sys.argv = ['pluggable-mlp', 'train', '--data', {str(path)!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "python -m pip install 'pluggable-mlp[tables]'" in done.stderr
    assert "Traceback" not in done.stderr
