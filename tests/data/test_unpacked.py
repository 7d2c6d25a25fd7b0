"""How much a file may become in memory: what is too much is refused before it is read.

`ci/fuzz.py` measures the memory; here each bomb, and the same file with a higher limit.
"""

import gzip
import pickle
import struct
import zipfile

import numpy as np
import pytest

from pluggable_mlp import DataError
from pluggable_mlp.data.load import load_inputs, load_source
from pluggable_mlp.options import DataOptions

LIMIT = "PLUGGABLE_MLP_UNPACKED_GIB"
REMEDY = f"; if you trust it, set {LIMIT} to more, such as 4"

ROWS = 2**19


def gzipped(content):
    return lambda path: path.write_bytes(gzip.compress(content, mtime=0))


def npz(method):
    def write(path):
        with zipfile.ZipFile(path, "w", method) as archive:
            with archive.open("X.npy", "w") as member:
                np.save(member, np.zeros(ROWS))
            with archive.open("y.npy", "w") as member:
                np.save(member, np.zeros(ROWS))

    return write


def columns(method, compression):
    """Return what writes a table of numbers."""

    def write(path):
        polars = pytest.importorskip("polars")
        column = polars.Series("X", np.zeros(ROWS))
        table = polars.DataFrame([column, column.alias("y")])
        getattr(table, method)(path, compression=compression)

    return write


def idx():
    return gzipped(struct.pack(">4BI", 0, 0, 8, 1, 8 * ROWS) + bytes(8 * ROWS))


def classic():
    pair = (np.zeros((ROWS, 1)), np.zeros(ROWS, np.int64))
    return gzipped(pickle.dumps((pair, pair, pair), protocol=4))


BOMBS = {
    "table.csv.gz": gzipped(b"x,y\n" + b"0,0\n" * ROWS),
    "table.tsv.gz": gzipped(b"x\ty\n" + b"0\t0\n" * ROWS),
    "images.gz": idx(),
    "classic.pkl.gz": classic(),
    "arrays.npz": npz(zipfile.ZIP_DEFLATED),
    "zstd.parquet": columns("write_parquet", "zstd"),
    "gzip.parquet": columns("write_parquet", "gzip"),
    "lz4.feather": columns("write_ipc", "lz4"),
    "zstd.feather": columns("write_ipc", "zstd"),
}


def read(path):
    return load_inputs(path) if path.name.startswith("images") else load_source(DataOptions(path))


@pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")
@pytest.mark.parametrize("name", BOMBS)
def test_what_becomes_too_large_is_refused_until_the_limit_is_raised(tmp_path, monkeypatch, name):
    path = tmp_path / name
    BOMBS[name](path)
    monkeypatch.setenv(LIMIT, "0")
    most = 256 * path.stat().st_size / 2**20
    with pytest.raises(DataError) as refused:
        read(path)
    fault = f"{path}: becomes more than {most:,.0f} MiB in memory, the most for its size"
    assert str(refused.value) == fault + REMEDY
    monkeypatch.setenv(LIMIT, "1")
    read(path)


@pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")
@pytest.mark.parametrize(
    ("name", "size"), [("table.csv.gz", 2), ("zstd.parquet", 16), ("zstd.feather", 16)]
)
def test_what_a_table_counts(tmp_path, monkeypatch, name, size):
    """2**20 values of 16 bytes are 16 MiB, and `ROWS` lines "0,0" are 2 MiB."""
    path = tmp_path / name
    BOMBS[name](path)
    monkeypatch.setenv(LIMIT, str((size - 1) / 1024))
    with pytest.raises(DataError, match=f"becomes more than {size - 1} MiB in memory"):
        read(path)
    monkeypatch.setenv(LIMIT, str((size + 1) / 1024))
    read(path)


def test_the_limit_is_64_mebibytes_or_256_times_the_size(tmp_path, monkeypatch):
    """gzip takes no notice of zeros at the end, by which a file has any size."""
    monkeypatch.delenv(LIMIT, raising=False)
    path = tmp_path / "images.gz"
    gzipped(struct.pack(">4BI", 0, 0, 8, 1, 2**26 - 8) + bytes(2**26 - 8))(path)
    assert load_inputs(path).size == 2**26 - 8
    gzipped(struct.pack(">4BI", 0, 0, 8, 1, 2**26 - 7) + bytes(2**26 - 7))(path)
    with pytest.raises(DataError, match="becomes more than 64 MiB in memory"):
        load_inputs(path)
    monkeypatch.setenv(LIMIT, "0")
    gzipped(struct.pack(">4BI", 0, 0, 8, 1, 2**20 - 8) + bytes(2**20 - 8))(path)
    content = path.read_bytes()
    path.write_bytes(content.ljust(2**12, b"\0"))
    assert load_inputs(path).size == 2**20 - 8
    path.write_bytes(content.ljust(2**12 - 1, b"\0"))
    with pytest.raises(DataError, match="becomes more than 1 MiB in memory"):
        load_inputs(path)


def test_the_columns_of_a_table_are_bounded(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes((b"0," * 50_000 + b"0\n") * 2)
    pytest.importorskip("polars")
    with pytest.raises(DataError, match="has 50,001 columns, expected at most 50,000; .*savez"):
        read(path)


@pytest.mark.parametrize("limit", ["", "much", "-1", "nan"])
def test_the_limit_is_a_number(tmp_path, monkeypatch, limit):
    monkeypatch.setenv(LIMIT, limit)
    BOMBS["images.gz"](tmp_path / "images.gz")
    with pytest.raises(ValueError, match=f"{LIMIT} is '?{limit}.*, expected a finite number of"):
        load_inputs(tmp_path / "images.gz")
