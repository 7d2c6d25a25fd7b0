"""Fixed small runs of the reproducible arithmetic, and their hashes as once recorded.

`python -m pluggable_mlp.testing.recorded_runs` prints the hashes as JSON, as `recorded_runs.json`
has them.  They are recorded once: a later machine, library version or GPU is held to these bits.
To record them anew is to break the promise, and needs a word in CHANGELOG.md.
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pluggable_mlp.backends import Backend
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.training.components import make_optimizer
from pluggable_mlp.training.examples import make_examples
from pluggable_mlp.training.loop import epochs_of, training_progress
from pluggable_mlp.training.schedules import make_schedule
from pluggable_mlp.training.streaming import seeded_order
from pluggable_mlp.training.train import first_steps

_RECORDED = Path(__file__).with_suffix(".json")

CASCADE = {"activation": ["tanh", "gelu", "softplus"], "norm": "layer", "dropout": 0.25}
PLAIN: dict[str, Any] = {}


class Run(NamedTuple):
    """What is trained: a network by an optimizer with its parameters, on pixels or on floats."""

    sizes: list[int]
    network: dict[str, Any]
    optimizer: str
    parameters: dict[str, Any]
    dtype: str
    pixels: bool


RUNS = {
    "sgd, pixels, float32": Run([49, 20, 10], PLAIN, "sgd", {}, "float32", True),
    "sgd, pixels, float64": Run([49, 20, 10], PLAIN, "sgd", {}, "float64", True),
    "momentum, float32": Run(
        [49, 30, 10], {"activation": "relu"}, "sgd", {"momentum": 0.9}, "float32", False
    ),
    "momentum, float64": Run(
        [49, 30, 10], {"activation": "relu"}, "sgd", {"momentum": 0.9, "nesterov": True},
        "float64", False,
    ),
    "rmsprop, float32": Run([49, 12, 10], {"activation": "silu"}, "rmsprop", {}, "float32", False),
    "rmsprop, float64": Run([49, 12, 10], {"activation": "silu"}, "rmsprop", {}, "float64", False),
    "adagrad, float32": Run([49, 12, 10], {"activation": "tanh"}, "adagrad", {}, "float32", False),
    "adagrad, float64": Run([49, 12, 10], {"activation": "tanh"}, "adagrad", {}, "float64", False),
    "adam with a schedule, float32": Run([49, 16, 10], PLAIN, "adam", {}, "float32", True),
    "adam with a schedule, float64": Run([49, 16, 10], PLAIN, "adam", {}, "float64", True),
    "adamw, many components, float32": Run(
        [49, 12, 9, 8, 10], CASCADE, "adamw", {"clip_norm": 1.0, "average": 0.9}, "float32", False
    ),
    "adamw, many components, float64": Run(
        [49, 12, 9, 8, 10], CASCADE, "adamw", {"clip_norm": 1.0, "l1": 0.001}, "float64", False
    ),
    "lion, batch normalization, float32": Run(
        [49, 12, 10], {"norm": "batch", "activation": "elu"}, "lion", {}, "float32", False
    ),
    "lion, batch normalization, float64": Run(
        [49, 12, 10], {"norm": "batch", "activation": "elu"}, "lion", {}, "float64", False
    ),
    "muon, float64": Run(
        [49, 12, 11, 10], {"activation": "leaky_relu"}, "muon", {}, "float64", False
    ),
    "muon, float32": Run(
        [49, 12, 11, 10], {"activation": "gelu_tanh"}, "muon", {}, "float32", False
    ),
    "lbfgs, float32": Run([49, 8, 10], {"activation": "tanh"}, "lbfgs", {}, "float32", False),
    "lbfgs, float64": Run([49, 8, 10], {"activation": "tanh"}, "lbfgs", {}, "float64", False),
}  # fmt: skip

STEPS, BATCH = 20, 32


def recorded() -> dict[str, str]:
    """Return the recorded hashes, by the names of the runs."""
    hashes: dict[str, str] = json.loads(_RECORDED.read_text(encoding="utf-8"))
    return hashes


@cache
def data(pixels: bool) -> tuple[Any, Any]:
    """Return inputs (640, 49) and labels (640,) that are the same everywhere.

    Words of a linear congruential generator in integers: nothing of NumPy's generators.
    """
    count = STEPS * BATCH * 49
    words = np.empty(count, dtype=np.uint64)
    word = 2024
    for index in range(count):
        word = (6364136223846793005 * word + 1442695040888963407) % 2**64
        words[index] = word
    inputs = (words >> np.uint64(40)).reshape(-1, 49)  # 24 bits
    labels = (inputs[:, :7] >> np.uint64(21)).sum(axis=1).astype(np.int64) % 10
    if pixels:
        return (inputs >> np.uint64(16)).astype(np.uint8), labels
    return inputs.astype(np.float64) * 2.0**-23 - 1.0, labels


def run(name: str, backend: Backend) -> str:
    """Return SHA-256 over the mean loss and the parameters after 20 steps on the backend."""
    sizes, network, optimizer, parameters, dtype, pixels = RUNS[name]
    inputs, labels = data(pixels)
    if "schedule" in name:
        parameters = parameters | {
            "learning_rate": make_schedule("cosine", 0.01, total_steps=STEPS, warmup=5)
        }
    mlp = MLP(sizes, **network)
    examples = make_examples(
        mlp,
        inputs,
        labels,
        backend=backend,
        dtype=dtype,
        scale=1 / 256 if pixels else None,
        arithmetic="reproducible",
    )
    full = optimizer == "lbfgs"  # takes all examples at once, in each of 20 epochs
    steps = first_steps(
        mlp,
        mlp.initialize(seed=7, backend=backend, dtype=dtype),
        examples,
        backend=backend,
        optimizer=make_optimizer(optimizer, **parameters),
        arithmetic="reproducible",
        batch_size=STEPS * BATCH if full else BATCH,
        seed=7,
    )
    training = training_progress(
        steps, examples, order=seeded_order(7), epochs=STEPS if full else 1
    )
    *_, epoch = epochs_of(training)
    assert isinstance(epoch.train_loss, float)  # of one network
    digest = hashlib.sha256(epoch.train_loss.hex().encode())
    for layer in epoch.parameters:
        for key in sorted(layer):
            array = backend.to_numpy(layer[key])
            digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    from pluggable_mlp.backends import get_backend

    print(json.dumps({name: run(name, get_backend("numpy")) for name in RUNS}, indent=2))
