"""Commands on a run apply the preparation that training saved; `verify` alone fits it anew."""

import json

import numpy as np
import pytest

polars = pytest.importorskip("polars")

TRAIN = ("--task", "regression", "--epochs", 1, "--hidden", 2, "--batch-size", 64)
COUNT = 70


def write(path, rows=slice(None), **columns):
    area = np.random.default_rng(3).uniform(20, 300, COUNT).round(2)
    table = {
        "area": area,
        "city": np.resize(["Bern", "Oslo", "Rome"], COUNT),
        "owner": [f"owner {k}" for k in range(COUNT)],  # all different: left out
        "price": 4000 * area + 300_000,
    }
    polars.DataFrame(table | columns)[rows].write_csv(path)
    return path


def content(path):
    return json.loads(path.read_text())


@pytest.fixture
def trained(command, tmp_path):
    """A run that ended, beside its data."""
    data = write(tmp_path / "houses.csv")
    given = ("--arithmetic", "reproducible", "--output", tmp_path / "run")
    outcome = command("train", "--data", data, *TRAIN, *given)
    assert outcome.code == 0, outcome.err
    return tmp_path


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
    given = ("--data", data, "--test", test, "--output", run)
    assert command("train", *given, *TRAIN).code == 0
    data.unlink()
    outcome = command("evaluate", run)
    assert outcome.code == 0, outcome.err
    measured = json.loads(outcome.out)
    summary = content(run / "summary.json")
    expected = {name: summary[f"test_{name}"] for name in measured.keys() - {"examples"}}
    assert measured == {"examples": 20, **expected}
    write(test, slice(49, 69), city="Oslo")
    refused = command("evaluate", run)
    assert refused.code == 2
    assert f"{test}: holds other data than the run was trained on" in refused.err


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
    assert f"{run / 'config.json'} is not what the run was trained with" in outcome.err


def test_a_run_goes_on_with_the_same_data_in_another_format(command, trained):
    run, data = trained / "run", trained / "houses.parquet"
    polars.read_csv(trained / "houses.csv").write_parquet(data)
    outcome = command("train", "--resume", run, "--epochs", 2, "--data", data)
    assert outcome.code == 0, outcome.err
    for arguments in (("verify", run), ("evaluate", run), ("predict", run, data)):
        assert command(*arguments).code == 0
