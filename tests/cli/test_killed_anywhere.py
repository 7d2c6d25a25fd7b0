"""Killed at any of its file operations, a run is there as it was or as it becomes, whole."""

import os
import re
import shutil

import pytest

from tests.cli.saved_runs import FILES, content, names, told

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")

OLD = ("--optimizer", "adam", "--epochs", 2)
NEW = (*OLD, "--seed", 1)
OFTEN = ("--checkpoint-minutes", 0)


@pytest.fixture(scope="module")
def whole(server, tmp_path_factory):
    """Runs that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    for name, options in (("old", OLD), ("new", NEW), ("long", (*OLD, "--epochs", 3))):
        result = server.run(*server.train, *options, "--output", folder / name)
        assert result.code == 0, result
    return folder


def killed_at_all(server, tmp_path, make, command, every=1):
    """Run a command on a new folder; yield it as a kill at one operation after the other leaves it.

    At one in so many of them; not if it is as one before: a flush to the disk changes nothing.
    """
    folder, copies = tmp_path / "made" / "run", tmp_path / "copies"
    folder.parent.mkdir()
    copies.mkdir()
    make(folder)
    result = server.run(*command, folder, folder=folder.parent, copies=copies)
    assert result.code == 0, result
    places, seen = range(1, result.operations + 1, every), []
    for copy in [*(copies / str(place) for place in places), folder.parent]:
        assert names(copy) <= {"run", "run.old"}
        if (state := state_of(copy)) not in seen:
            seen.append(state)
            yield copy / "run"


def state_of(folder):
    """What is in a folder, but for numbers with a fraction, which may be times."""
    return {
        path.relative_to(folder): path.is_dir() or re.sub(rb"\d+\.\d+", b"", path.read_bytes())
        for path in folder.rglob("*")
    }


def resumed(server, folder, *more):
    """Go on with a run to its end; return what it says."""
    result = server.run("train", "--quiet", "--resume", folder, *more)
    assert result.code == 0, result
    assert names(folder) == FILES
    return told(folder)


@pytest.mark.slow
def test_a_new_run(server, whole, tmp_path):
    """It goes on, or nothing is in the way of another."""
    command = (*server.train, *NEW, *OFTEN, "--output")
    for folder in killed_at_all(server, tmp_path, lambda folder: None, command):
        if (folder / "config.json").exists():
            assert resumed(server, folder) == told(whole / "new")
        else:
            result = server.run(*server.train, *NEW, "--output", folder)
            assert (result.code, names(folder)) == (0, FILES)


@pytest.mark.slow
@pytest.mark.parametrize(("often", "every"), [(OFTEN, 1), ((), 7)])
def test_a_run_that_replaces_another(server, whole, tmp_path, often, every):
    """The old run is whole, there or aside, or the new one is or has a checkpoint."""
    command = (*server.train, *NEW, *often, "--overwrite", "--output")
    seen = set()

    def make(folder):
        shutil.copytree(whole / "old", folder)

    for folder in killed_at_all(server, tmp_path, make, command, every):
        aside = folder.with_name("run.old")
        is_aside, has_config = aside.exists(), (folder / "config.json").exists()
        if not list(folder.glob("checkpoints/*.safetensors")):
            assert told(aside) == told(whole / "old")
            assert server.run("verify", aside).code == 0
        evaluated = server.run("evaluate", folder).code
        seed = content(folder, "config.json")["settings"]["seed"] if has_config else None
        seen.add((is_aside, evaluated, seed))
        if seed == 0:
            assert not is_aside
            assert told(folder) == told(whole / "old")
            assert evaluated == server.run("verify", folder).code == 0
        result = server.run("train", "--quiet", "--resume", folder)
        assert result.code == (0 if has_config else 2)
        assert ("run.old" in result.err) == is_aside
        if has_config:
            assert told(folder) == told(whole / ("new" if seed else "old"))
            assert names(folder) == FILES
        if is_aside:
            assert "run.old exists" in server.run(*command, folder).err
            shutil.rmtree(aside)
    assert {(False, 0, 0), (False, 2, 1), (False, 0, 1)} <= seen
    if often:
        assert {(True, 2, 1), (True, 2, None)} <= seen


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 17])
def test_a_run_that_is_prolonged(server, whole, tmp_path, every):
    """It has ended, shorter or longer, or goes on."""
    command = ("train", "--quiet", "--epochs", 3, *OFTEN, "--resume")

    def make(folder):
        shutil.copytree(whole / "old", folder)

    seen, epochs = set(), set()
    for folder in killed_at_all(server, tmp_path, make, command, every):
        ended = (folder / "summary.json").exists()
        seen.add(content(folder, "summary.json")["epochs"] if ended else None)
        result = server.run("verify", folder)
        assert result.code == (0 if ended else 2), result
        assert ended or "has not ended; finish it with --resume" in result.err
        resumed(server, folder)  # to what it was to have
        epochs.add(content(folder, "summary.json")["epochs"])
        assert resumed(server, folder, "--epochs", 3) == told(whole / "long")
    assert seen == {2, 3, None}
    assert epochs == {2, 3}


@pytest.mark.slow
def test_a_run_that_goes_on_after_a_kill(server, whole, tmp_path):
    """And is killed again."""
    copies = tmp_path / "first"
    copies.mkdir()
    command = (*server.train, *NEW, *OFTEN, "--output", tmp_path / "new" / "run")
    (tmp_path / "new").mkdir()
    assert server.run(*command, folder=tmp_path / "new", copies=copies).code == 0
    half = copies / "50" / "run"
    command = ("train", "--quiet", *OFTEN, "--resume")

    def make(folder):
        shutil.copytree(half, folder)

    for folder in killed_at_all(server, tmp_path, make, command):
        assert resumed(server, folder) == told(whole / "new")
