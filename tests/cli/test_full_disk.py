"""A disk that fills up while a run trains: a file system of its own, with little room."""

import subprocess
import sys
from contextlib import suppress

import pytest

from tests.cli.children import running
from tests.cli.saved_runs import content, told
from tests.cli.small_disks import small_disk

GIVEN = ("--epochs", 8, "--hidden", 40, "--optimizer", "adam", "--checkpoint-minutes", 0)


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
        given = (*program, *GIVEN, "--output", small / "run")
        done = subprocess.run([*map(str, given)], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "no checkpoint can be written: No space left on device; training goes on\n" in (
            done.stderr
        )
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
        assert "epoch   1/8" not in out
        assert told(seen / "run") == told(whole)


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 8, 16, 32, 64, 128])
def test_a_run_is_replaced_on_a_full_disk_or_stays(command, tmp_path, room):
    """With so many kB left: afterwards the old run is there or the new one, or goes on."""
    small = tmp_path / "small"
    small.mkdir()
    given = ("train", "--quiet", "--epochs", 3, "--hidden", 40, "--output", small / "run")
    with small_disk(small) as (enter, seen):

        def trained(*arguments):
            with running(*arguments, before=enter) as child:
                _, err = child.communicate()
            return child.returncode, err

        assert trained(*given) == (0, "")
        old = told(seen / "run")
        with (seen / "filler").open("wb", buffering=0) as file:
            with suppress(OSError):
                while True:
                    file.write(bytes(1024))
            file.truncate(max(0, file.tell() - 1024 * room))
        code, err = trained(*given, "--seed", 1, "--overwrite")
        assert "Traceback" not in err
        (seen / "filler").unlink()
        seed = content(seen / "run", "config.json")["settings"]["seed"]
        assert code in (0, 2)
        if seed == 0:
            assert code == 2
            assert told(seen / "run") == old
        elif code == 2:
            assert trained("train", "--quiet", "--resume", small / "run") == (0, "")
        assert command("evaluate", seen / "run").code == 0
        assert command("verify", seen / "run").code == 0
        assert {path.name for path in seen.iterdir()} == {"run"}
