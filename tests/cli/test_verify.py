"""`verify`: a certified run is trained again elsewhere; every bit must be the same."""

import hashlib
import json
import math

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, first_state, get_backend, load_dataset, training_step
from pluggable_mlp.files import json_sha256
from pluggable_mlp.host.randomness import permutation
from tests.cli.certificates import edited, sealed
from tests.conftest import present

SETTINGS = ("--quiet", "--epochs", 2, "--hidden", 12, "--batch-size", 256)


@pytest.fixture
def certificate(command, tmp_path):
    command(
        "train", *SETTINGS, "--arithmetic", "reproducible", "--output", tmp_path / "run"
    )  # fmt: skip
    return tmp_path / "run" / "certificate.json"


def test_every_field_of_a_certificate(certificate):
    """By their definitions, or as the other files of the run have them."""
    config, summary = (
        json.loads((certificate.parent / name).read_text())
        for name in ("config.json", "summary.json")
    )
    history = [
        json.loads(line) for line in (certificate.parent / "metrics.jsonl").read_text().splitlines()
    ]
    text = json.dumps(config["settings"], sort_keys=True, separators=(",", ":"))
    start = MLP([64, 12, 10]).initialize(seed=0, backend=get_backend("numpy"), dtype="float32")
    arrays = [start[layer][name] for layer in (0, 1) for name in "Wb"]
    versions = ", ".join(f"{name} {number}" for name, number in summary["versions"].items())
    assert json.loads(certificate.read_text()) == sealed({
        "format": 7,
        "made_on": f"numpy (cpu), {versions}",
        "settings": config["settings"],
        "settings_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "data_sha256": config["data_sha256"],
        "initial_parameters_sha256": hashlib.sha256(
            b"".join(array.astype("<f4").tobytes() for array in arrays)
        ).hexdigest(),
        "epochs": [
            {
                "epoch": line["epoch"],
                "train_loss": line["train_loss"].hex(),
                "parameters_sha256": line["parameters_sha256"],
            }
            for line in history
        ],
        "kept_epoch": 2,
        "test_loss": summary["test_loss"].hex(),
        "final_parameters_sha256": summary["parameters_sha256"],
        "record_every": 1,
        "tensors": ["0.W", "0.b", "1.W", "1.b"],
        "records": certified_records(start),
    })  # fmt: skip
    assert len({summary["test_loss"], *(line["train_loss"] for line in history)}) == 3


def certified_records(parameters):
    """The hashes after each of 14 steps on digits, from steps taken one by one."""
    mlp, optimizer, digits = MLP([64, 12, 10]), SGD(learning_rate=0.1), load_dataset("digits")
    state = first_state(mlp, optimizer, parameters, arithmetic="reproducible")
    records = {}
    for t in range(14):
        epoch, place = divmod(t, 7)
        order = permutation(0, "shuffle", epoch + 1, len(digits.train.targets))[256 * place :][:256]
        x = digits.train.inputs[order].astype("float32") * np.float32(digits.scale)
        _, state = training_step(
            mlp, optimizer, state, x, digits.train.targets[order], arithmetic="reproducible"
        )
        tensors = [state.parameters[layer][name] for layer in (0, 1) for name in "Wb"]
        hashes = [hashlib.sha256(tensor.astype("<f4").tobytes()).hexdigest() for tensor in tensors]
        records[str(t + 1)] = "".join(one[:16] for one in hashes)
    return records


@pytest.mark.parametrize("backend", ["numpy", "array_api_strict:device1", "torch", "cupy"])
def test_the_same_bits_everywhere(command, certificate, backend):
    """That JAX has them, too: tests/test_recorded_runs.py."""
    place = present(backend)
    outcome = command("verify", certificate, "--backend", backend)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"same bits: 2 epochs on {place.name} ({place.device}) in rep")
    assert "certified losses and parameters, final SHA-256" in outcome.out


def test_a_certificate_alone_and_a_whole_folder(command, certificate, tmp_path):
    alone = certificate.rename(tmp_path / "certificate.json")
    outcome = command("verify", tmp_path / "run")
    assert outcome.code == 2
    assert f"{tmp_path / 'run' / 'certificate.json'} is missing" in outcome.err
    alone.rename(certificate)
    said = command("verify", tmp_path / "run").out
    assert "parameters, which the model holds, final SHA-256" in said
    (tmp_path / "run" / "model.safetensors").unlink()
    outcome = command("verify", tmp_path / "run")
    assert outcome.code == 2
    assert "model.safetensors is missing" in outcome.err


@pytest.mark.parametrize(
    ("epoch", "what"),
    [
        (0, "initial_parameters_sha256"), (1, "train_loss"), (1, "parameters_sha256"),
        (2, "train_loss"), (2, "parameters_sha256"), (2, "test_loss"),
    ],
)  # fmt: skip
def test_another_number_is_found_with_its_epoch(command, certificate, what, epoch):
    """A loss that is off by its last bit, another hash of parameters."""

    def edit(content):
        one = content if what in content else content["epochs"][epoch - 1]
        if what.endswith("sha256"):
            one[what] = "0" * 64
        else:
            one[what] = math.nextafter(float.fromhex(one[what]), math.inf).hex()
            one["parameters_sha256"] = "0" * 64  # another difference, which comes after it

    edited(certificate, edit)
    outcome = command("verify", certificate)
    assert outcome.code == 1
    assert outcome.out.startswith(f"the run differs at epoch {epoch}, {what}: certified 0")


def test_a_run_that_stopped_early_is_repeated(command, tmp_path):
    """The epochs after the best one, and their validation losses, too."""
    early = ("--validation", 0.2, "--early-stopping", 2, "--epochs", 40)
    early += ("--optimizer", "adam", "--learning-rate", 0.1)
    command("train", *SETTINGS, *early, "--output", tmp_path / "run")
    file = tmp_path / "run" / "certificate.json"
    content = json.loads(file.read_text())
    losses = [float.fromhex(epoch["validation_loss"]) for epoch in content["epochs"]]
    assert len(losses) == content["kept_epoch"] + 2 < 40
    assert command("verify", file).code == 0
    edited(file, lambda content: content["epochs"][-1].update(validation_loss=(1.0).hex()))
    outcome = command("verify", file)
    assert outcome.code == 1
    assert outcome.out.startswith(
        f"the run differs at epoch {len(losses)}, validation_loss: certified 0x1"
    )


def test_a_model_of_another_run_is_found_before_training(command, certificate, tmp_path):
    command("train", *SETTINGS, "--seed", 1, "--output", tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(certificate.parent / "model.safetensors")
    outcome = command("verify", certificate.parent)
    assert (outcome.code, outcome.out) == (2, "")
    assert "model.safetensors holds parameters of SHA-256" in outcome.err


@pytest.mark.parametrize(
    ("name", "value"),
    [("input_range", [0.0, 0.5]), ("settings", {"activation": "relu"})],
)
def test_an_edited_config_is_found_before_training(command, certificate, name, value):
    config = certificate.with_name("config.json")
    content = json.loads(config.read_text())
    if isinstance(value, dict):
        value = content[name] | value
    config.write_text(json.dumps(content | {name: value}))
    outcome = command("verify", certificate.parent)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{config} is not what the run was trained with" in outcome.err
    summary = config.with_name("summary.json")
    changed = {"config_sha256": json_sha256(json.loads(config.read_text()))}
    summary.write_text(json.dumps(json.loads(summary.read_text()) | changed))
    assert f"{config} is not what was certified" in command("verify", certificate.parent).err
    config.unlink()
    assert f"{config} is missing" in command("verify", certificate.parent).err


def test_a_native_run_says_that_it_is_native(command, tmp_path):
    pytest.importorskip("array_api_strict")
    command("train", *SETTINGS, "--output", tmp_path / "run")
    for backend in ("numpy", "array_api_strict"):
        outcome = command("verify", tmp_path / "run", "--backend", backend)
        assert outcome.code == 0
        assert "in native arithmetic" in outcome.out
        assert outcome.err.startswith("A native run has the same bits only on numpy (cpu), ")


def test_edited_settings_and_other_data_are_refused(command, certificate, tmp_path):
    content = json.loads(certificate.read_text())
    edited = {**content, "settings": {**content["settings"], "seed": 1}}
    certificate.write_text(json.dumps(sealed(edited)))
    outcome = command("verify", certificate.parent)
    assert outcome.code == 2
    assert "config.json is not what was certified" in outcome.err
    certificate.write_text(json.dumps(content))
    rows = [",".join(["0"] * 64 + [str(label % 10)]) for label in range(70)]
    (tmp_path / "other.csv").write_text("\n".join(rows))
    outcome = command("verify", certificate, "--data", tmp_path / "other.csv")
    assert outcome.code == 2
    assert "say with --data, and --test, where" in outcome.err


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        (lambda content: content["epochs"][0].update(extra="1"), "epoch 1, extra"),
        (lambda content: content["epochs"][0].pop("train_loss"), "epoch 2, epochs"),
        (lambda content: content["epochs"].pop(0), "epoch 2, epochs"),
        (lambda content: content.update(kept_epoch=1), "epoch 2, kept_epoch"),
        (lambda content: content.update(settings_sha256="0" * 64), "epoch 2, settings_sha256"),
        (lambda content: content.update(final_parameters_sha256="0" * 64), "epoch 2, final_"),
        (lambda content: content.update(tensors=["0.W"]), "epoch 2, tensors"),
        (lambda content: content.pop("test_loss"), "epoch 2, test_loss: certified None"),
        (lambda content: content["records"].pop("4"), "step 4, layer 0, tensor W"),
        (lambda content: content["records"].update({"4": "0"}), "step 4, layer 0, tensor W"),
        (lambda content: content["records"].update({"four": "0"}), "epoch 2, records"),
    ],
)
def test_no_part_of_a_certificate_is_taken_on_trust(command, certificate, edit, place):
    edited(certificate, edit)
    outcome = command("verify", certificate)
    assert outcome.code == 1
    assert outcome.out.startswith(f"the run differs at {place}")


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (
            lambda content: content.update(format=1),
            "its format is 1, expected 7; pluggable-mlp 1.0.0rc1 reads it",
        ),
        (lambda content: content.pop("format"), "it lacks 'format'"),
    ],
)
def test_another_file_is_no_certificate(command, certificate, edit, fault):
    edited(certificate, edit)
    outcome = command("verify", certificate)
    assert outcome.code == 2
    assert f"certificate.json is not a certificate of a run: {fault}" in outcome.err


def test_of_very_many_epochs_every_other_is_certified(command, tmp_path):
    """Of more than 1024, and the last: docs/how-to/certificates.md."""
    np.savez(tmp_path / "data.npz", X=np.arange(8.0)[:, None] / 8, y=np.arange(8) % 2)
    options = ("--data", tmp_path / "data.npz", "--test-share", 0, "--hidden", "", "--quiet")
    command("train", *options, "--epochs", 1024, "--output", tmp_path / "run")
    few = json.loads((tmp_path / "run" / "certificate.json").read_text())["epochs"]
    assert [one["epoch"] for one in few] == [*range(1, 1025)]
    command("train", "--quiet", "--resume", tmp_path / "run", "--epochs", 1025)
    many = json.loads((tmp_path / "run" / "certificate.json").read_text())["epochs"]
    assert [one["epoch"] for one in many] == [*range(2, 1025, 2), 1025]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("summary.json", "test_loss"),
        ("summary.json", "test_accuracy"),
        ("summary.json", "seed"),
        ("metrics.jsonl", "parameters_sha256"),
        ("metrics.jsonl", "validation_loss"),
        ("metrics.jsonl", "validation_accuracy"),
    ],
)
def test_an_edited_summary_or_line_is_found(command, tmp_path, file, name):
    """Each bit."""
    run = tmp_path / "run"
    command("train", *SETTINGS, "--validation", 0.2, "--output", run)
    first, *rest = (
        (run / file).read_text().split("\n") if file[-1] == "l" else [(run / file).read_text()]
    )
    content = json.loads(first)
    value = content[name]
    content[name] = "0" * 64 if isinstance(value, str) else value + 1
    if isinstance(value, float):
        content[name] = math.nextafter(value, 9)
    (run / file).write_text("\n".join([json.dumps(content), *rest]))
    outcome = command("verify", run)
    assert outcome.code == 1, outcome.out + outcome.err
    assert f"the run differs at {run / file}" in outcome.out
    assert f"{name}: written {content[name]!r}, on" in outcome.out


def test_a_line_of_the_metrics_that_is_added_or_missing_is_found(command, certificate):
    path = certificate.parent / "metrics.jsonl"
    first, last = path.read_text().splitlines(keepends=True)
    path.write_text(first + last + last.replace('"epoch": 2', '"epoch": 3'))
    assert f"{path} has 3 epochs, expected 2" in command("verify", certificate.parent).err
    path.write_text(first)
    outcome = command("verify", certificate.parent)
    assert outcome.code == 2
    assert f"{path} has 1 epochs, expected 2 as certified" in outcome.err
    path.unlink()
    assert f"{path} has 0 epochs" in command("verify", certificate.parent).err
    assert command("verify", certificate).code == 0
