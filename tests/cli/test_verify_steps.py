"""`verify` names the first step, layer and tensor that differ."""

import json
from contextlib import suppress

import pytest

from pluggable_mlp import get_backend
from pluggable_mlp.files import write_json
from pluggable_mlp.files.hashing import tensor_names
from pluggable_mlp.options import Options
from pluggable_mlp.runs.certificates import certificate_of
from pluggable_mlp.runs.folder import RunFolder
from pluggable_mlp.runs.run import Run
from pluggable_mlp.runs.verify import read_certificate
from tests.cli.certificates import sealed
from tests.cli.children import running
from tests.plug_ins import write_plug_in

SETTINGS = ("--quiet", "--epochs", 3, "--hidden", 12, "--batch-size", 16)  # 97 steps an epoch
FAULTY_STEP = 150
FAULTY = f"""
from pluggable_mlp.backends.numpy import NumpyBackend

class GlassBackend(NumpyBackend):
    name = "glass"

    def compile(self, function, used_up=(), *, exact=False, most=1):
        compiled = super().compile(function, used_up, exact=exact, most=most)
        if compiled is None or exact:
            return None

        def faulty(parameters, buffers, scale, address, *others):
            results = compiled(parameters, buffers, scale, address, *others)
            if address[0] == {FAULTY_STEP - 1}:
                after = results[3]
                after[1]["b"].view("uint32")[3] ^= 1
            return results
        return faulty
"""


@pytest.fixture
def run(command, tmp_path):
    command("train", *SETTINGS, "--output", tmp_path / "run")
    return tmp_path / "run"


def content(run):
    return json.loads((run / "certificate.json").read_text())


def test_one_wrong_bit_of_a_backend_is_found_with_its_step_and_tensor(run, tmp_path):
    """Between the last record before it and the first after it, in the place where it was."""
    every = content(run)["record_every"]
    assert every == 4  # 291 steps, at most 128 records
    environment = write_plug_in(tmp_path, "glass = glass:GlassBackend", glass=FAULTY)
    with running("verify", run, "--backend", "glass", env=environment) as child:
        out, err = child.communicate(timeout=300)
    assert child.returncode == 1, err
    before = FAULTY_STEP // every * every
    assert out.startswith(f"the run differs at step {before + every}, layer ")
    assert out.endswith(f"; step {before} is the same\n")


def test_an_altered_hash_is_a_changed_file_or_a_run_that_differs(command, run):
    path, altered = run / "certificate.json", content(run)
    records = altered["records"]
    at = 16 * 3
    records["200"] = records["200"][:at] + "0" * 16 + records["200"][at + 16 :]
    path.write_text(json.dumps(altered))
    outcome = command("verify", run)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{path} is damaged: its contents do not match its SHA-256" in outcome.err
    path.write_text(json.dumps(sealed(altered)))
    outcome = command("verify", run)
    assert outcome.code == 1
    assert outcome.out.startswith(
        f"the run differs at step 200, layer 1, tensor b: certified {'0' * 16}, on"
    )
    assert outcome.out.endswith("; step 196 is the same\n")


def test_a_record_is_of_all_tensors_after_every_so_many_steps():
    """Buffers, too; the device is waited for at no other step."""
    settings = Options(epochs=3, hidden=(12,), batch_size=16, norm="batch")
    run = Run.of(settings, get_backend("numpy"))
    list(run.train())
    assert sorted(run.records) == [*range(4, 292, 4)]
    names = tensor_names(run.parameters)
    assert {"0.W", "1.gamma", "1.running_mean", "1.running_variance"} <= set(names)
    assert {len(hashes) for hashes in run.records.values()} == {16 * len(names)}


@pytest.mark.parametrize(("epochs", "hidden"), [(100_000, (4,)), (50, (4,) * 300)])
def test_a_certificate_stays_below_1_mb(tmp_path, monkeypatch, epochs, hidden):
    """Of very many epochs, and of very many tensors."""
    early = {"early_stopping": 3, "validation": 0.1}
    settings = Options(epochs=epochs, hidden=hidden, norm="batch", **early)
    run = Run.of(settings, get_backend("numpy"))
    line = {"train_loss": 1 / 3, "validation_loss": 1 / 3, "parameters_sha256": "0" * 64}
    run.history = [{"epoch": number, **line} for number in range(1, epochs + 1)]
    run.kept_epoch = epochs - 1
    end = epochs * run.plan.steps_per_epoch
    hashes = "0" * 16 * len(tensor_names(run.parameters))
    run.records = dict.fromkeys(range(run.record_every, end + 1, run.record_every), hashes)
    assert len(run.records) <= 128
    monkeypatch.setattr(Run, "test_measures", lambda self: {"loss": 1 / 3})
    path = tmp_path / "certificate.json"
    write_json(path, certificate_of(run, run.plan.to_dict()))
    assert path.stat().st_size < 1_000_000
    read, _ = read_certificate(path)
    numbers = [epoch["epoch"] for epoch in read["epochs"]]
    assert numbers[-2:] == [epochs - 1, epochs]
    assert numbers[:-2] == [*range(numbers[0], epochs - 1, numbers[0])]


class StoppedError(Exception):
    """Ends training within an epoch."""


def test_a_run_that_ends_within_an_epoch_is_certified_up_to_the_last_whole_one(command, tmp_path):
    """Steps after it have records, but no part in the certificate."""
    run = Run.of(Options(epochs=3, hidden=(4,), batch_size=16), get_backend("numpy"))
    with suppress(StoppedError), RunFolder(tmp_path / "run", run):
        for _ in run.train():
            if run.records and max(run.records) >= 120:
                raise StoppedError
    assert max(run.records) == 120
    assert max(map(int, content(tmp_path / "run")["records"])) == 96
    outcome = command("verify", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("same bits: 1 epoch of the 3 of the settings on numpy")
