"""Saved runs that are damaged are named, whatever command reads them."""

import json
import shutil
from importlib.util import find_spec

import pytest

from pluggable_mlp.files import json_sha256
from tests.cli.conftest import ended
from tests.strangers import changes, content_of, other_arrays, written


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "run"
    assert ended("train", "--quiet", "--epochs", 1, "--output", folder) == 0
    return folder


@pytest.mark.parametrize("victim", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "other"])
def test_a_damaged_run_is_named(command, run, tmp_path, victim, damage):
    folder = shutil.copytree(run, tmp_path / "run")
    path = folder / victim
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:50])
    else:
        path.write_text('{"settings": {}}')
    outcome = command("evaluate", folder)
    assert outcome.code == 2
    assert victim in outcome.err
    assert ("is missing" in outcome.err) == (damage == "missing")
    assert "Traceback" not in outcome.err


def possible(*commands):
    """Return the commands, without those that draw where matplotlib is not there."""
    draws = ("plot", "report") if find_spec("matplotlib") is None else ()
    return [command for command in commands if command[0] not in draws]


OBJECTS = ["config.json", "summary.json", "certificate.json"]


@pytest.mark.parametrize("content", ["[]", "{}", '{"a":' * 5000])
@pytest.mark.parametrize("name", OBJECTS)
def test_another_type_in_the_place_of_an_object_is_named(command, run, tmp_path, name, content):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / name).write_text(content)
    report = ("report", folder, "--output", tmp_path / "report.html")
    readers = {
        "config.json": [("evaluate", folder), ("train", "--resume", folder), ("verify", folder)],
        "summary.json": [("evaluate", folder), ("train", "--resume", folder), report],
        "certificate.json": [("verify", folder)],
    }
    for arguments in possible(*readers[name]):
        outcome = command(*arguments)
        assert (outcome.code, outcome.out) == (2, ""), arguments
        assert name in outcome.err
        assert "unexpected" not in outcome.err


@pytest.mark.parametrize(
    ("number", "reader"), [(None, "pluggable-mlp 1.0.0rc1"), (99, "a later version of")]
)
def test_a_run_of_another_version_is_refused_with_the_version_that_reads_it(
    command, run, tmp_path, number, reader
):
    folder = shutil.copytree(run, tmp_path / "run")
    config = json.loads((folder / "config.json").read_text()) | {"format": number}
    if number is None:
        del config["format"]
    (folder / "config.json").write_text(json.dumps(config))
    for arguments in (("evaluate", folder), ("train", "--resume", folder)):
        outcome = command(*arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert f"config.json is of another version: its format is {number or 'none'}" in outcome.err
        assert f"expected 7; {reader}" in outcome.err


def lacking(name):
    def change(line):
        del line[name]

    return change


LINES = [
    (lacking("parameters_sha256"), "`parameters_sha256`"),
    (lacking("validation_accuracy"), "validation_accuracy"),
    (lambda line: line.update(train_loss="low"), "`$.train_loss`"),
    (lambda line: line.update(epoch=1), "of epoch 1"),
]


@pytest.fixture(scope="module")
def stopping(tmp_path_factory):
    """A run of three epochs that watches a validation part, with checkpoints."""
    folder = tmp_path_factory.mktemp("stopping") / "run"
    options = ["--epochs", 3, "--validation", 0.1, "--early-stopping", 5, "--output", folder]
    assert ended("train", "--quiet", "--checkpoint-minutes", 0, *options) == 0
    return folder


@pytest.mark.parametrize(("change", "named"), LINES)
def test_a_line_of_metrics_that_is_whole_and_wrong_is_named(
    command, stopping, tmp_path, change, named
):
    folder = shutil.copytree(stopping, tmp_path / "run")
    path = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines[1])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for arguments in possible(
        ("train", "--resume", folder),
        ("verify", folder),
        ("plot", folder, "--output", tmp_path / "plots"),
    ):
        outcome = command(*arguments)
        assert (outcome.code, outcome.out) == (2, ""), arguments
        assert "metrics.jsonl is damaged: " in outcome.err
        assert "line 2" in outcome.err
        assert named in outcome.err


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A run of two epochs on a table, with the files' names."""
    polars = pytest.importorskip("polars")
    place = tmp_path_factory.mktemp("small")
    x = [k % 7 - 3.5 for k in range(60)]
    table = polars.DataFrame({"x": x, "t": ["a", "b", "c"] * 20, "y": [int(n > 0) for n in x]})
    table.write_csv(place / "data.csv")
    options = ["--recipe", "tabm-mini:members=2", "--hidden", 3, "--batch-size", 8, "--epochs", 2]
    data = ["--data", place / "data.csv", "--output", place / "run"]
    assert ended("train", "--quiet", "--checkpoint-minutes", 0, *options, *data) == 0
    return place


def strange(run, name):
    """Yield a change, and the content of a run's file with it."""
    path = run / name
    if path.suffix == ".safetensors":
        tree, arrays = content_of(path.read_bytes())
        for place, changed in changes(tree):
            yield place, written(changed, arrays)
        for place, others in other_arrays(arrays):
            yield place, written(tree, others)
        return
    is_lines = path.suffix == ".jsonl"
    text = path.read_text()
    lines = [json.loads(line) for line in (text.splitlines() if is_lines else [text])]
    for place, changed in changes(lines if is_lines else lines[0]):
        if name == "certificate.json" and isinstance(changed, dict):
            changed.pop("sha256", None)
            changed["sha256"] = json_sha256(changed)
        found = changed if is_lines and isinstance(changed, list) else [changed]
        yield place, "".join(f"{json.dumps(line)}\n" for line in found).encode()


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize(
    ("name", "commands", "every"),
    [
        ("config.json", ("predict", "train"), 26),
        ("summary.json", ("predict", "train"), 11),
        ("metrics.jsonl", ("train", "verify"), 5),
        ("certificate.json", ("verify",), 13),
        ("model.safetensors", ("predict",), 5),
        ("checkpoints", ("train",), 29),
    ],
)
def test_a_strange_value_anywhere_ends_as_foreseen(command, small, tmp_path, name, commands, every):
    """Of arrays of another form a checkpoint is left aside, and a model refused."""
    whole = small / "run"
    if name == "checkpoints":
        name = f"{name}/{max(path.name for path in (whole / name).iterdir())}"
    cases = [*strange(whole, name)]
    arrays = [case for case in cases if " = " not in case[0]]
    for place, content in [*cases[::every], *arrays[::every]]:
        for each in commands:
            folder = shutil.copytree(whole, tmp_path / "run", dirs_exist_ok=True)
            (folder / name).write_bytes(content)
            if name == "config.json":
                summary = json.loads((folder / "summary.json").read_text())
                summary["config_sha256"] = json_sha256(json.loads(content))
                (folder / "summary.json").write_text(json.dumps(summary))
            resume = ("train", "--quiet", "--resume", folder, "--epochs", 3)
            arguments = {"predict": ("predict", folder, small / "data.csv"), "train": resume}
            outcome = command(*arguments.get(each, (each, folder)))
            assert outcome.code in (0, 1, 2) or "out of memory" in outcome.err, (place, outcome)
            assert "Error: unexpected" not in outcome.err, (place, outcome)
            assert (place, content) not in arrays or "safetensors" in outcome.err, (place, outcome)
