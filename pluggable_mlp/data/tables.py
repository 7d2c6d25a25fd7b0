"""Tables of numbers: comma-separated text, and NumPy's .npz and .npy files.

What is wrong with a text is told by the lines and columns of an editor: counted from 1, blank
lines and the header among them.
"""

import csv
import io
import math
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import DataError, Source, Split
from pluggable_mlp.data.files import GET_A_NEW_COPY, decompressed_limit, open_bounded

__all__ = ["has_header", "read_csv", "read_csv_table", "read_npy", "read_npz", "read_npz_arrays"]

ONE_LINE_PER_EXAMPLE = "give a line per example, all with as many numbers, separated by commas"

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?", "-", "."))
"""What stands for a number that is missing, in lower case."""

SURELY_COUNTED = 3
"""So many column numbers 0, 1, 2, … are not a coincidence."""


def read_csv(path: str) -> Source:
    """Read a table of comma-separated numbers, plain or gzipped, the target in the last column.

    A first line that `has_header` takes for names is left out; the rest is float64.

    Raises
    ------
    DataError
        If a field is not a number, the lines are of different length, or the table is empty.
    """
    table = read_csv_table(path)
    if table.shape[1] < 2:
        remedy = "separate by commas: the features, then a class or a number to predict"
        raise DataError(path, "has one column", remedy)
    return Source(path, {"train": Split(table[:, :-1], table[:, -1])})


def read_csv_table(path: str) -> Array:
    """Read a table of comma-separated numbers as float64 (rows, columns), all finite.

    Raises
    ------
    DataError
        As `read_csv`.
    """
    with open_bounded(path) as file:
        data = file.read_rest()
    _check_encoding(path, data)
    lines = _filled_lines(path, data)
    line, end, fields = next(lines, (0, 0, []))
    header = line > 0 and has_header(path, line, fields, (other for _, _, other in lines))
    rows = (row for row in islice(_text(data), end if header else 0, None) if not row.isspace())
    first = next(rows, None)
    if first is None:
        raise DataError(path, "holds no numbers", "give a line of numbers per example")
    try:
        table = np.loadtxt(
            chain([first], rows), delimiter=",", ndmin=2, comments=None, quotechar='"'
        )
    except ValueError as error:
        reason = f"is not a table of numbers: {str(error).partition(';')[0]}"
        raise _fault(path, data, header, reason) from error
    if not np.isfinite([table.min(), table.max()]).all():
        raise _fault(path, data, header, "holds NaN or infinity")
    return table


def _check_encoding(path: str, data: bytes) -> None:
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fault = f"is not UTF-8 text: line {line} holds the byte {data[error.start]:#04x}"
        raise DataError(path, fault, "save it as CSV in UTF-8") from None


def _text(data: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig")


def _filled_lines(path: str, data: bytes) -> Iterator[tuple[int, int, list[str]]]:
    """Yield each line that is not blank: its number, its last one's, its fields, stripped.

    A line within quotation marks goes on.
    """
    reader, line = csv.reader(_text(data)), 1
    try:
        for fields in reader:
            stripped = [field.strip() for field in fields]
            if len(stripped) > 1 or any(stripped):
                yield line, reader.line_num, stripped
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(path, f"line {line}: {error}", ONE_LINE_PER_EXAMPLE) from None


def _fault(path: str, data: bytes, header: bool, reason: str) -> DataError:
    """Return an error with the first field or line at fault; the reason where none is found."""
    lines = _filled_lines(path, data)
    if header:
        next(lines)
    first, width = 0, 0
    for line, _, fields in lines:
        first, width = first or line, width or len(fields)
        if any("\n" in field for field in fields):
            fault = f"line {line} has a quotation mark without its partner"
            return DataError(path, fault, "remove it, or close the quotation")
        if len(fields) != width:
            fault = f"line {line} has {len(fields)} fields, line {first} has {width}"
            return DataError(path, fault, ONE_LINE_PER_EXAMPLE)
        for column, field in enumerate(fields, 1):
            fault, remedy = _fault_of(field)
            if fault:
                return DataError(path, f"line {line}, column {column} {fault}", remedy)
    return DataError(path, reason, ONE_LINE_PER_EXAMPLE)


def _fault_of(field: str) -> tuple[str, str]:
    """Return what is wrong with a field, and the remedy; empty texts where nothing is."""
    shown = repr(field[:30])
    if field.lower() in MISSING:
        return f"holds {shown}" if field else "is empty", "fill or remove missing values first"
    if not is_number(field):
        for delimiter in (";", "\t", "|", " "):
            parts = field.split(delimiter)
            if len(parts) > 1 and is_number(parts[0]) and is_number(parts[1]):
                return f"holds {shown}", f"separate the numbers by commas, not by {delimiter!r}"
        remedy = "write numbers alone (number the classes), and names alone in a header"
        return f"holds {shown}, which is not a number", remedy
    if not math.isfinite(float(field)):
        return f"holds {shown}, which is not finite", "remove or fill such values first"
    return "", ""


def is_number(field: str) -> bool:
    """Return whether a field of a table reads as a number; NaN and infinity do."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field  # which is Python's alone


def has_header(path: str, line: int, fields: list[str], others: Iterable[list[str]]) -> bool:
    """Return whether the first line of a table names its columns.

    It does where no field is a number, and where its numbers count the columns: pandas' `0,1,2,3`,
    or `0,1,2,target`, or `label,1,2,3`.  A line of numbers that occurs again is an example.

    Parameters
    ----------
    path, line
        For errors: the file, and the number of its first line.
    fields : list of str
        Of the first line.
    others : iterable of lists of str
        Of the lines that follow; read only where numbers may be names.

    Raises
    ------
    DataError
        If the line may be either, or names pandas' index among the columns.
    """
    names = [field for field in fields if not is_number(field)]
    numbers = [field for field in fields if is_number(field)]
    if not names:
        return _are_names(path, line, numbers, others)
    unnamed = fields[0] == "" or fields[0].startswith("Unnamed: ")
    if any(name.lower() in MISSING for name in names[unnamed:]) or not (
        _count_from(0, numbers) or _count_from(1, numbers)
    ):
        return False
    if unnamed and len(fields) > 1:
        fault = f"column 1 has no name in line {line}: it is pandas' index, not a feature"
        raise DataError(path, fault, "write the table with to_csv(path, index=False)")
    return True


def _are_names(path: str, line: int, numbers: list[str], others: Iterable[list[str]]) -> bool:
    """Return whether numbers are the columns' names."""
    counted = _count_from(0, numbers)
    doubtful = counted or _count_from(1, numbers) or _made_distinct(numbers)
    if not doubtful or any(numbers == other for other in others):
        return False
    if counted and len(numbers) >= SURELY_COUNTED:
        return True
    shown = ",".join(numbers[:6]) + (",…" if len(numbers) > 6 else "")
    fault = f"line {line}, {shown}, may name the columns or be an example"
    raise DataError(path, fault, "write a line of names, a,b,…, above an example or in its place")


def _count_from(first: int, numbers: list[str]) -> bool:
    return numbers == [str(k) for k in range(first, first + len(numbers))]


def _made_distinct(numbers: list[str]) -> bool:
    """Return whether 0,0.1,0.2 is among them: of names that repeat pandas makes such ones."""
    place = {number: index for index, number in enumerate(numbers)}
    return any(
        index < place.get(f"{number}.1", -1) < place.get(f"{number}.2", -1)
        for number, index in place.items()
    )


def read_npz(path: str) -> Source:
    """Read an .npz file with `X` and `y`, and perhaps others for testing and for validation.

    `X` is (n, ...), `y` (n,) or (n, outputs); the others are `X_test` and `y_test`,
    `X_validation` and `y_validation`.  Which numbers are pixels, and what is for testing where
    there is no such pair, is said in `build_dataset`.

    Raises
    ------
    DataError
        If the file is damaged, an array is missing, or holds objects instead of numbers.
    """
    pairs = {part: (f"X_{part}", f"y_{part}") for part in ("test", "validation")}
    arrays = read_npz_arrays(path, ("X", "y"), pairs.values())
    pairs = {"train": ("X", "y")} | pairs
    splits = {part: Split(arrays[x], arrays[y]) for part, (x, y) in pairs.items() if x in arrays}
    return Source(path, splits)


def read_npz_arrays(
    path: str, needed: Sequence[str], optional: Iterable[Sequence[str]] = ()
) -> dict[str, Array]:
    """Read arrays of an .npz file by their names.

    The needed ones, and of the optional groups each that has one of its arrays there.

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
            groups = [group for group in optional if present & set(group)]
            wanted = [*needed, *chain.from_iterable(groups)]
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
        raise DataError(path, f"is not a readable .npz file: {reason}", remedy) from error


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


def read_npy(path: str) -> Array:
    """Read an array of numbers from an .npy file.

    Raises
    ------
    DataError
        If the file is damaged, or holds anything else.
    """
    with open_bounded(path):
        pass  # a path without a file gives the error of the other readers
    try:
        # Maps: nothing is allocated, and what is longer than the file is refused.
        array = np.load(path, allow_pickle=False, mmap_mode="r")
        if not isinstance(array, np.ndarray):
            raise ValueError("it holds no single array of numbers")
        return array
    except (ValueError, EOFError, OSError, SyntaxError) as error:
        reason = str(error).partition("\n")[0]
        remedy = "write it with numpy.save(path, X)"
        raise DataError(path, f"is not a readable .npy file: {reason}", remedy) from error
