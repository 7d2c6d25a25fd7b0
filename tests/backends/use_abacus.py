"""Run in a process that has the third party's package: find it, compute, train.

Prints one JSON object, which test_third_party.py checks.
"""

import json
import sys

import numpy as np

from pluggable_mlp import MLP, SGD, available_backends, get_backend, train

backend = get_backend("abacus:beads")
(status,) = [status for status in available_backends() if status.name == "abacus"]

x = backend.asarray([[1.0, 2.0], [3.0, 4.0]])
product = backend.to_numpy(x @ x)

# Two clusters, which one hidden layer tells apart.
labels = np.arange(40) % 2
inputs = np.stack([labels * 2.0 - 1.0, np.linspace(-1.0, 1.0, 40)], axis=1)
mlp = MLP([2, 4, 2], activation="tanh")
settings = {"optimizer": SGD(0.5), "epochs": 5, "batch_size": 8, "dtype": "float64", "seed": 1}
abacus = train(mlp, inputs, labels, backend=backend, **settings)
numpy = train(mlp, inputs, labels, backend=get_backend("numpy"), **settings)

json.dump(
    {
        "package": sys.modules[type(backend).__module__].__file__,
        "name": backend.name,
        "listed": [status.available, status.version],
        "product": product.tolist(),
        "device of the parameters": str(abacus.parameters[0]["W"].device),
        "history": [abacus.history, numpy.history],
    },
    sys.stdout,
)
