"""`compare`: agreement ends with 0, disagreement with 1, and both can be read by machines."""

import json

import pytest

from pluggable_mlp import MLP, get_backend
from pluggable_mlp.consistency import compare
from pluggable_mlp.data import load_dataset

pytest.importorskip("array_api_strict")


def test_two_backends_agree_within_the_bound(command):
    outcome = command("compare", "--backends", "numpy,array_api_strict:device1", "--steps", 2)
    assert outcome.code == 0
    assert outcome.err == ""
    rows = [line for line in outcome.out.splitlines() if line.startswith(("loss", "layer"))]
    assert [row.split("  ")[0] for row in rows] == [
        "loss", "layer 1 dW", "layer 1 db", "layer 2 dW", "layer 2 db"
    ]  # fmt: skip


def test_json_is_for_machines(command):
    outcome = command(
        "compare", "--backends", "numpy,array_api_strict", "--steps", 1, "--hidden", "5,4", "--json"
    )
    report = json.loads(outcome.out)
    assert report["passes"] is True
    assert {one["tensor"] for one in report["agreements"]} == {
        "loss", *(f"layer {n} d{name}" for n in (1, 2, 3) for name in "Wb")
    }  # fmt: skip
    assert all(0 <= one["part_of_bound"] <= 1 for one in report["agreements"])


def test_a_table_is_divided_by_the_seed_as_in_training(command, tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("".join(f"0.{k},{k % 3}\n" for k in range(10, 80)))
    arguments = ["--data", data, "--seed", 5, "--steps", 1, "--arithmetic", "reproducible"]
    outcome = command("compare", "--backends", "numpy,array_api_strict", *arguments, "--json")
    dataset = load_dataset(data, seed=5)
    expected = compare(
        [get_backend("numpy"), get_backend("array_api_strict")],
        MLP([1, 100, 3]),
        dataset.train_inputs,
        dataset.train_labels,
        arithmetic="reproducible",
        steps=1,
        seed=5,
    )
    assert json.loads(outcome.out) == json.loads(json.dumps(expected.to_dict()))


def test_a_disagreement_ends_with_1_and_names_the_tensor(command, monkeypatch):
    from pluggable_mlp.backends.array_api_strict import ArrayApiStrictBackend

    honest = ArrayApiStrictBackend.asarray

    def crooked(self, data, dtype=None):
        # Parameters are the only floats that come in: they are a little off.
        array = honest(self, data, dtype)
        return array * 1.001 if "float" in str(array.dtype) else array

    monkeypatch.setattr(ArrayApiStrictBackend, "asarray", crooked)
    outcome = command("compare", "--backends", "numpy,array_api_strict", "--steps", 1)
    assert outcome.code == 1
    assert "beyond the bound: array_api_strict, " in outcome.out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--backends", "numpy"], "expected two or more"),
        (["--backends", "numpy,nunpy"], "did you mean 'numpy'"),
        (["--backends", "numpy,array_api_strict", "--steps", "0"], "steps is 0"),
    ],
)
def test_wrong_arguments(command, arguments, word):
    outcome = command("compare", *arguments)
    assert outcome.code == 2
    assert word in outcome.err
