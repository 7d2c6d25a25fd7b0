"""Trees of arrays in a file, with SHA-256: the format of models, checkpoints and estimators.

A tree consists of None, booleans, numbers, texts, NumPy arrays, lists, tuples and dicts of trees,
and components: objects of classes that the caller names.  It is stored in safetensors format.  An
array is named after its place in the tree, such as "0.W".  The metadata "pluggable_mlp" is JSON:
"tree" is everything else, and "sha256" the hash of its text and of each array's name, dtype, shape
and bytes.  It detects damage, not forgery.  Nothing in a file is executed.  Equal trees give equal
files.

The bytes of an array are written little-endian, in C order, as `hashing.py` hashes them.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pluggable_mlp.fields import choose, parameters_of
from pluggable_mlp.files import blame, parse_json, read_file, write_file
from pluggable_mlp.files.hashing import HostArray, little_endian, sha256_of

Arrays = dict[str, HostArray]
Components = Mapping[str, Callable[..., object]]
"""Classes by their names: dataclasses and named tuples."""

ArrayTree = list[dict[str, np.ndarray]]
"""The type of a tree of parameters, for `read_tree`."""

_NO_COMPONENTS: Components = MappingProxyType({})
_TAGS = {"array", "tuple", "dict", "component"}
"""The first keys of objects in JSON that stand for something else than a dict."""


def write_tree(path: Path, tree: object, components: Components = _NO_COMPONENTS) -> None:
    """Write a tree to a file, whole or not at all.

    Raises
    ------
    ValueError
        If it contains something that a tree cannot hold.
    MemoryError
        If memory is short: safetensors would end the process, which has a run to save.
    OSError
        As for `write_file`.
    """
    arrays: Arrays = {}
    content = tree_to_json(tree, components, arrays)
    # safetensors writes memory as it is.
    ordered = {name: little_endian(array) for name, array in arrays.items()}
    bytearray(2**20 + 3 * sum(array.nbytes for array in ordered.values()))
    described = {"sha256": _sha256(content, ordered), "tree": content}
    write_file(path, save(ordered, {"pluggable_mlp": json.dumps(described)}))


def read_tree(
    path: Path, expected: str, components: Components = _NO_COMPONENTS, kind: Any = Any
) -> Any:
    """Return the tree in a file.

    Parameters
    ----------
    path, expected
        As for `read_file`.
    components : mapping, optional
        The classes of components that may be created.
    kind : type, optional
        What the tree must be, for msgspec; anything by default.

    Raises
    ------
    ValueError
        If it cannot be read, is another kind of file, has changed since it was written, or holds
        another tree.
    """
    data = read_file(path, expected)
    with blame(path):
        length = int.from_bytes(data[:8], "little")
        try:
            metadata = parse_json(data[8 : 8 + length])["__metadata__"]
            arrays: Arrays = load(data)
        except SafetensorError as error:
            raise ValueError(str(error)) from None
        described = parse_json(metadata["pluggable_mlp"])
        if _sha256(described["tree"], arrays) != described["sha256"]:
            raise ValueError("its contents do not match its SHA-256")
        tree = tree_from_json(described["tree"], components, arrays)
        if arrays:
            raise ValueError(f"its tree has no place for the array {next(iter(arrays))!r}")
        return msgspec.convert(tree, kind)


def tree_to_json(
    tree: object,
    components: Components = _NO_COMPONENTS,
    arrays: Arrays | None = None,
    place: str = "",
) -> object:
    """Return a tree as JSON data.

    Parameters
    ----------
    tree
    components : mapping, optional
        The classes of components that may occur.
    arrays : dict, optional
        Receives the arrays by place; by default arrays are not allowed.
    place : str, optional
        Where the tree is in a larger one.

    Raises
    ------
    ValueError
        If it contains anything else; the message names the place.
    """

    def content(tree: object, *keys: object) -> object:
        if isinstance(tree, np.generic):
            tree = tree.item()
        if tree is None or isinstance(tree, bool | int | float | str):
            return tree
        name = type(tree).__name__
        if components.get(name) is type(tree):
            attributes = tree._asdict() if isinstance(tree, tuple) else parameters_of(tree)
            parts = {key: content(value, *keys, key) for key, value in attributes.items()}
            return {"component": name, "parameters": parts}
        if isinstance(tree, list | tuple):
            items = [content(value, *keys, index) for index, value in enumerate(tree)]
            return items if isinstance(tree, list) else {"tuple": items}
        if isinstance(tree, dict):
            if all(isinstance(key, str) for key in tree) and _TAGS.isdisjoint(tree):
                return {key: content(value, *keys, key) for key, value in tree.items()}
            pairs = tree.items()
            return {
                "dict": [
                    [content(key, *keys, "key"), content(value, *keys, key)] for key, value in pairs
                ]
            }
        path = ".".join(map(str, keys))
        if isinstance(tree, np.ndarray) and arrays is not None and path not in arrays:
            arrays[path] = tree
            return {"array": path}
        raise ValueError(f"{path} is {tree!r}, which a file cannot hold")

    return content(tree, *filter(None, [place]))


def tree_from_json(
    content: object,
    components: Components = _NO_COMPONENTS,
    arrays: Arrays | None = None,
) -> object:
    """Return the tree that `tree_to_json` was given; its arrays are removed from `arrays`.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it does not describe a tree, or a component refuses its parameters.
    """

    def tree(part: object) -> Any:
        return tree_from_json(part, components, arrays)

    if isinstance(content, list):
        return [*map(tree, content)]
    if not isinstance(content, dict):
        return content
    if "array" in content:
        return (arrays or {}).pop(content["array"])
    if "tuple" in content:
        return tuple(map(tree, content["tuple"]))
    if "dict" in content:
        return {tree(key): tree(value) for key, value in content["dict"]}
    parts: Any = {key: tree(value) for key, value in content.items()}
    if "component" in content:
        parts = choose(components, parts["component"], "component")(**parts["parameters"])
    return parts


def check_form(place: str, tree: Any, example: Any) -> None:
    """Raise ValueError unless a tree has the types, names, shapes and dtypes of an example."""
    if type(tree) is not type(example):
        kinds = type(tree).__name__, type(example).__name__
        raise ValueError("{} is a {}, expected a {}".format(place, *kinds))
    if isinstance(tree, np.ndarray):
        forms = [f"{array.dtype} of shape {array.shape}" for array in (tree, example)]
        if forms[0] != forms[1]:
            raise ValueError("{} is {}, expected {}".format(place, *forms))
    elif isinstance(tree, dict | list | tuple):
        parts, expected = (
            each if isinstance(each, dict) else dict(enumerate(each)) for each in (tree, example)
        )
        if parts.keys() != expected.keys():
            raise ValueError(f"{place} holds {[*parts]}, expected {[*expected]}")
        for key, part in parts.items():
            check_form(f"{place}.{key}", part, expected[key])


def _sha256(content: object, arrays: Arrays) -> str:
    """Return the hash of a file with this content."""
    parts: list[str | HostArray] = [json.dumps(content)]
    for name, array in sorted(arrays.items()):
        parts += f"{name} {array.dtype.name} {array.shape}", array
    return sha256_of(parts)
