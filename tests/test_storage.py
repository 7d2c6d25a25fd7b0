"""Files that are whole or not there."""

import os

import pytest

from pluggable_mlp.storage import read_file, write_file


@pytest.mark.skipif(os.name != "posix", reason="devices of POSIX")
def test_a_disk_that_is_full_leaves_the_old_file(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_might_never_end_is_not_read(tmp_path, kind):
    path = tmp_path / "a"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(ValueError, match="a is not a file; expected a model"):
        read_file(path, "a model")
