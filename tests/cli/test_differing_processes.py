"""Processes that differ or cannot begin: what differs is named, in one line and once."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import pluggable_mlp
from pluggable_mlp.arrays import map_nested
from pluggable_mlp.backends import available_backends, get_backend
from pluggable_mlp.runs.checkpoints import read_checkpoint, save_checkpoint
from pluggable_mlp.runs.resume import resumed_run
from tests.cli.children import running
from tests.cli.conftest import ended
from tests.cli.processes import DISTRIBUTED, PROGRAM, SETTINGS, checkpoints, on
from tests.cli.saved_runs import told
from tests.distributed.processes import command_of, together
from tests.distributed.threads import on_threads

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("none", "none, expected"),
        ("earlier", "[0-9a-f]{16} after step [0-9]+, expected"),
        ("other slots", "[0-9a-f]{16} after step [0-9]+, expected"),
    ],
)
def test_processes_must_see_the_same_checkpoint(tmp_path, change, found):
    """As they would not on machines of which each has its own disk."""
    folders = [tmp_path / "0", tmp_path / "1"]
    train = ("train", "--quiet", "--hidden", "4", "--batch-size", "512", "--optimizer", "adam")
    assert ended(*train, "--epochs", "2", "--output", folders[0]) == 0
    shutil.copytree(*folders)
    more = {"epochs": 3}

    def resumed():
        return on_threads(2, lambda each: resumed_run(folders[each.rank], None, more, each))

    assert [run.position.epoch for run in resumed()] == [3, 3]
    place, last = folders[1] / "checkpoints", checkpoints(folders[1])[-1]
    if change == "none":
        shutil.rmtree(place)
    elif change == "earlier":
        last.unlink()
    else:
        whole = read_checkpoint(place, int(last.stem))
        state = whole.position.state
        state = state._replace(slots=map_nested(lambda x: 2.0 * x, state.slots))
        other = whole._replace(position=whole.position._replace(state=state))
        assert save_checkpoint(place, other, get_backend("numpy"))
    reason = f"^the checkpoint of process 1 is {found} [0-9a-f]{{16}} after step"
    with pytest.raises(ValueError, match=reason):
        resumed()


@pytest.mark.slow
def test_processes_must_have_the_same_command(run_of_one, tmp_path):
    commands = ("train", "--output", tmp_path / "run"), ("train", "--resume", run_of_one)
    done = together(*((1, *PROGRAM, *each, *DISTRIBUTED) for each in commands))
    assert done.returncode == 2
    assert done.stderr.count("Error") == 1
    assert "the command of process 1 is train --resume, expected train as on process 0" in (
        done.stderr
    )


@pytest.mark.slow
def test_fewer_examples_than_processes_are_refused(tmp_path):
    path = tmp_path / "few.npz"
    x, y = np.eye(2), np.arange(2)
    np.savez(path, X=x, y=y, X_test=x, y_test=y)
    done = on(3, "train", "--data", path)
    assert done.returncode == 2
    assert done.stderr.count("inputs has 2 examples for 3 processes") == 1


def differing(*others, environments=({}, {}), common=(), cwd=None):
    """Return what is left of two processes with different arguments or environments."""
    train = ("train", "--epochs", "1", *DISTRIBUTED, *common)
    command = command_of(*((1, *PROGRAM, *train, *each) for each in others))
    for place, environment in zip((1, command.index(":") + 1), environments, strict=True):
        given = [("-env", name, value) for name, value in environment.items()]
        command[place:place] = [word for words in given for word in words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=cwd
    )


@pytest.mark.slow
def test_processes_with_other_settings_are_refused():
    done = differing((), ("--seed", "1"))
    assert done.returncode == 2
    assert done.stderr.startswith("Error: seed of process 1 is 1, expected 0 as on process 0")
    assert done.stderr.count("Error") == 1


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--distributed", "mpj"), "Error: distributed is 'mpj'"),
        (("--resume", "nowhere", "--checkpoint-minutes", "-1"), "Error: checkpoint_minutes is -1"),
    ],
)
def test_an_error_of_one_process_that_has_not_joined_ends_all(arguments, words, place):
    both = [(), ()]
    both[place] = arguments
    done = differing(*both)
    assert done.returncode == 2
    first, last = done.stderr.splitlines()
    assert first.startswith(words)
    assert last == f"Error: process {place} of 2 failed; all processes end"


@pytest.mark.slow
def test_a_wrong_option_of_a_process_that_is_not_the_first_is_said():
    done = differing((), ("--hiden", "3"))
    assert done.returncode == 2
    first, last = done.stderr.splitlines()
    assert first.startswith("Error: No such option: --hiden")
    assert last == "Error: process 1 of 2 failed; all processes end"


@pytest.mark.slow
def test_processes_with_other_data_are_refused(tmp_path):
    paths = [tmp_path / f"{number}.npz" for number in range(2)]
    for number, path in enumerate(paths):
        np.savez(path, X=np.eye(28) * (1 + number), y=np.arange(28) % 2)
    done = differing(*(("--data", path) for path in paths))
    assert done.returncode == 2
    assert done.stderr.startswith("Error: data_sha256 of process 1 differ")
    shutil.copy(paths[0], paths[1])
    assert differing(*(("--data", path) for path in paths)).returncode == 0  # elsewhere


@pytest.mark.slow
def test_process_0_alone_needs_a_free_folder(tmp_path):
    (tmp_path / "used").write_text("")
    both = (("--output", tmp_path / name) for name in ("run", "used"))
    done = differing(*both, common=("--hidden", "4"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_processes_with_other_code_are_refused(tmp_path):
    shutil.copytree(Path(pluggable_mlp.__file__).parent, tmp_path / "pluggable_mlp")
    changed = tmp_path / "pluggable_mlp" / "special.py"
    changed.write_text(changed.read_text() + "\n")
    environments = {}, {"PYTHONPATH": str(tmp_path)}
    done = differing((), (), environments=environments, cwd=tmp_path.parent)
    assert done.returncode == 2
    assert "the code of pluggable_mlp of process 1 differ" in done.stderr


@pytest.mark.slow
def test_libraries_may_differ_under_reproducible_alone(run_of_one, tmp_path):
    pytest.importorskip("torch")
    folder = tmp_path / "run"
    both = ("--backend", "numpy"), ("--backend", "torch")
    done = differing(*both, common=(*SETTINGS, "--epochs", "4", "--output", folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert told(folder) == told(run_of_one)
    done = differing(*both)
    assert done.returncode == 2
    assert "libraries of process 1 is ('torch'" in done.stderr


@pytest.mark.slow
def test_an_installation_without_mpi4py_says_what_to_install(tmp_path):
    broken = {
        "ImportError('No module named mpi4py')": "no mpi4py",
        "RuntimeError('cannot load MPI library')": "no MPI library",
    }
    for error in broken:
        (tmp_path / "mpi4py.py").write_text(f"raise {error}\n")
        with running("train", *DISTRIBUTED, env=os.environ | {"PYTHONPATH": str(tmp_path)}) as one:
            _, err = one.communicate(timeout=300)
        assert one.returncode == 3
        assert "pip install 'pluggable-mlp[mpi]'" in err
        assert err.count("Error") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "not started by mpiexec; write mpiexec -n 4, for four processes, before"),
        ({"OMPI_COMM_WORLD_SIZE": "3"}, "mpiexec started 3 processes, but MPICH knows of one"),
    ],
)
def test_a_launcher_of_this_mpi_library_is_needed(environment, words):
    pytest.importorskip("mpi4py")
    with running("train", *DISTRIBUTED, env=os.environ | environment) as child:
        _, err = child.communicate(timeout=300)
    assert child.returncode == 2
    assert err.count("Error") == 1
    assert words in err


@pytest.mark.slow
def test_nccl_without_a_gpu_is_reported_once():
    if next(one for one in available_backends() if one.name == "cupy").available:
        pytest.skip("there is a GPU")
    command = ("train", "--distributed", "nccl", "--backend", "cupy")
    done = together((2, *PROGRAM, *command))
    assert done.returncode == 3
    assert done.stderr.count("Error: backend cupy is not available") == 1
