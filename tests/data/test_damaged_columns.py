"""Parquet files with a changed byte: a table or an error, and polars is quiet."""

import subprocess
import sys

import pytest

from tests.distributed.processes import ROOT

pytest.importorskip("polars")

PROGRAM = """
import sys
import polars
from pluggable_mlp import DataError
from pluggable_mlp.data.load import load_source
from pluggable_mlp.options import DataOptions
path, *masks = sys.argv[1:]
table = polars.DataFrame({"a": [1.5, 2.0, 3.0], "b": ["x", "yy", None], "c": [True, False, None]})
table.write_parquet(path, compression="zstd")
content = open(path, "rb").read()
refused = 0
for place in range(len(content)):
    for mask in map(int, masks):
        changed = bytearray(content)
        changed[place] ^= mask
        open(path, "wb").write(changed)
        try:
            load_source(DataOptions(path))
        except DataError as error:
            assert str(error).startswith(f"{path}: ") and "\\n" not in str(error), error
            refused += 1
        except BaseException as error:
            print(place, mask, repr(error)[:300])
print(refused > 100)
"""


@pytest.mark.slow
def test_a_changed_byte_is_refused_in_one_line_or_harmless(tmp_path):
    """Also where polars panics, which is no `Exception` of Python, and writes a trace.

    These changes misstate no size: other ones may end the process, as docs/how-to/data.md says.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "table.parquet", "16", "255"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
