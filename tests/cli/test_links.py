"""Links in a stranger's folder: nothing outside the folder is written or removed."""

import os
import shutil
from importlib.util import find_spec

import numpy as np
import pytest

from pluggable_mlp.runs.folder import GRAPH, PLOTS, REPORT
from tests.cli.children import posix
from tests.cli.saved_runs import FIGURES, FILES, lines, trained

pytestmark = posix
NEEDS = {"export": "ndonnx", "plot": "matplotlib", "report": "matplotlib", "log": "tensorboardX"}
IN_PLOTS = ("p.csv", *(f"{name}.png" for name in FIGURES["images"]))
WRITTEN = (*FILES, GRAPH, REPORT, *(f"{PLOTS}/{name}" for name in IN_PLOTS))
KINDS = {"link": os.symlink, "dangling link": os.symlink, "hard link": os.link}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("whole") / "run", epochs=1, hidden=(8,))


def seen(folder):
    """What is in a folder, and when it was written."""
    paths = [folder, *folder.rglob("*")]
    return [(path, path.stat().st_mtime_ns, path.is_dir() or path.read_bytes()) for path in paths]


def ended(command, run, name):
    """Run a command on a run, if what it needs is installed."""
    resume = ("train", "--quiet", "--epochs", 2, "--checkpoint-minutes", 0, "--resume", run)
    np.save(run.parent / "x.npy", np.zeros((3, 64)))
    arguments = {
        "predict": ("predict", run, run.parent / "x.npy", "--output", run / PLOTS / "p.csv"),
        "resume": resume,
        "log": (*resume, "--log", "tensorboard"),
        "overwrite": ("train", "--overwrite", "--epochs", 1, "--hidden", 8, "--output", run),
    }
    if find_spec(NEEDS.get(name, "os")):
        return command(*arguments.get(name, (name, run)))
    pytest.skip(f"{NEEDS[name]} is not installed")


NAMES = ("evaluate", "verify", "predict", "resume", "log", "export", "plot", "report", "overwrite")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_files_that_lead_outside_are_replaced(command, whole, tmp_path, name, kind):
    """All that are there, and the names of all that are written."""
    run, outside = shutil.copytree(whole, tmp_path / "run"), tmp_path / "outside"
    outside.mkdir()
    for path in [path for path in run.rglob("*") if path.is_file()]:
        KINDS[kind](shutil.move(path, outside), path)
    (run / PLOTS).mkdir()
    for place in [run / f"{file}{end}" for file in WRITTEN for end in ("", ".part")]:
        victim = outside / f"victim {place.name}"
        if "dangling" not in kind:
            victim.touch()
        if not place.exists():
            KINDS[kind](victim, place)
    before = seen(outside)
    assert ended(command, run, name).code == 0
    assert seen(outside) == before


REFUSED = [
    ("checkpoints", "resume", 2, "checkpoints is a link, expected a folder"),
    ("plots", "plot", 2, "plots is a link, expected a folder"),
    ("tensorboard", "log", 0, "tensorboard is a link, expected a folder"),
    ("lock", "resume", 2, "lock is a link, expected a file or none"),
    ("lock", "overwrite", 2, "lock is a link, expected a file or none"),
    ("../run.old", "overwrite", 2, "run.old exists, expected a free name"),
]


POSSIBLE = [
    (kind, *row) for kind in KINDS for row in REFUSED if kind != "hard link" or "lock" in row
]


@pytest.mark.parametrize(("kind", "place", "name", "code", "words"), POSSIBLE)
def test_others_are_refused(command, whole, tmp_path, kind, place, name, code, words):
    run, outside = shutil.copytree(whole, tmp_path / "run"), tmp_path / "outside"
    outside.mkdir()
    victim = outside / "victim"
    if place == "lock" and "dangling" not in kind:
        victim.write_text("keep")
    elif "dangling" not in kind:
        shutil.copytree(run / "checkpoints", victim)
    if (run / place).exists():
        shutil.rmtree(run / place)
    KINDS[kind](victim, run / place)
    before = seen(outside)
    outcome = ended(command, run, name)
    assert outcome.code == code
    assert words in outcome.err
    assert seen(outside) == before
    assert len(lines(run)) == (1 if code else 2)
