"""Trainings that the tests run on several processes: `mpiexec -n 3 python -m … BACKEND …`.

    program.py BACKEND ARITHMETIC DTYPE CASE …

Process 0 prints a JSON object with the losses and the SHA-256 of the parameters of each case.  A
backend for each process may be given, separated by commas.
"""

import hashlib
import json
import sys

import numpy as np

from pluggable_mlp import (
    MLP,
    Periodic,
    PiecewiseLinear,
    TabM,
    TabMMini,
    get_backend,
    make_optimizer,
    make_schedule,
    train,
)
from pluggable_mlp.training.train import Training

COUNT, FEATURES, CLASSES = 51, 12, 4

_rng = np.random.default_rng(5)
INPUTS = _rng.standard_normal((COUNT, FEATURES))
PIXELS = _rng.integers(0, 256, (COUNT, FEATURES)).astype(np.uint8)
CLASSES_OF_ROWS = _rng.integers(0, CLASSES, COUNT)
NUMBERS = _rng.standard_normal((COUNT, 3))
WEIGHTS = _rng.random(COUNT)
EDGES = [[-1.0, -0.2, 0.1, 1.5]] * 3  # of the first three inputs
HUGE = INPUTS * 10.0 ** _rng.integers(-30, 30, COUNT)[:, None]

PLATEAU = make_schedule("plateau", 0.05, patience=1, threshold=0.9)  # falls before the fourth epoch
OPTIMIZERS = {
    "sgd": {},
    "momentum": {"name": "sgd", "momentum": 0.9, "nesterov": True},
    "adam": {},
    "muon": {},
    "clipped": {"name": "adam", "clip_norm": 0.1, "average": 0.9},
}


def softsign(xp, x):
    """An activation of a user's, with its backward."""
    y = x / (1.0 + xp.abs(x))
    return y, lambda dy: dy * (1.0 - xp.abs(y)) * (1.0 - xp.abs(y))


def fourth_powers(xp, z, targets, sample_weight=None):
    """A loss of a user's: the mean over the batch of the sums of fourth powers, and dz."""
    assert sample_weight is None
    error = z - targets
    cubes = error * error * error
    loss = xp.mean(xp.sum(cubes * error, axis=-1), axis=-1)
    return loss, 4.0 * cubes / float(z.shape[-2])


CASES = {
    **{name: {"optimizer": optimizer} for name, optimizer in OPTIMIZERS.items()},
    "plateau": {"optimizer": {"learning_rate": PLATEAU}, "epochs": 4},
    "lbfgs": {"optimizer": {}, "batch_size": COUNT, "epochs": 3},
    "dropout": {
        "mlp": {"dropout": 0.3, "input_dropout": 0.1, "input_noise": 0.1},
        "optimizer": {"name": "adam"},
    },
    "batch norm": {"mlp": {"norm": "batch", "activation": "relu"}, "batch_size": 25},
    "layer norm": {"mlp": {"norm": "layer", "activation": "gelu"}},
    "tables": {
        "mlp": {
            "activation": "selu",
            "parametrization": "ntk",
            "input_scaling": True,
            "parametric_activation": True,
        }
    },
    "sample weights": {"sample_weight": WEIGHTS, "class_weight": "balanced"},
    "smoothing": {"mlp": {"activation": "softplus"}, "loss": "smoothed"},
    "regression": {"mlp": {"loss": "huber", "activation": "silu"}, "targets": NUMBERS},
    "of a user": {
        "mlp": {"activation": softsign, "loss": fourth_powers},
        "targets": NUMBERS,
        "batch_size": 25,
    },
    "pixels": {"inputs": PIXELS, "scale": 2.0**-8},
    "streamed": {"block_size": 48},
    "a last block of one": {"block_size": 50, "batch_size": 50, "sample_weight": WEIGHTS},
    "a last block of one row of pixels": {
        "block_size": 50,
        "batch_size": 50,
        "inputs": PIXELS,
        "scale": 2.0**-8,
    },
    "micro-batches": {"micro_batch": 10, "mlp": {"dropout": 0.2}},
    "a last batch of one": {"batch_size": 25},
    "few rows": {"batch_size": 2, "epochs": 1},
    "long": {"batch_size": 3000, "repeat": 60},
    "huge": {"inputs": HUGE, "epochs": 1},
    "without shuffling": {"shuffle": False},
    "stacked": {"networks": 3},
    "an embedding": {"mlp": {"embedding": PiecewiseLinear(EDGES), "input_dropout": 0.1}},
    "an embedding of pixels": {
        "mlp": {"embedding": Periodic(5)},
        "inputs": PIXELS,
        "scale": 2.0**-8,
    },
    "an embedding in a stack": {"mlp": {"embedding": Periodic(5)}, "networks": 2},
    "members": {
        "mlp": {"ensemble": TabMMini(3), "dropout": 0.2, "norm": "layer"},
        "micro_batch": 16,
        "sample_weight": WEIGHTS,
        "epochs": 1,
    },
    "members with an embedding": {
        "mlp": {"ensemble": TabM(2, own_batches=True), "embedding": PiecewiseLinear(EDGES)},
        "sample_weight": WEIGHTS,
        "batch_size": 25,
        "epochs": 1,
    },
}


def training(case: str, *, communicator: object = None, **settings: object) -> Training:
    """Return the training of a case."""
    options = dict(CASES[case])
    of_mlp = {"loss": "softmax_cross_entropy", "activation": "tanh", **options.pop("mlp", {})}
    if options.pop("loss", None):
        from pluggable_mlp import SoftmaxCrossEntropy

        of_mlp["loss"] = SoftmaxCrossEntropy(label_smoothing=0.1)
    inputs = options.pop("inputs", INPUTS)
    targets = options.pop("targets", CLASSES_OF_ROWS)
    repeat = options.pop("repeat", 1)
    inputs, targets = np.tile(inputs, (repeat, 1)), np.concatenate([targets] * repeat)
    of_optimizer = {"name": case if case in ("lbfgs", *OPTIMIZERS) else "sgd"}
    of_optimizer |= options.pop("optimizer", {})
    if of_optimizer["name"] != "lbfgs":
        of_optimizer.setdefault("learning_rate", 0.05)
    mlp = MLP([FEATURES, 9, 7, 3 if targets.ndim == 2 else CLASSES], **of_mlp)
    networks = options.pop("networks", 0)
    backend, dtype = settings["backend"], settings["dtype"]
    if networks:
        each = [mlp.initialize(seed=s, backend=backend, dtype=dtype) for s in range(networks)]
        options["parameters"] = [
            {name: backend.xp.stack([one[place][name] for one in each]) for name in layer}
            for place, layer in enumerate(each[0])
        ]
    options = {"epochs": 2, "batch_size": 32, "seed": 3, **options, **settings}
    return train(
        mlp,
        inputs,
        targets,
        optimizer=make_optimizer(**of_optimizer),
        communicator=communicator,
        **options,
    )


def summary(found: Training, backend: object) -> dict[str, object]:
    """Return the losses and the hash of the parameters."""
    arrays = [backend.to_numpy(x) for layer in found.parameters for x in layer.values()]
    sha = hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in arrays))
    return {"history": found.history, "sha256": sha.hexdigest()}


def main() -> None:
    """Train the cases that are named, on all processes."""
    from pluggable_mlp.distributed.communicators import MPI

    communicator = MPI(time_limit=600.0)
    names, arithmetic, dtype, *cases = sys.argv[1:]
    names = names.split(",")
    backend = get_backend(names[communicator.rank % len(names)])
    settings = {"backend": backend, "arithmetic": arithmetic, "dtype": dtype}
    found = {
        case: summary(training(case, communicator=communicator, **settings), backend)
        for case in cases
    }
    if communicator.rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
