"""The example that this project grew from ends by itself, and says what is wrong."""

import gzip
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.py"


def classic_pickle(folder):
    """A file as the classic one, small: images of a bright row k for the class k."""

    def part(count):
        labels = np.arange(count) % 10
        images = np.zeros((count, 28, 28), dtype=np.float32)
        images[np.arange(count), 2 * labels + 4] = 255 / 256
        return images.reshape(count, 784), labels

    path = folder / "mnist.pkl.gz"
    with gzip.open(path, "wb") as file:
        pickle.dump((part(60), part(20), part(20)), file, protocol=4)
    return path


def run(*arguments):
    command = [sys.executable, str(NOTEBOOK), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_it_finishes_its_ten_epochs(tmp_path):
    """With ten losses; it then shows a digit and its probabilities."""
    done = run("--epochs", "10", "--data", str(classic_pickle(tmp_path)))
    assert done.returncode == 0, done.stderr
    losses = [float(loss) for loss in re.findall(r"mean loss (\S+)", done.stdout)]
    assert len(losses) == 10
    assert losses[-1] < losses[0]
    assert re.search(r"^class \d \(labelled 0\)", done.stdout, re.MULTILINE)
    assert "@" * 56 in done.stdout  # the picture: the bright row, two characters a pixel
    probabilities = [float(p) for p in re.findall(r"\d: (\d\.\d{4})", done.stdout)]
    assert len(probabilities) == 10
    assert abs(sum(probabilities) - 1.0) <= 10 * 0.5e-4  # each is rounded to four digits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "nunpy"], "did you mean 'numpy'"),
        (["--data", "no-such-file.npz"], "no-such-file.npz"),
    ],
)
def test_the_example_says_what_is_wrong(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
