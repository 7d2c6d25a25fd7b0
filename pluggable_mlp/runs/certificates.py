"""Certificates: what they hold; `verify.py` reads one, and trains again.

A certificate contains SHA-256 hashes of the data, the settings and the initial parameters, and for
each epoch the losses (as C99 hexadecimal numbers) and the hash of the parameters.  The final hash
is that of the epoch that is kept, the best or the last, which may have a test loss.  Every so many
steps it has a short hash of each tensor, which finds the first that differs.
`made_on` says where the training was: the bits of a native one are expected only there.  A hash of
all this distinguishes an edited certificate from a training that differs.
"""

from pluggable_mlp.backends import Backend
from pluggable_mlp.files import Json, json_sha256
from pluggable_mlp.files.hashing import parameters_sha256, tensor_names
from pluggable_mlp.runs.run import Run, interval, versions
from pluggable_mlp.runs.saved import FORMAT

EPOCHS = 1024
"""The approximate number of epochs that are certified at most: the file stays below 1 MB."""


def certificate_of(run: Run, settings: Json) -> Json:
    """Return the certificate of a training that has ended, with settings as JSON data."""
    last, measures = len(run.history), run.test_measures()
    every = interval(last, EPOCHS)
    chosen = sorted({*range(every, last + 1, every), run.kept_epoch, last})
    content = {
        "format": FORMAT,
        "made_on": describe_place(run.backend, run.processes),
        "settings": settings,
        "data_sha256": run.data_sha256,
        "initial_parameters_sha256": run.initial_parameters_sha256,
        "epochs": [certify_epoch(run.history[n - 1]) for n in chosen],
        "kept_epoch": run.kept_epoch,
        "test_loss": measures["loss"].hex() if measures else None,
        "final_parameters_sha256": parameters_sha256(run.parameters, run.backend),
        "record_every": run.record_every,
        "tensors": tensor_names(run.parameters),
        "records": _records_of_whole_epochs(run),
        "settings_sha256": json_sha256(settings),
    }
    return {**content, "sha256": json_sha256(content)}


def certify_epoch(line: Json) -> Json:
    """Return the part of an epoch's line that a certificate contains."""
    losses = ("train_loss", "validation_loss")
    return {
        "epoch": line["epoch"],
        **{name: line[name].hex() for name in losses if name in line},
        "parameters_sha256": line["parameters_sha256"],
    }


def _records_of_whole_epochs(run: Run) -> dict[str, str]:
    """Return the records of the epochs of the history; a run may have had fewer epochs to go."""
    end = len(run.history) * run.plan.steps_per_epoch
    return {
        str(t): hashes
        for t, hashes in run.records.items()
        if t <= end and t % run.record_every == 0
    }


def describe_place(backend: Backend, processes: int) -> str:
    """Return the place of a training, with the versions that determine the results."""
    libraries = [f"{name} {number}" for name, number in versions(backend).items()]
    if processes > 1:
        libraries.append(f"{processes} processes")
    return f"{backend.name} ({backend.device}), {', '.join(libraries)}"
