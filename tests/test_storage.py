"""Files that are whole or not there."""

import os

import pytest

from pluggable_mlp.storage import write_file


@pytest.mark.skipif(os.name != "posix", reason="devices of POSIX")
def test_a_disk_that_is_full_leaves_the_old_file(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"
