"""Tables as readers return them, and in every form that a user has."""

import gzip

import numpy as np
import pytest

polars = pytest.importorskip("polars")


def frame_of(**columns):
    """A table of these columns: numbers, or an Enum of texts; None is missing."""
    series = []
    for name, values in columns.items():
        present = [value for value in values if value is not None]
        is_text = any(isinstance(value, str) for value in present)
        kind = polars.Enum(sorted(set(present))) if is_text else polars.Float64
        series.append(polars.Series(name, list(values), dtype=kind))
    return polars.DataFrame(series)


def text(table, header=True, end="\n", delimiter=","):
    """The bytes of a table of texts."""
    asked = {"include_header": header, "separator": delimiter, "line_terminator": end}
    return table.write_csv(**asked).encode()


def saved(suffix, content):
    """Return what writes a table to a file, and returns its path."""

    def write(table, folder):
        path = folder / f"table [1]{suffix}"  # brackets are no pattern
        frame = content(table)
        path.write_bytes(frame) if isinstance(frame, bytes) else frame(path)
        return path

    return write


def as_pandas(table, folder):
    pandas = pytest.importorskip("pandas")
    columns = table.to_dict(as_series=False)
    for name, dtype in table.schema.items():
        if dtype.is_integer() and table[name].null_count():
            columns[name] = pandas.array(columns[name], dtype="Int64")
        elif dtype == polars.String:
            columns[name] = pandas.Categorical(columns[name])
    return pandas.DataFrame(columns)


def as_pyarrow(table, folder):
    return pytest.importorskip("pyarrow").table(table.to_dict(as_series=False))


def as_array(table):
    return table.cast(polars.Float64).to_numpy()


COLUMNAR = {
    "parquet": saved(".parquet", lambda table: table.write_parquet),
    "feather": saved(".feather", lambda table: table.write_ipc),
    "polars": lambda table, folder: table,
    "pyarrow": as_pyarrow,
}
FORMS = COLUMNAR | {
    "csv": saved(".csv", text),
    "lines of Windows": saved(".csv", lambda table: text(table, end="\r\n")),
    "semicolons": saved(".csv", lambda table: text(table, delimiter=";")),
    "tsv": saved(".tsv", lambda table: text(table, delimiter="\t")),
    "gzip": saved(".csv.gz", lambda table: gzip.compress(text(table), mtime=0)),
    "pandas": as_pandas,
}
WITHOUT_NAMES = {
    "no header": saved(".csv", lambda table: text(table, header=False)),
    "npy": saved(".npy", lambda table: lambda path: np.save(path, as_array(table))),
    "array": lambda table, folder: as_array(table),
}
