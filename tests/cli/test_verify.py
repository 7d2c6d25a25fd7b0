"""`verify`: a certified run is trained again elsewhere; every bit must be the same."""

import json

import pytest

SETTINGS = ("--quiet", "--epochs", 2, "--hidden", 12, "--batch-size", 256)


@pytest.fixture
def certificate(command, tmp_path):
    command(
        "train", *SETTINGS, "--arithmetic", "reproducible", "--output", tmp_path / "run"
    )  # fmt: skip
    return tmp_path / "run" / "certificate.json"


def test_a_certificate_holds_hashes_of_all_that_decides(certificate):
    content = json.loads(certificate.read_text())
    summary = json.loads((certificate.parent / "summary.json").read_text())
    assert content["final_parameters_sha256"] == summary["parameters_sha256"]
    assert content["epochs"][-1]["parameters_sha256"] == summary["parameters_sha256"]
    assert [float.fromhex(epoch["train_loss"]) for epoch in content["epochs"]][-1] == summary[
        "train_loss"
    ]
    hashes = [value for key, value in content.items() if key.endswith("sha256")]
    assert len(hashes) == len(set(hashes)) == 4
    assert all(len(value) == 64 for value in hashes)


@pytest.mark.parametrize("backend", ["numpy", "array_api_strict:device1", "torch", "jax"])
def test_the_same_bits_everywhere(command, certificate, backend):
    pytest.importorskip(backend.split(":")[0])
    outcome = command("verify", certificate, "--backend", backend)
    assert outcome.code == 0
    assert outcome.out.startswith("same bits: 2 epochs")


def test_another_loss_is_found_with_its_epoch(command, certificate):
    content = json.loads(certificate.read_text())
    exact = float.fromhex(content["epochs"][1]["train_loss"])
    content["epochs"][1]["train_loss"] = (exact * (1 + 2**-52)).hex()
    certificate.write_text(json.dumps(content))
    outcome = command("verify", certificate)
    assert outcome.code == 1
    assert outcome.out.startswith("differs at epoch 2 in train_loss: certified 0x")


def test_other_initial_parameters_are_found(command, certificate):
    content = json.loads(certificate.read_text())
    content["initial_parameters_sha256"] = "0" * 64
    certificate.write_text(json.dumps(content))
    outcome = command("verify", certificate)
    assert outcome.code == 1
    assert "differs at epoch 0 in initial_parameters_sha256" in outcome.out


def test_edited_settings_and_other_data_are_refused(command, certificate, tmp_path):
    content = json.loads(certificate.read_text())
    edited = {**content, "settings": {**content["settings"], "seed": 1}}
    certificate.write_text(json.dumps(edited))
    outcome = command("verify", certificate)
    assert outcome.code == 2
    assert "it was edited" in outcome.err
    certificate.write_text(json.dumps(content))
    rows = [",".join(["0"] * 64 + [str(label % 10)]) for label in range(70)]
    (tmp_path / "other.csv").write_text("\n".join(rows))
    outcome = command("verify", certificate, "--data", tmp_path / "other.csv")
    assert outcome.code == 2
    assert "name the right ones with --data" in outcome.err


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2}', "null", 100_000 * "["])
def test_what_is_no_certificate_is_refused(command, tmp_path, text):
    path = tmp_path / "certificate.json"
    path.write_text(text)
    outcome = command("verify", path)
    assert outcome.code == 2
    assert "is no certificate" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_missing_certificate(command, tmp_path):
    outcome = command("verify", tmp_path / "certificate.json")
    assert outcome.code == 2
    assert "is missing" in outcome.err


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (lambda content: content.update(epochs=[]), "it has 0 epochs"),
        (lambda content: content.update(epochs=3 * content["epochs"]), "it has 6 epochs"),
        (lambda content: content["epochs"][0].update(extra="1"), "an epoch holds"),
        (lambda content: content["epochs"][0].pop("test_loss"), "an epoch holds"),
        (lambda content: content["epochs"][0].update(train_loss="0x1p99999"), "too large"),
        (lambda content: content.update(final_parameters_sha256="0" * 64), "of the last epoch"),
        (lambda content: content.update(format=2), "its format is 2, expected 1"),
        (lambda content: content.update(data_sha256=5), "is no certificate"),
        (lambda content: content["epochs"][0].update(parameters_sha256=5), "is no certificate"),
    ],
)
def test_a_certificate_that_contradicts_itself_is_refused(command, certificate, edit, fault):
    content = json.loads(certificate.read_text())
    edit(content)
    certificate.write_text(json.dumps(content))
    outcome = command("verify", certificate)
    assert outcome.code == 2
    assert fault in outcome.err


def test_a_folder_in_place_of_a_certificate(command, certificate):
    outcome = command("verify", certificate.parent)
    assert outcome.code == 2
    assert "expected the certificate.json that train --output writes" in outcome.err
