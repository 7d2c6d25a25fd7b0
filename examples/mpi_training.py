"""Train on several processes, with the bits of one.

python -m pip install -e '.[mpi]' && mpiexec -n 4 python examples/mpi_training.py
"""

import hashlib

from pluggable_mlp import MLP, MPI, get_backend, load_dataset, train


def main() -> None:
    """Train on the digits, and print the loss and the hash of the parameters."""
    backend, communicator = get_backend("numpy"), MPI()
    digits = load_dataset("digits")
    training = train(
        MLP([64, 100, 10]),
        digits.train.inputs,
        digits.train.targets,
        backend=backend,
        scale=digits.scale,
        epochs=3,
        arithmetic="reproducible",
        communicator=communicator,
    )
    sha = hashlib.sha256()
    for layer in training.parameters:
        for array in layer.values():
            sha.update(backend.to_numpy(array).tobytes())
    if communicator.rank == 0:
        print(f"{communicator.size} processes: loss {training.history[-1]:.6f}, {sha.hexdigest()}")


if __name__ == "__main__":
    main()
