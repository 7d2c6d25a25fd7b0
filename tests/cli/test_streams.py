"""Standard streams that are full: the exit code is that of the command's own work."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.certificates import edited
from tests.cli.children import running
from tests.cli.saved_runs import trained

pytestmark = pytest.mark.skipif(os.name != "posix", reason="redirections of POSIX shells")
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")

COMMANDS = {
    "help": (["--help"], 0),
    "train": (["train", "--epochs", 1], 0),
    "predict": (["predict", "RUN", "RUN/x.npy"], 0),
    "a failed verification": (["verify", "RUN/other.json"], 1),
    "a missing backend": (["train", "--backend", "numpy:1"], 2),
}


def quick_first(*names):
    """Return the names, all but one marked as slow."""
    return [names[0], *(pytest.param(name, marks=pytest.mark.slow) for name in names[1:])]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, with examples to predict, and a certificate that nothing fulfils."""
    folder = trained(tmp_path_factory.mktemp("saved") / "run", epochs=1)
    np.save(folder / "x.npy", np.zeros((3, 64), dtype="uint8"))
    shutil.copy(folder / "certificate.json", folder / "other.json")
    edited(folder / "other.json", lambda of: of["epochs"][0].update(train_loss=(1.0).hex()))
    return folder


def ended(saved: Path, name: str, redirection: str) -> tuple[int, str, str]:
    """Run a command under a redirection of the shell; return its exit code, output and errors."""
    arguments = [str(one).replace("RUN", str(saved)) for one in COMMANDS[name][0]]
    shell = ("sh", "-c", f'exec "$@" {redirection}', "sh")
    with running(*arguments, before=shell) as child:
        out, err = child.communicate(timeout=300)
    return child.returncode, out, err


@needs_full
@pytest.mark.parametrize("name", quick_first("train", "help", "predict"))
def test_a_full_standard_output_is_reported(saved, name):
    code, _, err = ended(saved, name, ">/dev/full")
    assert code == 2
    assert err == "Error: standard output cannot be written: No space left on device\n"


@needs_full
@pytest.mark.parametrize("name", quick_first("train", "a failed verification", "a missing backend"))
def test_a_standard_error_that_cannot_be_written_changes_nothing(saved, name):
    code, out, _ = ended(saved, name, "2>/dev/full")
    assert code == COMMANDS[name][1]
    assert bool(out) == (code < 2)
