"""Plain and gzipped files."""

import gzip
import os

import pytest

from pluggable_mlp.data import DataError
from pluggable_mlp.data.arrays import read_bytes


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_plain_and_gzipped_files_read_alike_whatever_their_name(tmp_path, pack):
    path = tmp_path / "file.gz"
    path.write_bytes(pack(b"ab\ncdefg"))
    assert read_bytes(str(path)) == b"ab\ncdefg"


@pytest.mark.parametrize("keep", [1, 5, -9, -8, -1])
def test_a_truncated_gzip_file_is_a_fault(tmp_path, keep):
    path = tmp_path / "file.gz"
    path.write_bytes(b"\x1f\x8b" + gzip.compress(b"abcdefgh" * 100)[2:][:keep])
    with pytest.raises(DataError, match="cannot be read"):
        read_bytes(str(path))


def test_a_wrong_checksum_is_a_fault(tmp_path):
    data = bytearray(gzip.compress(b"abcdefgh" * 100))
    data[-8] ^= 1
    path = tmp_path / "file.gz"
    path.write_bytes(data)
    with pytest.raises(DataError, match="CRC"):
        read_bytes(str(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX")
def test_pipes_and_devices_are_not_opened(tmp_path):
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    for path in (pipe, os.devnull, str(tmp_path / "absent"), "a\0b"):
        with pytest.raises(DataError, match="no such file"):
            read_bytes(path)
    with pytest.raises(DataError, match="is a folder; give a file"):
        read_bytes(str(tmp_path))
