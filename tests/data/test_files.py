"""Bounded reading of plain and gzipped files."""

import gzip
import os

import pytest

from pluggable_mlp.data import DataError
from pluggable_mlp.data.files import decompressed_limit, open_bounded

MIB = 2**20


@pytest.fixture
def bomb(tmp_path):
    """1 GiB of zeros in about 1 MiB: gzip files one after the other are one gzip file."""
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(16 * MIB), mtime=0) * 64)
    assert path.stat().st_size < 2 * MIB
    return str(path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_plain_and_gzipped_files_read_alike_whatever_their_name(tmp_path, pack):
    path = tmp_path / "file.gz"
    path.write_bytes(pack(b"ab\ncdefg"))
    with open_bounded(str(path)) as file:
        assert file.read(2) == b"ab"
        assert file.readline() == b"\n"
        assert file.read_rest() == b"cdefg"
        file.expect_end()


def test_a_line_is_bounded(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10_000)
    with open_bounded(str(path)) as file:
        assert len(file.readline()) == 1024


def test_a_header_that_does_not_fit_is_refused_before_reading(tmp_path, peak_memory):
    path = tmp_path / "file"
    path.write_bytes(b"12345")

    def read():
        with (
            open_bounded(str(path)) as file,
            pytest.raises(DataError, match="1099511627776 bytes are due where at most 5"),
        ):
            file.read(2**40)

    assert peak_memory(read) < MIB


def test_a_bomb_is_cut_off(bomb, peak_memory):
    limit = decompressed_limit(bomb)

    def read():
        with pytest.raises(DataError, match="bomb"), open_bounded(bomb) as file:
            file.read_rest()

    assert limit < 100 * MIB
    assert peak_memory(read) < 1.5 * limit


def test_bytes_after_the_end_are_a_fault(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    with open_bounded(str(path)) as file:
        file.read(4)
        with pytest.raises(DataError, match="bytes follow"):
            file.expect_end()


@pytest.mark.parametrize("keep", [1, 5, -9, -8, -1])
def test_a_truncated_gzip_file_is_a_fault(tmp_path, keep):
    path = tmp_path / "file.gz"
    path.write_bytes(b"\x1f\x8b" + gzip.compress(b"abcdefgh" * 100)[2:][:keep])
    with pytest.raises(DataError, match="cannot be read"), open_bounded(str(path)) as file:
        file.read_rest()


def test_a_wrong_checksum_is_a_fault(tmp_path):
    data = bytearray(gzip.compress(b"abcdefgh" * 100))
    data[-8] ^= 1
    path = tmp_path / "file.gz"
    path.write_bytes(data)

    def read():
        with open_bounded(str(path)) as file:
            assert file.read(800) == b"abcdefgh" * 100
            file.expect_end()

    with pytest.raises(DataError, match="CRC"):
        read()


def test_pipes_and_devices_are_not_opened(tmp_path):
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    for path in (pipe, os.devnull, str(tmp_path / "absent"), "a\0b"):
        with pytest.raises(DataError, match="no such file"), open_bounded(path):
            pass
    with pytest.raises(DataError, match="is a folder; give a file"), open_bounded(str(tmp_path)):
        pass
