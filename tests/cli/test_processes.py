"""Commands on several processes: the bits, the files and the words of one, in less memory."""

import json
import os
import re
import shutil

import numpy as np
import pytest

from pluggable_mlp.data.arrays import idx_header
from tests.cli.processes import DISTRIBUTED, SETTINGS, TRAIN, alone, on
from tests.cli.saved_runs import content, told
from tests.distributed.processes import mpiexec

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def test_three_processes_write_the_run_of_one(run_of_one, tmp_path):
    folder = tmp_path / "run"
    done = on(3, *TRAIN, "--output", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert told(folder) == told(run_of_one)
    assert content(folder, "summary.json")["processes"] == 3
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("epoch")] == [
        f"{epoch}/4" for epoch in range(1, 5)
    ]
    assert sum(line.startswith("test accuracy") for line in lines) == 1


@pytest.mark.slow
def test_a_certificate_is_verified_on_other_processes(run_of_one, tmp_path):
    done = on(2, "verify", run_of_one)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("same bits") == 1
    assert "on 2 processes" in done.stdout
    folder = tmp_path / "run"
    assert on(2, *TRAIN, "--output", folder).returncode == 0
    assert "same bits" in alone("verify", folder)
    assert on(3, "verify", folder / "certificate.json").returncode == 0


@pytest.mark.slow
def test_a_changed_certificate_is_reported_once(run_of_one, tmp_path):
    """By another seed, with hashes as they should be: no process has its bits."""
    other = tmp_path / "other"
    alone(*TRAIN, "--seed", 1, "--output", other)
    from pluggable_mlp.files import json_sha256

    certificate = content(run_of_one, "certificate.json")
    del certificate["sha256"]
    certificate["records"] = content(other, "certificate.json")["records"]
    file = tmp_path / "certificate.json"
    file.write_text(json.dumps(certificate | {"sha256": json_sha256(certificate)}))
    done = on(3, "verify", file)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("the run differs at step") == 1


@pytest.mark.slow
def test_an_evaluation_on_processes_is_that_of_one(run_of_one):
    done = on(3, "evaluate", "--json", run_of_one)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == json.loads(alone("evaluate", "--json", run_of_one))


PEAK = """
import sys
from pathlib import Path
from pluggable_mlp.cli import main
sys.argv[0] = "pluggable-mlp"
try:
    main()
finally:
    status = Path("/proc/self/status").read_text()
    sys.__stderr__.write(f"peak {status.split('VmHWM:')[1].split()[0]} kB")
"""


def peak(count, *arguments):
    """Return the most memory that one of so many processes takes to train, in bytes."""
    given = ("--hidden", "4", "--batch-size", "8192", "--epochs", "2", *arguments)
    done = mpiexec(count, "-c", PEAK, "train", *DISTRIBUTED, "--quiet", *given)
    assert done.returncode == 0, done.stderr
    found = [1024 * int(kilobytes) for kilobytes in re.findall(r"peak (\d+) kB", done.stderr)]
    assert len(found) == count
    return max(found)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux says what was the peak")
@pytest.mark.parametrize("form", ["npy", "idx"])
def test_the_memory_of_a_process_falls_with_their_number(tmp_path, form):
    """Each holds its rows of two epochs, of one and the next: two thirds of the data on three."""
    rng = np.random.default_rng(0)
    rows, features = 400_000, 256
    folder = tmp_path / "set"
    folder.mkdir()
    if form == "npy":
        features //= 4  # of four bytes
        np.save(folder / "X.npy", rng.standard_normal((rows, features), dtype=np.float32))
        np.save(folder / "y.npy", rng.integers(0, 2, rows))
    else:
        for name, shape in {"train": (rows, 16, 16), "t10k": (100, 16, 16)}.items():
            pixels, labels = rng.bytes(rows * features), np.arange(shape[0]) % 2
            for kind, header, values in (
                ("images-idx3", idx_header(shape), pixels[: shape[0] * features]),
                ("labels-idx1", idx_header(shape[:1]), labels.astype(np.uint8).tobytes()),
            ):
                (folder / f"{name}-{kind}-ubyte").write_bytes(header + values)
    of_one, of_three = (peak(count, "--data", folder) for count in (1, 3))
    data = rows * 256
    assert of_one - of_three > data  # of 4/3
    # Beside 2/3 of the data: pieces that are read and checked, the order of all examples.
    assert of_three - peak(3) < 1.75 * data


SLOWLY_SETTLED = """
import sys, time
from pluggable_mlp.cli import main
from pluggable_mlp.runs import locking

recover = locking.recover

def recovering(path):
    time.sleep(3)
    recover(path)

locking.recover = recovering
sys.argv[0] = "pluggable-mlp"
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate", "verify"])
def test_one_process_settles_a_folder_before_all_read_it(run_of_one, tmp_path, command):
    """It was left while files were put in their places."""
    folder = tmp_path / "run"
    shutil.copytree(run_of_one, folder)
    (folder / "result").mkdir()
    for name in ("model.safetensors", "summary.json", "certificate.json"):
        (folder / name).rename(folder / "result" / name)
    done = mpiexec(2, "-c", SLOWLY_SETTLED, command, *DISTRIBUTED, folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Warning") == 1


@pytest.mark.slow
def test_a_run_that_began_on_one_process_goes_on_on_three(run_of_one, tmp_path):
    folder = tmp_path / "run"
    alone("train", *SETTINGS, "--epochs", 2, "--output", folder)
    done = on(3, "train", "--quiet", "--resume", folder, "--epochs", 4)
    assert (done.returncode, done.stderr) == (0, "")
    assert told(folder) == told(run_of_one)
