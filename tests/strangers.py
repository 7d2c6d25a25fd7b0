"""Files of a stranger: a value anywhere in them is a strange one, and the hash is right."""

import copy
import hashlib
import json

import numpy as np
from safetensors.numpy import load, save

STRANGE = (None, True, -1, 10**30, 0.5, float("nan"), "", "x", [], [[1]], {}, {"x": 1})

_MISSING = object()


def changes(document):
    """Yield a place, and the document with a strange value there, or without what was there."""
    for keys in _places(document):
        for value in (*STRANGE, _MISSING):
            changed = copy.deepcopy({"": document})
            *path, last = "", *keys
            inner = changed
            for key in path:
                inner = inner[key]
            if value is _MISSING:
                del inner[last]
                yield f"{keys} = nothing", changed[""]
            elif type(inner[last]) is not type(value) or inner[last] != value:
                inner[last] = value
                yield f"{keys} = {value!r:.20}", changed[""]


def _places(document, *keys):
    if keys:
        yield keys
    pairs = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in [*pairs][:3] if isinstance(document, list) else pairs:
        yield from _places(value, *keys, key) if isinstance(value, dict | list) else [(*keys, key)]


def other_arrays(arrays):
    """Yield the arrays with one of them in another dtype or shape, missing, or under two names."""
    for name, array in arrays.items():
        for changed in (np.zeros(array.shape, "int8"), array[..., None], array[..., :-1]):
            yield f"{name} is {changed.dtype} {changed.shape}", arrays | {name: changed}
    yield "missing", {key: array for key, array in arrays.items() if key != name}
    yield "more", arrays | {"more": array}


def content_of(data):
    """Return the tree in a file of safetensors, and the arrays."""
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    return json.loads(metadata["pluggable_mlp"])["tree"], load(data)


def written(tree, arrays):
    """Return a file of these with their hash, as docs/how-to/runs.md describes it."""
    digest = hashlib.sha256(json.dumps(tree).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    described = {"sha256": digest.hexdigest(), "tree": tree}
    return save(arrays, {"pluggable_mlp": json.dumps(described)})
