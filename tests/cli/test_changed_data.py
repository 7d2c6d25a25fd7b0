"""Data that changed after training: the saved preparation is applied to them, and hashes compared.

`verify` alone fits the preparation anew.
"""

import json
import ntpath
import os
from pathlib import Path

import numpy as np
import pytest

polars = pytest.importorskip("polars")

pytestmark = pytest.mark.filterwarnings("ignore:.*'owner':pluggable_mlp.data.DataWarning")

PLAIN = ("--recipe", "none", "--hidden", 2)
TRAIN = ("--task", "regression", "--epochs", 1, "--batch-size", 64, *PLAIN)
COUNT = 70


def table():
    area = np.random.default_rng(3).uniform(20, 300, COUNT).round(2)
    return {
        "area": area,
        "floors": np.full(COUNT, 2.5),
        "city": np.resize(["Bern", "Oslo", "Rome"], COUNT),
        "owner": [f"owner {k}" for k in range(COUNT)],  # all different: left out
        "price": 4000 * area + 300_000,
    }


def write(path, rows=slice(None), **columns):
    polars.DataFrame(table() | columns)[rows].write_csv(path)
    return path


def content(*path):
    return json.loads(Path(*path).read_text())


@pytest.fixture
def trained(command, tmp_path):
    """A run that ended, beside its data."""
    data = write(tmp_path / "houses.csv")
    options = ("--arithmetic", "reproducible", "--output", tmp_path / "run")
    outcome = command("train", "--data", data, *TRAIN, *options)
    assert outcome.code == 0, outcome.err
    return tmp_path


CHANGES = {
    "factor": {"area": 2 * table()["area"]},
    "constant": {"floors": np.full(COUNT, 3.5)},
    "category": {"city": np.resize(["Bern", "Paris", "Rome"], COUNT)},
    "target": {"price": 2 * table()["price"]},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_command_takes_them_for_the_same(command, trained, change):
    data, run = write(trained / "houses.csv", **change), trained / "run"
    before = (run / "config.json").read_bytes()
    for arguments, words in [
        (("verify", run / "certificate.json"), f"{data}: holds other data than the run was"),
        (("verify", run), f"{data}: holds other data than the run was"),
        (("evaluate", run), f"{data}: holds other data than the run was trained on"),
        (("train", "--resume", run, "--epochs", 2), f"{data}: holds other data than the run was"),
    ]:
        outcome = command(*arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert words in outcome.err
    assert (run / "config.json").read_bytes() == before


def test_another_form_of_the_same_data_is_verified(command, trained):
    """Though a header, or an encoding, is there no more; such an edit is found all the same."""
    run = trained / "run"
    polars.DataFrame(table()).write_parquet(trained / "houses.parquet")
    data = trained / "houses.parquet"
    outcome = command("verify", run, "--data", data)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("same bits: ")
    assert command("train", "--resume", run, "--epochs", 2, "--data", data).code == 0
    for arguments in (("verify", run), ("evaluate", run), ("predict", run, data)):
        assert command(*arguments).code == 0
    config = content(run / "config.json")
    (run / "config.json").write_text(json.dumps({**config, "header": False}))
    outcome = command("verify", run)
    assert (outcome.code, outcome.out) == (2, "")
    assert "is not what" in outcome.err


def test_a_column_that_was_left_out_stays_so(command, trained):
    """Fitted anew, the two texts would be categories."""
    run = trained / "run"
    measured = command("evaluate", run)
    write(trained / "houses.csv", owner=np.resize(["a bank", "the city"], COUNT))
    assert command("evaluate", run) == measured
    assert measured.code == 0
    refused = command("verify", run)
    assert refused.code == 2
    assert "holds other data than the run was trained on" in refused.err
    assert command("train", "--resume", run, "--epochs", 2).code == 0


def test_a_test_file_is_measured_without_the_training_file(command, tmp_path):
    data = write(tmp_path / "train.csv", slice(50))
    test = write(tmp_path / "test.csv", slice(50, None), city="Oslo")
    run = tmp_path / "run"
    options = ("--data", data, "--test", test, "--output", run)
    assert command("train", *options, *TRAIN).code == 0
    data.unlink()
    assert "train.csv: there is no such file" in command("evaluate", run).err
    outcome = command("evaluate", "--json", run, "--data", test)
    assert outcome.code == 0, outcome.err
    measured = json.loads(outcome.out)
    summary = content(run / "summary.json")
    expected = {name: summary[f"test_{name}"] for name in measured.keys() - {"examples"}}
    assert measured == {"examples": 20, **expected}
    write(data, slice(50))
    assert json.loads(command("evaluate", "--json", run).out) == measured
    write(test, slice(49, 69), city="Oslo")
    refused = command("evaluate", run)
    assert refused.code == 2
    assert "holds other data than the run was trained on" in refused.err


@pytest.mark.parametrize("ended", [True, False])
def test_an_edited_preparation_is_refused(command, trained, ended):
    run = trained / "run"
    config = content(run / "config.json")
    config["input_range"] = [-90.0, 90.0]
    (run / "config.json").write_text(json.dumps(config))
    if not ended:  # without the summary, which has the hash of config.json
        (run / "summary.json").unlink()
    outcome = command("train", "--resume", run, "--epochs", 2)
    assert (outcome.code, outcome.out) == (2, "")
    fault = " is not what the run was trained with" if ended else " or metrics.jsonl was changed"
    assert f"{run / 'config.json'}{fault}" in outcome.err


USES = [("train", "--resume", "run", "--epochs", 2), ("evaluate", "run"), ("verify", "run")]
DRAWN = [("plot", "run"), ("report", "run")]


@pytest.mark.parametrize("arguments", [*USES, *DRAWN], ids=lambda words: words[0])
def test_data_may_be_elsewhere(told, trained, monkeypatch, arguments):
    """Where they are not is said; where they are, by `--data`, which a run that goes on keeps."""
    if arguments in DRAWN:
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(trained)
    data = (trained / "houses.csv").rename(trained / "moved.csv")
    outcome = told(*arguments)
    assert outcome.code == (0 if arguments[0] == "report" else 2)  # a page without some figures
    assert f"{trained / 'houses.csv'}: there is no such file; check the path" in outcome.err
    assert "or say with --data, and --test, where those of the run are" in outcome.err
    outcome = told(*arguments, "--data", data)
    assert outcome.code == 0, outcome.err
    if arguments[0] == "train":
        assert content("run", "config.json")["settings"]["data"] == str(data)


@pytest.mark.skipif(os.name != "posix", reason="there //machine/share is a path of this machine")
def test_another_machine_is_named_by_the_user_alone(command, trained, monkeypatch):
    """As Windows reads paths: it would send it the user's name and the hash of the password."""
    run, data = trained / "run", f"/{write(trained / 'houses.csv')}"
    assert command("train", "--data", data, *TRAIN, "--overwrite", "--output", run).code == 0
    monkeypatch.setattr("pluggable_mlp.runs.saved.splitdrive", ntpath.splitdrive)
    for arguments in [("verify", run), ("evaluate", run), ("train", "--resume", run)]:
        outcome = command(*arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert "is on another machine, as the run says; repeat it as --data" in outcome.err
        assert command(*arguments, "--data", data).code == 0
