"""Commands on several processes: the bits, the files and the words of one."""

import os
import re

import numpy as np
import pytest

from tests.cli.processes import DISTRIBUTED, TRAIN, on
from tests.cli.saved_runs import content, told
from tests.distributed.processes import mpiexec

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.mark.slow
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


MOST_ROWS = """
import os, sys
import numpy as np
from pluggable_mlp.host import lazy

most, stored = [0], [0]

def noting(function):
    def noted(*given):
        rows = function(*given)
        most[0] = max(most[0], len(rows) if isinstance(rows, np.ndarray) else 0)
        return rows
    return noted

def counting(array, start, stop, read=lazy.StoredArray._read):
    stored[0] += stop - start
    return read(array, start, stop)

lazy.StoredArray._read = counting
lazy.StoredArray.__getitem__ = noting(lazy.StoredArray.__getitem__)
lazy.rows_at = noting(lazy.rows_at)

from pluggable_mlp.cli import main
from pluggable_mlp.training import examples

lazy._BYTES_AT_ONCE = examples._BYTES_STREAMED = 30 * 16 * 4
sys.argv[0] = "pluggable-mlp"
try:
    main()
finally:
    os.write(2, f"{bool(stored[0])}, at most {most[0]} rows\\n".encode())
"""


@pytest.mark.slow
def test_a_process_reads_its_rows_from_the_file(tmp_path):
    """A third of the data for an epoch, and no more at a time to check and hash them."""
    rng = np.random.default_rng(0)
    rows, features = 700, 16
    folder = tmp_path / "set"
    folder.mkdir()
    np.save(folder / "X.npy", rng.standard_normal((rows, features), dtype=np.float32))
    np.save(folder / "y.npy", rng.integers(0, 2, rows))
    options = ("--data", folder, "--hidden", "4", "--batch-size", "300", "--epochs", "2")
    options += ("--block-size", "600")
    done = mpiexec(3, "-c", MOST_ROWS, "train", *DISTRIBUTED, "--quiet", *options)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"True, at most (\d+) rows", done.stderr) == ["200"] * 3
