"""Tables of plain numbers are standardized, unless they are pixels or `--scaling` says not."""

import csv
import io
import json

import numpy as np
import pytest

polars = pytest.importorskip("polars")

COUNT = 350


def houses(path, seed=7):
    """Areas, distances and years in their own units, and prices that follow from them."""
    generator = np.random.default_rng(seed)
    area, metres = generator.uniform(20, 300, COUNT), generator.uniform(100, 30_000, COUNT)
    year = generator.integers(1900, 2025, COUNT).astype(float)
    price = 4000 * area - 8 * metres + 900 * (year - 1900) + 300_000
    table = {"area": area, "metres": metres, "year": year, "price": price.round()}
    frame = polars.DataFrame(table)
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(
        path, separator="\t" if path.suffix == ".tsv" else ","
    )
    return path


def content(run, name):
    return json.loads((run / name).read_text())


def train(command, run, data, *options):
    plain = ("--recipe", "none", *options)
    outcome = command("train", "--data", data, "--output", run, *plain)
    assert outcome.code == 0, outcome.err
    return outcome


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_every_format_of_a_table_is_standardized(command, tmp_path, suffix):
    """With everything left to its default; scikit-learn's statistics are the oracle."""
    scaler = pytest.importorskip("sklearn.preprocessing").StandardScaler()
    data, run = houses(tmp_path / f"houses{suffix}"), tmp_path / "run"
    outcome = train(command, run, data)
    assert outcome.err == ""
    assert outcome.out.startswith(
        "3 features, standard scaling\nregression: price\nstandard scaling of the targets: "
    )
    assert content(run, "summary.json")["test_r2"] > 0.9
    config = content(run, "config.json")
    assert config["settings"]["scaling"] == config["scaling"]["kind"] == "standard"
    assert [column["kind"] for column in config["columns"]] == ["number"] * 3
    assert config["plain"]
    from pluggable_mlp import load_dataset

    raw = load_dataset(data, task="regression", scaling="none")
    scaler.fit(raw.train.inputs)
    np.testing.assert_allclose(config["scaling"]["offsets"], scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(config["scaling"]["divisors"], scaler.scale_, rtol=1e-12)


@pytest.mark.slow
def test_what_follows_a_run_scales_as_it_did(command, tmp_path):
    data, run = houses(tmp_path / "houses.csv"), tmp_path / "run"
    train(command, run, data, "--arithmetic", "reproducible", "--hidden", 8)
    trained = content(run, "summary.json")
    assert json.loads(command("evaluate", "--json", run).out)["r2"] == trained["test_r2"]
    assert command("verify", run / "certificate.json", "--data", data).code == 0
    outcome = command("predict", run, data)
    assert outcome.code == 0, outcome.err
    answers = [float(row["prediction"]) for row in csv.DictReader(io.StringIO(outcome.out))]
    prices = polars.read_csv(data)["price"].to_numpy()
    assert np.corrcoef(answers, prices)[0, 1] > 0.9
    assert np.mean(np.abs(answers - prices)) < prices.std() / 3
    assert command("train", "--resume", run, "--epochs", 32).code == 0
    train(command, tmp_path / "whole", data, "--arithmetic", "reproducible", "--hidden", 8,
          "--epochs", 32)  # fmt: skip
    whole = content(tmp_path / "whole", "summary.json")
    assert content(run, "summary.json")["parameters_sha256"] == whole["parameters_sha256"]


def test_none_leaves_a_table_as_it_is(command, tmp_path):
    data, run = houses(tmp_path / "houses.csv"), tmp_path / "run"
    outcome = train(command, run, data, "--scaling", "none", "--learning-rate", 1e-12)
    assert outcome.out.startswith("regression: price\n")
    config = content(run, "config.json")
    assert config["settings"]["scaling"] == "none"
    assert config["scaling"] is None
    assert config["input_range"][1] > 10_000


@pytest.mark.filterwarnings("ignore::pluggable_mlp.data.DataWarning")
@pytest.mark.parametrize(
    ("name", "options", "scaling"),
    [
        ("table.csv", [], "standard"),
        ("table.csv", ["--scaling", "pixels"], "pixels"),
        ("table.parquet", ["--scaling", "pixels"], "pixels"),
        ("arrays.npz", [], "none"),
        ("arrays.npz", ["--scaling", "pixels"], "pixels"),
    ],
)
def test_pixels_of_a_table_are_asked_for(command, tmp_path, name, options, scaling):
    pixels = np.random.default_rng(0).integers(0, 256, (70, 64))
    labels = np.arange(70) % 2
    path = tmp_path / name
    if path.suffix == ".npz":
        np.savez(path, X=pixels.astype(float), y=labels)
    else:
        columns = {f"pixel{k}": column for k, column in enumerate(pixels.T)}
        frame = polars.DataFrame({**columns, "y": labels})
        frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    train(command, tmp_path / "run", path, "--epochs", 1, *options)
    config = content(tmp_path / "run", "config.json")
    assert config["settings"]["scaling"] == scaling
    assert config["scale"] == (1 / 256 if options else None)
    assert command("train", "--resume", tmp_path / "run", "--epochs", 2).code == 0
    assert command("evaluate", tmp_path / "run").code == 0


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ([], 0.01),
        (["--optimizer", "sgd:learning_rate=0.02"], 0.02),
        (["--schedule", "cosine"], 0.01),
        (["--optimizer", "adam"], 0.001),
        (["--target", "2", "--task", "classification"], 0.1),
    ],
)
def test_sgd_takes_smaller_steps_of_a_regression(command, tmp_path, options, rate):
    data = tmp_path / "table.csv"
    x = np.linspace(-1, 1, 70)
    polars.DataFrame({"x": x, "sign": (x > 0).astype(int), "y": x**2}).write_csv(data)
    train(command, tmp_path / "run", data, "--epochs", 1, *options)
    assert content(tmp_path / "run", "config.json")["settings"]["learning_rate"] == rate


def test_a_constant_column_is_zero(command, tmp_path):
    data = houses(tmp_path / "houses.csv")
    polars.read_csv(data).insert_column(1, polars.Series("floors", [3] * COUNT)).write_csv(data)
    train(command, tmp_path / "run", data, "--epochs", 1)
    scaling = content(tmp_path / "run", "config.json")["scaling"]
    assert (scaling["offsets"][1], scaling["divisors"][1]) == (3.0, 1.0)


def test_texts_and_gaps_are_not_standardized_but_the_numbers_are(command, tmp_path):
    data, run = houses(tmp_path / "houses.csv"), tmp_path / "run"
    table = polars.read_csv(data)
    gaps = [None if row % 5 == 0 else year for row, year in enumerate(table["year"])]
    city = polars.Series("city", ["Bern" if row % 3 else "Oslo" for row in range(COUNT)])
    table = table.with_columns(polars.Series("year", gaps)).insert_column(0, city)
    table.write_csv(data)
    train(command, run, data, "--optimizer", "adam:learning_rate=0.01", "--epochs", 12)
    assert content(run, "summary.json")["test_r2"] > 0.8
    scaling = content(run, "config.json")["scaling"]
    offsets, divisors = np.array(scaling["offsets"]), np.array(scaling["divisors"])
    numbers = np.array([False, False, True, True, True, False])  # two cities; year, and its gaps
    assert (offsets[~numbers] == 0.0).all()
    assert (divisors[~numbers] == 1.0).all()
    filled = table.with_columns(polars.col("year").fill_null(polars.col("year").median()))
    whole = filled.select("area", "metres", "year").to_numpy()
    np.testing.assert_allclose(offsets[numbers], whole.mean(axis=0), rtol=0.05)
    np.testing.assert_allclose(divisors[numbers], whole.std(axis=0), rtol=0.05)


def test_labels_of_a_table_are_learned_from_standardized_columns(command, tmp_path):
    data, run = houses(tmp_path / "houses.csv"), tmp_path / "run"
    table = polars.read_csv(data)
    dear, far = (table[name] > table[name].median() for name in ("price", "metres"))
    table = table.with_columns(price=dear.cast(int), far=far.cast(int))
    table.write_csv(data)
    labels = ("--task", "multilabel", "--target", "price,far", "--optimizer", "adam")
    train(command, run, data, *labels, "--learning-rate", 0.01, "--epochs", 12)
    assert content(run, "config.json")["settings"]["scaling"] == "standard"
    assert content(run, "summary.json")["test_hamming_loss"] < 0.1


def test_other_data_are_scaled_as_those_of_the_run(command, tmp_path):
    """Half of the houses, the smaller ones: with their own mean they would be worth more."""
    data, run = houses(tmp_path / "houses.csv"), tmp_path / "run"
    train(command, run, data, "--optimizer", "adam:learning_rate=0.01", "--epochs", 12)
    small = houses(tmp_path / "small.csv", seed=8)
    table = polars.read_csv(small).filter(polars.col("area") < 160)
    table.select(reversed(table.columns)).write_csv(small)  # found by their names
    outcome = command("evaluate", "--json", run, "--data", small)
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["r2"] > 0.9
