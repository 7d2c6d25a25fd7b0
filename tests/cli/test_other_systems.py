"""What Windows and macOS do otherwise, played on POSIX: functions of the system refuse."""

import errno
import os
import stat
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pluggable_mlp.files import write_file
from pluggable_mlp.host.lazy import as_lazy
from tests.cli.children import posix
from tests.cli.saved_runs import assert_complete, names, trained

fcntl = pytest.importorskip("fcntl")
pytestmark = posix


def refusing(patch, module, name, when, number=errno.EACCES):
    """Have a function refuse some of its calls."""
    honest = getattr(module, name)

    def function(*arguments, **options):
        if when(*arguments, **options):
            raise OSError(number, os.strerror(number))
        return honest(*arguments, **options)

    patch.setattr(module, name, function)


def is_only_read(descriptor):
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY


def is_read_only(path, *, dir_fd=None):
    return not os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode & stat.S_IWRITE


def refusing_to_rename(patch, suffix, times):
    """Have each path be refused so many times, as while a viewer or a scanner has a file open."""
    tried = Counter()

    def is_refused(path, *_):
        tried[path] += 1
        return Path(path).suffix == suffix and tried[path] % (times + 1)

    patch.setattr("pluggable_mlp.runs.folder.RENAMED_WHILE_LOCKED", bool(suffix), raising=False)
    patch.setattr("time.sleep", lambda _: None)
    refusing(patch, os, "replace", is_refused)


PLAYS = {
    "files to read are not flushed": lambda patch: refusing(
        patch, os, "fsync", is_only_read, errno.EBADF
    ),
    "there is no is_mount": lambda patch: patch.setattr(Path, "is_mount", None),
    "files are open for a moment": lambda patch: refusing_to_rename(patch, ".part", 2),
    "the old run is open for an epoch": lambda patch: refusing_to_rename(patch, "", 5),
    "no read-only file is removed": lambda patch: refusing(patch, os, "unlink", is_read_only),
    "no lock is released": lambda patch: refusing(
        patch, fcntl, "flock", lambda _, operation: operation == fcntl.LOCK_UN
    ),
}


@pytest.mark.parametrize("play", PLAYS)
def test_a_run_is_written_and_replaced(command, tmp_path, monkeypatch, play):
    run = trained(tmp_path / "run", epochs=1, hidden=(8,))
    (run / "config.json").chmod(0o444)
    PLAYS[play](monkeypatch)
    options = ("train", "--quiet", "--hidden", 8, "--epochs", 2)
    assert command(*options, "--seed", 1, "--overwrite", "--output", run).code == 0
    assert command("train", "--quiet", "--epochs", 3, "--resume", run).code == 0
    assert_complete(run, command)
    assert names(tmp_path) == {"run"}


def test_an_old_run_that_is_not_removed_is_told(told, tmp_path, monkeypatch):
    run = trained(tmp_path / "run", epochs=1, hidden=(8,))
    options = ("train", "--quiet", "--hidden", 8, "--epochs", 1, "--overwrite", "--output", run)
    with monkeypatch.context() as patch:
        refusing(patch, os, "unlink", lambda path, **_: str(path).endswith("model.safetensors"))
        outcome = told(*options)
        assert (outcome.code, names(tmp_path)) == (0, {"run", "run.old"})
    words = "run.old is perhaps the run that"
    assert words in outcome.err
    assert words in told("train", "--quiet", "--resume", run).err
    assert "remove it if" in told(*options).err
    (run / "config.json").unlink()
    assert words in told("train", "--resume", run).err


def test_a_temporary_file_may_be_open(command, tmp_path, monkeypatch):
    run = trained(tmp_path / "run", epochs=1, hidden=(8,))
    np.save(tmp_path / "x.npy", np.zeros((3, 64)))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    refusing(monkeypatch, os, "unlink", lambda path, **_: "standard input" in str(path))
    with (tmp_path / "x.npy").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert command("predict", run, "-", "--suffix", ".npy").code == 0


def test_a_disk_may_have_one_number_for_paths_and_one_for_open_files(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.arange(3.0))
    mapped, honest = np.load(tmp_path / "x.npy", mmap_mode="r"), os.stat

    def stat_of_path(path):
        names = ("st_ino", "st_size", "st_mtime_ns")
        return SimpleNamespace(st_dev=-1, **{name: getattr(honest(path), name) for name in names})

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat_of_path)
        assert as_lazy(mapped)[1:].tolist() == [1.0, 2.0]


def test_macos_is_asked_to_flush_the_disk_itself(tmp_path, monkeypatch):
    asked = []
    with monkeypatch.context() as patch:
        patch.setattr("sys.platform", "darwin")
        patch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
        patch.setattr(fcntl, "fcntl", lambda _, command: asked.append(command))
        write_file(tmp_path / "a", b"content")
    assert asked == [51]
