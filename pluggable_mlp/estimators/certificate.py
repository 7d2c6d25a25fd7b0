"""The certificate of a fit: what was computed of what, for another machine to be held to it.

It holds SHA-256 hashes of the data and of the fitted parameters, the estimator's parameters and the
loss of every iteration, each as a C99 hexadecimal number.  A fit with the same data and parameters
has an equal certificate wherever `arithmetic="reproducible"` computes; only `made_on` differs.
"""

import hashlib
from typing import Any

import numpy as np

from pluggable_mlp.estimators.inputs import on_host, place_of
from pluggable_mlp.estimators.saving import saved_parameters
from pluggable_mlp.training.checkpoints import parameters_sha256
from pluggable_mlp.training.trees import Tree

__all__ = ["certify"]

FORMAT = 1
_OF_THE_MACHINE = ("backend", "device", "verbose", "progress_bar")


def certify(estimator: Any, data: list[Any], place: Any, parameters: Tree) -> dict[str, Any]:
    """Return the certificate of a fit that has ended.

    Parameters
    ----------
    estimator
    data : list of array
        What it was fitted on: inputs, targets and, where there are any, weights of examples.
    place : Backend
        Where it was trained.
    parameters : list of dict of arrays
        The fitted ones, of the library of the data.
    """
    settings = saved_parameters(estimator)
    versions = ", ".join(f"{name} {number}" for name, number in place.versions().items())
    digest = hashlib.sha256()
    for array in on_host(data):
        digest.update(repr((array.dtype.name, array.shape)).encode())
        digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
    losses = getattr(estimator, "loss_curve_", [estimator.loss_])  # L-BFGS has the last alone
    return {
        "format": FORMAT,
        "made_on": f"{place.name} ({place.device}), {versions}",
        "parameters": {name: settings[name] for name in settings if name not in _OF_THE_MACHINE},
        "data_sha256": digest.hexdigest(),
        "losses": [float(loss).hex() for loss in losses],
        "parameters_sha256": parameters_sha256(parameters, place_of(data[0])),
    }
