"""A disk that fills up while a run trains: a file system of its own, with little room."""

import os
import shutil
import subprocess
import time
from contextlib import contextmanager

import pytest

from tests.cli.children import running
from tests.cli.saved_runs import told
from tests.cli.test_output import lines

GIVEN = ("--epochs", 8, "--hidden", 40, "--optimizer", "adam", "--checkpoint-minutes", 0)


@contextmanager
def small_disk(folder):
    """Mount a file system of 800 kB; yield how a command sees it, and where it is seen from here.

    A process holds it in a namespace of its own, which needs no privileges where the kernel allows.
    """
    if not (shutil.which("unshare") and shutil.which("nsenter")):
        pytest.skip("there is no unshare, which mounts a small file system without privileges")
    mount = f"mount -t tmpfs -o size=800k tmpfs {folder} && echo mounted && exec sleep 300"
    with subprocess.Popen(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mount],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        try:
            if holder.stdout.readline() != "mounted\n":
                pytest.skip(f"no small file system can be mounted: {holder.stderr.read()}")
            inside = f"/proc/{holder.pid}/root{folder}"
            enter = "nsenter", "--user", "--mount", "--preserve-credentials", "-t", str(holder.pid)
            yield enter, type(folder)(inside)
        finally:
            holder.kill()


def fill(folder, child):
    """Take all room, and what becomes free, until the child has ended."""
    with (folder / "filler").open("wb", buffering=0) as file:
        while child.poll() is None:
            try:
                file.write(bytes(1024))
            except OSError:
                time.sleep(0.0001)


@pytest.mark.slow
def test_a_disk_that_fills_up_keeps_the_last_good_checkpoint(command, tmp_path):
    """A clear error; the run is saved elsewhere, and goes on from there when there is room."""
    whole, small, other = (tmp_path / name for name in ("whole", "small", "other"))
    small.mkdir(), other.mkdir()
    command("train", *GIVEN, "--quiet", "--output", whole)
    with small_disk(small) as (enter, seen):
        given = {"before": enter, "env": os.environ | {"TMPDIR": str(other)}}
        with running("train", *GIVEN, "--output", small / "run", **given) as child:
            while not (seen / "run" / "metrics.jsonl").exists() or len(lines(seen / "run")) < 2:
                assert child.poll() is None
                time.sleep(0.002)
            fill(seen, child)
            _, err = child.communicate(timeout=100)
        assert child.returncode == 2
        assert "no checkpoint can be written: No space left on device; training goes on\n" in err
        (saved,) = other.iterdir()
        assert err.endswith(
            f"Error: --output {small / 'run'} cannot be written: No space left on device; the run "
            f"is saved in {saved} instead, and --resume {small / 'run'} has its last checkpoint\n"
        )
        assert told(saved) == told(whole)
        assert not (seen / "run" / "summary.json").exists()

        with running("train", "--resume", small / "run", **given) as child:
            _, err = child.communicate(timeout=100)
        assert child.returncode == 2
        assert "No space left on device" in err
        assert "Traceback" not in err

        (seen / "filler").unlink()
        with running("train", "--resume", small / "run", **given) as child:
            out, err = child.communicate(timeout=100)
        assert (child.returncode, err) == (0, "")
        assert "epoch   1/8" not in out
        assert told(seen / "run") == told(whole)
