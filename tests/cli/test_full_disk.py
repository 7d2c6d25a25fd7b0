"""A disk that fills up while a run trains: a file system of its own, with little room."""

import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.cli.children import running
from tests.cli.saved_runs import told


@contextmanager
def small_disk(folder):
    """Mount a file system of 800 kB; yield how a command sees it, and where it is seen from here.

    A process holds it in a namespace of its own, which needs no privileges where the kernel allows.
    """
    if not (shutil.which("unshare") and shutil.which("nsenter")):
        pytest.skip("there is no unshare, which mounts a small file system without privileges")
    # It holds it until this process closes its input, or ends.
    mount = f"mount -t tmpfs -o size=800k tmpfs {folder} && echo mounted && exec cat"
    with subprocess.Popen(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mount],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        try:
            if holder.stdout.readline() != "mounted\n":
                pytest.skip(f"no small file system can be mounted: {holder.stderr.read()}")
            inside = f"/proc/{holder.pid}/root{folder}"
            enter = "nsenter", "--user", "--mount", "--preserve-credentials", "-t", str(holder.pid)
            yield enter, type(folder)(inside)
        finally:
            holder.kill()


GIVEN = ("--epochs", 4, "--hidden", 40, "--optimizer", "adam", "--checkpoint-minutes", 0)
GIVEN += ("--batch-size", 256)


FILLING = """
import sys
from contextlib import suppress
from pluggable_mlp.cli import main
from pluggable_mlp.runs.run import Run

filler, train = open(sys.argv.pop(1), "wb", buffering=0), Run.train

def filling(run):
    for progress in train(run):
        with suppress(OSError):
            while len(run.history) > 1:
                filler.write(bytes(1024))
        yield progress

Run.train = filling
sys.argv[0] = "pluggable-mlp"
main()
"""


@pytest.mark.slow
def test_a_disk_that_fills_up_keeps_the_last_good_checkpoint(command, tmp_path):
    """After an epoch, and again at each step; a clear error; with room the run goes on."""
    whole, small = tmp_path / "whole", tmp_path / "small"
    small.mkdir()
    command("train", *GIVEN, "--quiet", "--output", whole)
    with small_disk(small) as (enter, seen):
        program = (*enter, sys.executable, "-c", FILLING, small / "filler", "train")
        arguments = (*program, *GIVEN, "--output", small / "run")
        done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "cannot be written: No space left on device; training goes on\n" in done.stderr
        assert done.stderr.endswith(
            f"Error: --output {small / 'run'} cannot be written: No space left on device; --resume "
            f"{small / 'run'} goes on from its last checkpoint\n"
        )
        assert not (seen / "run" / "summary.json").exists()

        with running("train", "--resume", small / "run", before=enter) as child:
            _, err = child.communicate()
        assert child.returncode == 2
        assert "No space left on device" in err
        assert "Traceback" not in err

        (seen / "filler").unlink()
        with running("train", "--resume", small / "run", before=enter) as child:
            out, err = child.communicate()
        assert (child.returncode, err) == (0, "")
        assert "epoch   1/4" not in out
        assert told(seen / "run") == told(whole)
