"""The certificate of a fit: what was computed of what, to compare with that of another machine.

It is a dict that JSON can hold, with SHA-256 hashes of the data and of the fitted parameters, the
estimator's parameters, the count of iterations and the loss of each (of lbfgs that of the last), a
C99 hexadecimal number.  A fit with the same data and parameters has an equal one wherever
`arithmetic="reproducible"` computes; only `made_on` differs.
"""

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from pluggable_mlp.backends import Backend
from pluggable_mlp.estimators.saving import COMPONENTS, parameters_to_save
from pluggable_mlp.estimators.validation import place_of
from pluggable_mlp.hashing import parameters_sha256, sha256_of
from pluggable_mlp.lazy import LazyArray, blocks, on_host
from pluggable_mlp.serialization import tree_to_json
from pluggable_mlp.training.trees import Tree

FORMAT = 1
_OF_THE_MACHINE = ("backend", "device", "verbose", "progress_bar")
_OWN = "of_your_own"


def certify(estimator: Any, data: list[Any], place: Backend, parameters: Tree) -> dict[str, Any]:
    """Return the certificate of a fit that has ended.

    Parameters
    ----------
    estimator
    data : list of array or LazyArray
        What it was fitted on: inputs, targets and, where there are any, weights of examples.
    place : Backend
        Where it was trained.
    parameters : list of dict of arrays
        The fitted ones, of the library of the data.
    """
    settings = {name: _named(name, of) for name, of in parameters_to_save(estimator).items()}
    versions = ", ".join(f"{name} {number}" for name, number in place.versions().items())
    # L-BFGS has the last alone.
    losses = getattr(estimator, "loss_curve_", None) or [estimator.loss_]
    return {
        "format": FORMAT,
        "estimator": type(estimator).__name__,
        "made_on": f"{place.name} ({place.device}), {versions}",
        "parameters": {name: settings[name] for name in settings if name not in _OF_THE_MACHINE},
        "data_sha256": sha256_of(part for of in data for part in _to_hash(of)),
        "iterations": estimator.n_iter_,
        "losses": [float(loss).hex() for loss in losses],
        "parameters_sha256": parameters_sha256(parameters, place_of(data[0])),
    }


def _to_hash(data: Any) -> Iterator[str | NDArray[Any]]:
    """Yield the dtype and the shape of an array, then its values, of a lazy one in blocks."""
    rows = data if isinstance(data, LazyArray) else on_host(data)
    yield repr((rows.dtype.name, rows.shape))
    yield from blocks(rows)


def _named(name: str, value: Any) -> Any:
    """Return a parameter as JSON, or the name of what JSON cannot hold."""
    try:
        return tree_to_json(value, COMPONENTS, place=name)
    except ValueError:
        return {_OWN: getattr(value, "__qualname__", type(value).__qualname__)}
