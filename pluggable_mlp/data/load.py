"""Choosing the reader for the name or the path that a user gives.

Readers and preparation are imported only when they are needed, because `load_dataset` is public.
"""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.values import Split, Splits, Task, source_of
from pluggable_mlp.fields import convert, refuse_unknown
from pluggable_mlp.training.recipes import NONE

if TYPE_CHECKING:
    from pluggable_mlp.data.preparation import Preparation
    from pluggable_mlp.options import DataOptions

ARRAYS = (".npz", ".pkl", ".pkl.gz")


def load_dataset(
    spec: Any,
    seed: int = 0,
    task: Task | None = None,
    *,
    preparation: "Preparation | None" = None,
    **options: Any,
) -> Dataset:
    """Load a data set by its name or its path, or take one from a data frame.

    Parameters
    ----------
    spec : str, path or data frame
        "digits": 1,797 embedded images of 8 x 8 pixels.
        "mnist", "fashion-mnist": 70,000 images of 28 x 28 pixels, looked for in the folder
        PLUGGABLE_MLP_DATA, by default the user's cache, else downloaded to it.
        A path: a folder of IDX files, or with `X.npy` and `y.npy`; or a file `*.pkl.gz` or `*.pkl`
        (the classic MNIST pickle), `*.npz` (`X` and `y`, perhaps with `_test` or `_validation` at
        their end), or a table, such as `*.csv`, `*.tsv` (each perhaps with `.gz`) or `*.parquet`.
        A data frame of pandas, polars, pyarrow or another library that narwhals supports.
    seed : int, default 0
        Seed of the split into training and test part, if the data have no test part.
    task : {"classification", "multilabel", "regression"}, optional
        Whether targets are class labels, rows of yes or no, or numbers to predict; by default
        determined by the targets (see `find_task`).
    preparation : Preparation, optional
        The preparation of an earlier data set, which replaces the task, the target, the scalings,
        the header, the encoding and the decimal mark.  By default one is fitted on the training
        part.
    **options
        Those of `pluggable-mlp train` that are listed below.

    Returns
    -------
    Dataset

    Other Parameters
    ----------------
    target : str, optional
        The column of a table to predict, by its name or its place, counted from 1; several are
        separated by commas.  By default the last.
    scaling : str, optional
        "standard", "minmax", "robust", "smooth_clip", "quantile", "pixels" or "none".
        How features are scaled, as fitted on the training part; by default "standard" for tables,
        else "none".  "pixels": whole numbers from 0 to 255 are 8-bit pixels, as uint8 always are.
    validation : float, optional
        The share of the training examples that is kept for validation; by default none, unless the
        data have a validation part.
    validation_by : str, optional
        The column of a table, by its name or its place, whose equal values keep rows together when
        a part is drawn; it is not a feature.
    target_scaling : {"standard", "minmax", "robust", "none"}, optional
        How the targets of a regression are scaled; by default not at all, unlike on the command
        line.
    block_size : int or None, default 0
        Whether inputs of .npy files stay on disk, and categories of tables stay codes, until
        `train(…, block_size=…)` reads them a block at a time: not if 0; if None, only if they take
        more than 1 GiB.
    test : str, path or data frame, optional
        Other data for testing, as for `spec`: their test part, or all their examples if they have
        none.  They are prepared as the training part is.
    test_share : float, optional
        The share of the examples that is kept for testing, at least 0 and below 1; by default one
        in seven, unless the data have a test part of their own.
    header : bool, optional
        Whether the first line of a .csv or .tsv names the columns; by default it does if no field
        is a number or missing.
    encoding : str, optional
        The encoding of a .csv or .tsv, by default UTF-8.
    decimal : {"point", "comma"}, default "point"
        The decimal mark of numbers in a .csv or .tsv.
    recipe : str, default "none"
        A name in `RECIPES`.  A recipe scales features, keeps a validation part and encodes
        categories in its own way; see docs/how-to/tables.md.

    Raises
    ------
    DataError
        If there are no such data, or they cannot be used; the message names the file and the fault.

    See Also
    --------
    Dataset : Made from arrays of your own.

    Examples
    --------
    >>> from pluggable_mlp import load_dataset
    >>> digits = load_dataset("digits")
    >>> digits.train.inputs.dtype.name, digits.scale, digits.features, digits.outputs
    ('uint8', 0.0625, 64, 10)
    """
    from pluggable_mlp.options import DataOptions

    fields = DataOptions.__dataclass_fields__
    refuse_unknown("load_dataset", options, fields)
    values: dict[str, Any] = {"recipe": NONE, "block_size": 0, **options}
    values |= {"seed": seed, "task": task}
    if isinstance(values.get("header"), bool):
        values["header"] = "yes" if values["header"] else "no"
    for name in values.keys() - {"test"}:  # which may be a data frame
        convert(name, values[name], fields[name].type)
    return read_dataset(DataOptions(data=spec, **values), preparation)


def read_dataset(options: "DataOptions", preparation: "Preparation | None" = None) -> Dataset:
    """Return the data set that options describe, as `load_dataset` does."""
    from pluggable_mlp.data.build import build_dataset

    if options.test is not None and options.test_share is not None:
        fault = f"test_share is {options.test_share}, and test names other data"
        raise DataError(source_of(options.data), fault, "leave out --test or --test-share")
    splits, origin = load_source(options, preparation)
    if options.test is not None and "test" in splits:
        raise DataError(source_of(options.data), "has a test part of its own", "leave --test out")
    dataset = build_dataset(splits, options, preparation, origin)
    if options.test is None:
        return dataset
    fitted = dataset.fitted_preparation
    part = load_for_testing(fitted, options.test, options.block_size)
    counted = replace(fitted, examples={**fitted.examples, "test": len(part.targets)})
    whole = {**dataset.splits, "test": part}
    return replace(dataset, splits=whole, preparation=counted, test_share=None)


def load_for_testing(preparation: "Preparation", data: Any, block_size: int | None = None) -> Split:
    """Return the test part of other data, or all if they have none, prepared as in training.

    Raises
    ------
    DataError
        If they cannot be read, or do not fit.
    """
    from pluggable_mlp.data.split import keep_on_disk, match_targets
    from pluggable_mlp.options import DataOptions

    splits, _ = load_source(DataOptions(data=data), preparation)
    splits, name = keep_on_disk(splits, block_size), source_of(data)
    split = match_targets(name, "new", splits.get("test", splits["train"]), preparation.task)
    return preparation.apply(name, split, block_size)


def load_source(
    options: "DataOptions", preparation: "Preparation | None" = None
) -> tuple[Splits, dict[str, Any]]:
    """Load a data set as `load_dataset` does, but neither converted nor divided.

    Return also what else is known of its origin: the `scale` of a pixel, or the `target_names` and
    the `header` of a table.
    """
    from pluggable_mlp.data.arrays import read_arrays
    from pluggable_mlp.data.choice import read_table
    from pluggable_mlp.data.mnist import DIGIT_SCALE, PUBLISHED, load_digits, load_named
    from pluggable_mlp.data.tables import TABLES, TEXT_FILES, is_table

    data: Any = options.data
    path = os.fspath(data) if isinstance(data, os.PathLike) else data
    is_text = isinstance(path, str) and path.lower().endswith(TEXT_FILES)
    text_options = [] if is_text else ["header", "encoding", "decimal"]
    table_options = [] if is_table(path) else ["target", "validation_by"]
    if preparation is None:
        for name in (*text_options, *table_options):
            if getattr(options, name) != getattr(type(options), name):  # the default
                fault = f"{name} is {getattr(options, name)!r}"
                ends = ", ".join(TABLES if name in table_options else TEXT_FILES)
                raise DataError(source_of(path), fault, f"--{name.replace('_', '-')} is for {ends}")
    if is_table(path):
        return read_table(options, preparation)
    if path == "digits":
        return load_digits(), {"scale": DIGIT_SCALE}
    if path in PUBLISHED:
        return load_named(path), {}
    if os.path.isdir(path) or path.lower().endswith(ARRAYS):
        return read_arrays(path), {}
    raise DataError(
        repr(path),
        "is not a data set",
        f"give digits, {', '.join(PUBLISHED)}, a folder of IDX files or with X.npy and y.npy, or a "
        f"path that ends in {', '.join([*ARRAYS, *TABLES])}",
    )


def load_inputs(path: Any, preparation: "Preparation | None" = None) -> Any:
    """Read examples without targets, as their file holds them.

    Parameters
    ----------
    path : str, path or data frame
        `*.npy`, `*.npz` with `X`, a table of features, or else a file of IDX images, plain or
        gzipped.
    preparation : Preparation, optional
        That of training: columns of a table are found by the names that they have there, and
        target columns are ignored.

    Returns
    -------
    array (n, ...) or polars.DataFrame
        `Preparation.inputs` prepares them for a network.

    Raises
    ------
    DataError
        If the file cannot be read; the message names the file and the fault.
    """
    from pluggable_mlp.data.arrays import read_idx, read_npy, read_npz
    from pluggable_mlp.data.choice import read_table_inputs
    from pluggable_mlp.data.tables import is_table

    if is_table(path):
        return read_table_inputs(path, preparation)
    name = os.fspath(path)
    lower = name.lower()
    if lower.endswith(".npy"):
        return read_npy(name)
    if lower.endswith(".npz"):
        return read_npz(name, ["X"])["X"]
    return read_idx(name)
