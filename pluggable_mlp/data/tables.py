"""Tables of numbers: NumPy's .npz and comma-separated text.

Both hold one table as a rule; `build_dataset` divides it.
"""

import io
import os
import zipfile
from collections.abc import Sequence

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.files import GET_A_NEW_COPY, decompressed_limit, open_bounded
from pluggable_mlp.data.source import Source

__all__ = ["read_csv", "read_csv_table", "read_npz", "read_npz_arrays"]


def read_npz(path: str) -> Source:
    """Read an .npz file with `X` (n, ...) and `y` (n,), and perhaps `X_test` and `y_test`.

    Which numbers are pixels, and what becomes the test part where there is none, is said in
    `build_dataset`.

    Raises
    ------
    DataError
        If the file is damaged, an array is missing, or holds objects instead of numbers.
    """
    arrays = read_npz_arrays(path, ("X", "y"), ("X_test", "y_test"))
    test = (arrays["X_test"], arrays["y_test"]) if "X_test" in arrays else None
    return Source(path, (arrays["X"], arrays["y"]), test)


def read_npz_arrays(
    path: str, needed: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, Array]:
    """Read arrays of an .npz file by their names: the needed ones, and the optional ones if any.

    Raises
    ------
    DataError
        If the file is damaged, an array is missing, or holds objects instead of numbers.
    """
    if not os.path.isfile(path):
        raise DataError(path, "there is no such file", "check the path")
    remedy = f"write it with numpy.savez(path, {', '.join(f'{name}={name}' for name in needed)})"
    try:
        with zipfile.ZipFile(path) as archive:
            present = {name.removesuffix(".npy") for name in archive.namelist()}
            wanted = [*needed, *(optional if present & set(optional) else ())]
            missing = [name for name in wanted if name not in present]
            if missing:
                fault = (
                    f"has no {' and no '.join(missing)}; it has {', '.join(sorted(present)[:20])}"
                )
                raise DataError(path, fault, remedy)
            return _read_members(path, archive, wanted)
    except DataError:
        raise
    except Exception as error:  # zipfile and numpy.lib.format do not say what a bad file raises
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(path, f"is no readable .npz file: {reason}", remedy) from error


def _read_members(path: str, archive: zipfile.ZipFile, names: list[str]) -> dict[str, Array]:
    limit = decompressed_limit(path)
    arrays = {}
    for name in names:
        entry = archive.getinfo(f"{name}.npy")
        limit -= entry.file_size
        if limit < 0:
            fault = "its arrays decompress to unreasonably many bytes"
            raise DataError(path, fault, "write it with numpy.savez, which does not compress")
        with archive.open(entry) as member:
            arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
            if member.read(1):  # at its end the checksum is compared, too
                raise DataError(path, f"bytes follow after the end of {name}", GET_A_NEW_COPY)
    return arrays


def read_csv(path: str) -> Source:
    """Read a table of comma-separated numbers, plain or gzipped, a label in the last column.

    A first line that is not numbers is taken for the names of the columns.  The
    rest is float64.

    Raises
    ------
    DataError
        If a field is no number, the lines are of different length, or the table is empty.
    """
    table = read_csv_table(path)
    if table.shape[1] < 2:
        fault = "has one column"
        raise DataError(path, fault, "separate by commas: the features, then an integer label")
    return Source(path, (table[:, :-1], table[:, -1]))


def read_csv_table(path: str) -> Array:
    """Read a table of comma-separated numbers as float64 (rows, columns)."""
    with open_bounded(path) as file:
        data = file.read_rest()
    try:
        with io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig") as text:
            filled = ((i, line) for i, line in enumerate(text) if line.strip())
            header_at, first = next(filled, (0, ""))
            has_header = not _has_number(first)
            if has_header and next(filled, None) is None:
                raise DataError(path, "holds no numbers", "give a line of numbers per example")
            text.seek(0)
            table = np.loadtxt(
                text,
                delimiter=",",
                skiprows=header_at + 1 if has_header else 0,
                ndmin=2,
                comments=None,
                quotechar='"',
            )
    except DataError:
        raise
    except ValueError as error:
        fault = f"is no table of numbers: {str(error).split(';')[0]}"
        remedy = "give a line per example, all with as many numbers, separated by commas"
        raise DataError(path, fault, remedy) from error
    if not np.isfinite([table.min(), table.max()]).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        fault = (
            f"holds {table[row, column]} in column {column + 1} of the line of numbers {row + 1}"
        )
        raise DataError(path, fault, "remove or fill such values first")
    return table


def _has_number(line: str) -> bool:
    for field in line.split(",", 100)[:100]:
        try:
            float(field.strip().strip('"'))
        except ValueError:
            continue
        return True
    return False
