"""A network with its preparation as an ONNX graph, which other programs can run.

The graph is recorded by running our forward pass on ndonnx's arrays.  It prepares its inputs as
training did, so it takes rows as files hold them.

Shapes: N examples, columns (N,), features (N, features).
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial, reduce
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array, DType, LibraryArrays, Namespace, map_nested
from pluggable_mlp.data.columns import Block, Column
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.fields import require
from pluggable_mlp.files import write_file
from pluggable_mlp.network.mlp import MLP


def need_ndonnx() -> None:
    """Raise ImportError if the extra `onnx` is not installed."""
    require("ndonnx", "onnx", "recording graphs")


def write_onnx(
    path: Path,
    preparation: Preparation,
    mlp: MLP,
    parameters: LibraryArrays,
    labels: Sequence[int | str] | None = None,
) -> dict[str, str]:
    """Write a network as an ONNX file, in float32, for batches of any size.

    Inputs and outputs are as for `TableClassifier.to_onnx`; "X" may also be 8-bit pixels, and an
    empty name gets underscores, too.

    Parameters
    ----------
    path : Path
    preparation : Preparation
    mlp : MLP
    parameters : list of dict of arrays
        As NumPy arrays.
    labels : sequence of int or of str, optional
        The labels of the classes, instead of the preparation's.

    Returns
    -------
    dict
        The type and the shape of each input, by name.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    import ndonnx as ndx

    inputs, x = _inputs(ndx, preparation)

    def outputs(ndx: Namespace, loss: Any, z: Array) -> dict[str, Array]:
        named = _outputs(ndx, loss, z, preparation, labels or preparation.class_labels)
        return {_free(name, inputs): value for name, value in named.items()}

    write_graph(path, mlp, parameters, inputs, ndx.astype(x, ndx.float32), outputs)
    shape = "(N,)" if not preparation.plain else f"(N, {preparation.features})"
    return {name: f"{value.dtype} {shape}" for name, value in inputs.items()}


def write_graph(
    path: Path,
    mlp: MLP,
    parameters: LibraryArrays,
    inputs: dict[str, Array],
    x: Array,
    outputs: Callable[[Namespace, Any, Array], dict[str, Array]],
) -> None:
    """Write a graph from inputs, by name, whose features are x (N, features), in float32.

    `outputs` returns its outputs by name for the namespace, the loss and the network's z.
    """
    import ndonnx as ndx

    recorded = map_nested(lambda array: ndx.asarray(array.astype(np.float32)), parameters)
    z = mlp.evaluate(ndx, recorded, x)
    model = ndx.build(inputs, outputs(ndx, mlp.objective, z))
    write_file(path, model.SerializeToString())


def _free(name: str, names: Collection[str]) -> str:
    """Return a name with enough underscores appended to make it valid and unused in a graph."""
    while not name or name in names:
        name += "_"
    return name


def _inputs(ndx: Namespace, preparation: Preparation) -> tuple[dict[str, Array], Array]:
    """Return the inputs of the graph, and the features that they become."""
    used = preparation.used_columns
    if not preparation.plain:
        values = [ndx.argument(shape=("N",), dtype=_dtype(ndx, column)) for column in used]
        names = [item.name or _free("", preparation.used_names) for item in used]
        inputs = dict(zip(names, values, strict=True))
        features = [pair for item in map(partial(_features, ndx), used, values) for pair in item]
        features.sort(key=lambda pair: pair[0].rank(preparation.order))
        x = ndx.stack([values for _, values in features], axis=1)
    else:
        is_pixels = preparation.scale is not None
        x = ndx.argument(
            shape=("N", preparation.features), dtype=ndx.uint8 if is_pixels else ndx.float64
        )
        inputs = {"X": x}
        x = ndx.astype(x, ndx.float64) * (preparation.scale or 1.0)
    transform = preparation.transform
    return inputs, x if transform is None else transform.apply_with(ndx, x)


def _dtype(ndx: Namespace, column: Column) -> DType:
    """Return the dtype of an input: its column's, or one that can represent missing values."""
    if column.kind == "number":
        return ndx.float64
    if column.range is None:
        return ndx.bool if column.is_boolean and not column.missing else ndx.utf8
    whole = all(float(code).is_integer() for code in column.categories)
    return ndx.int64 if whole and not column.missing else ndx.float64


def _features(ndx: Namespace, column: Column, values: Array) -> list[tuple[Block, Array]]:
    """Return the features of a column, each with its block, as `encode`; "" is missing."""
    is_text = values.dtype == ndx.utf8
    missing = values == "" if is_text else ndx.isnan(ndx.astype(values, ndx.float64))
    pairs = []
    for block in column.blocks:
        if block.kind == "missing":
            parts = [missing]
        elif block.kind == "number":
            parts = [ndx.where(missing, ndx.asarray(column.fill, dtype=ndx.float64), values)]
        else:
            parts = [_is_in(ndx, column, category, values) for category in column.categories]
        parts = [ndx.astype(part, ndx.float64) for part in parts]
        if block.kind == "sign":
            parts = [parts[1] - parts[0]]
        pairs += [(block, part) for part in parts]
    return pairs


def _is_in(ndx: Namespace, column: Column, category: str, values: Array) -> Array:
    """Return where values are in a category; texts of booleans may be spelled in several ways."""
    if values.dtype == ndx.bool:
        return values == (category == "true")
    if values.dtype == ndx.int64:
        return values == int(float(category))
    if values.dtype == ndx.float64:
        return values == float(category)
    spelled = [category, category.title(), category.upper()] if column.is_boolean else [category]
    return reduce(or_, [values == text for text in spelled])


def _outputs(
    ndx: Namespace,
    loss: Any,
    z: Array,
    preparation: Preparation,
    labels: Sequence[int | str] | None,
) -> dict[str, Array]:
    """Return the outputs of the graph for logits z (N, outputs)."""
    predicted = loss.predict(ndx, z)
    if preparation.task == "regression":
        predicted = preparation.in_own_units(predicted, ndx)
        return {"prediction": predicted[:, 0] if preparation.outputs == 1 else predicted}
    if labels is not None:
        predicted = ndx.take(ndx.asarray(np.asarray(labels)), predicted, axis=0)
    return {"label": predicted, "probabilities": loss.predict_proba(ndx, z)}
