"""A disk that fills up while a run trains: a file system of its own, with little room."""

import time

import pytest

from tests.cli.children import running
from tests.cli.saved_runs import told
from tests.cli.small_disks import small_disk
from tests.cli.test_output import lines

GIVEN = ("--epochs", 8, "--hidden", 40, "--optimizer", "adam", "--checkpoint-minutes", 0)


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
    """A clear error; the run goes on from there when there is room."""
    whole, small = tmp_path / "whole", tmp_path / "small"
    small.mkdir()
    command("train", *GIVEN, "--quiet", "--output", whole)
    with small_disk(small) as (enter, seen):
        with running("train", *GIVEN, "--output", small / "run", before=enter) as child:
            while not (seen / "run" / "metrics.jsonl").exists() or len(lines(seen / "run")) < 2:
                assert child.poll() is None
                time.sleep(0.002)
            fill(seen, child)
            _, err = child.communicate(timeout=100)
        assert child.returncode == 2
        assert "no checkpoint can be written: No space left on device; training goes on\n" in err
        assert err.endswith(
            f"Error: --output {small / 'run'} cannot be written: No space left on device; --resume "
            f"{small / 'run'} goes on from its last checkpoint\n"
        )
        assert not (seen / "run" / "summary.json").exists()

        with running("train", "--resume", small / "run", before=enter) as child:
            _, err = child.communicate(timeout=100)
        assert child.returncode == 2
        assert "No space left on device" in err
        assert "Traceback" not in err

        (seen / "filler").unlink()
        with running("train", "--resume", small / "run", before=enter) as child:
            out, err = child.communicate(timeout=100)
        assert (child.returncode, err) == (0, "")
        assert "epoch   1/8" not in out
        assert told(seen / "run") == told(whole)
