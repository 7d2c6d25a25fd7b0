"""Processes that differ or cannot begin: what differs is named, in one line and once."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import pluggable_mlp
from pluggable_mlp.arrays import map_nested
from pluggable_mlp.backends import get_backend
from pluggable_mlp.options import Options
from pluggable_mlp.runs.checkpoints import read_checkpoint, resume_run, save_checkpoint
from pluggable_mlp.runs.run import Run
from tests.cli.children import running
from tests.cli.conftest import ended
from tests.cli.processes import DISTRIBUTED, PROGRAM, checkpoints
from tests.distributed.processes import command_of
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
        return on_threads(2, lambda each: resume_run(folders[each.rank], None, more, each))

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
        save_checkpoint(place, other)
    reason = f"^the checkpoint of process 1 is {found} [0-9a-f]{{16}} after step"
    with pytest.raises(ValueError, match=reason):
        resumed()


def differing(*others, environments=({}, {}), cwd=None):
    """Return what is left of two processes with different arguments or environments."""
    train = ("train", "--epochs", "1", *DISTRIBUTED)
    command = command_of(*((1, *PROGRAM, *train, *each) for each in others))
    for place, environment in zip((1, command.index(":") + 1), environments, strict=True):
        variables = [("-env", name, value) for name, value in environment.items()]
        command[place:place] = [word for words in variables for word in words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=cwd
    )


def test_processes_must_have_the_same_settings_and_data(tmp_path):
    """The data may be elsewhere."""
    for name, factor in (("here", 1), ("there", 1), ("other", 2)):
        np.savez(tmp_path / f"{name}.npz", X=np.eye(28) * factor, y=np.arange(28) % 2)

    def begun(second, seed=0):
        settings = [Options(data=str(tmp_path / "here.npz"))]
        settings.append(Options(data=str(tmp_path / f"{second}.npz"), seed=seed))
        backend = get_backend("numpy")
        return on_threads(2, lambda each: Run.of(settings[each.rank], backend, each))

    assert len(begun("there")) == 2
    with pytest.raises(ValueError, match="^data_sha256 of process 1 differs"):
        begun("other")
    with pytest.raises(ValueError, match="^seed of process 1 is 1, expected 0 as on process 0"):
        begun("there", seed=1)


@pytest.mark.parametrize("wrong", [("--epochs", "x"), ("--config", "missing.toml")])
def test_a_process_whose_arguments_may_be_its_own_names_what_is_wrong(command, monkeypatch, wrong):
    monkeypatch.setenv("PMI_RANK", "1")
    outcome = command("train", *DISTRIBUTED, *wrong)
    assert (outcome.code, outcome.err.count("Error")) == (2, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "words"),
    [
        (("--resume", "run"), "the command of process 1 is train --resume, expected train as on"),
        ((), "the code of pluggable_mlp of process 1 differ"),
    ],
)
def test_what_differs_is_named_once(tmp_path, other, words):
    environments = [{}, {}]
    if not other:
        shutil.copytree(Path(pluggable_mlp.__file__).parent, tmp_path / "changed/pluggable_mlp")
        changed = tmp_path / "changed/pluggable_mlp/special.py"
        changed.write_text(changed.read_text() + "\n")
        environments[1] = {"PYTHONPATH": str(tmp_path / "changed")}
    done = differing((), other, environments=environments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("Error") == 1
    assert words in done.stderr


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
