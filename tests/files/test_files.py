"""Files that are whole or not there, and JSON for any reader."""

import hashlib
import json
import math
import os
import stat

import pytest

from pluggable_mlp.files import json_sha256, to_json, write_file


def test_a_file_for_which_there_is_no_room_leaves_the_old_one(tmp_path):
    resource = pytest.importorskip("resource")
    (tmp_path / "a").write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            write_file(tmp_path / "a", b"new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


@pytest.mark.skipif(os.name != "posix", reason="folders are flushed on POSIX")
def test_a_file_is_flushed_before_it_has_its_name_and_its_folder_after(tmp_path, monkeypatch):
    flushed, honest = [], os.fsync

    def fsync(descriptor):
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        flushed.append((folder, [path.name for path in tmp_path.iterdir()]))
        honest(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_file(tmp_path / "a", b"new")
    assert flushed == [(False, ["a.part"]), (True, ["a"])]


CONTENT = {"a": [1.5, math.nan, {"b": -math.inf}], "c": (math.inf, True, None), "d": "é", "e": 3}


@pytest.mark.parametrize("indent", [None, 2])
def test_infinite_numbers_and_nan_become_null(indent):
    read = json.loads(to_json(CONTENT, indent=indent), parse_constant=pytest.fail)
    assert read == {"a": [1.5, None, {"b": None}], "c": [None, True, None], "d": "é", "e": 3}


def test_the_hash_is_of_what_json_says_not_of_its_layout():
    content = {"ü": "b", "a": [1.5, math.nan]}
    canonical = b'{"a":[1.5,null],"\\u00fc":"b"}'
    assert json_sha256(content) == hashlib.sha256(canonical).hexdigest()
    assert json_sha256(json.loads(to_json(content, indent=2))) == json_sha256(content)
