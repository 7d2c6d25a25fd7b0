"""Certificates of runs, with which another machine can verify every bit.

`certificate.json` contains SHA-256 hashes of the data, the settings and the initial parameters; for
the epochs the losses (as C99 hexadecimal numbers) and the hash of the parameters; that of the epoch
that is kept, the best or the last, is the final one, and has a test loss.  After every so many
steps it has a short hash of each tensor, which names the first that differs.  `made_on` says where
the run was trained: the bits of a native run are expected only there.  Last comes the hash of all
that: it tells a certificate that was changed from a run that differs.

Verifying belongs to `verify.py`.
"""

from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from pluggable_mlp.files import (
    check_kind,
    damaged,
    json_sha256,
    parse_object,
    read_file,
    write_json,
)
from pluggable_mlp.hashing import tensor_names
from pluggable_mlp.runs.run import Run, versions
from pluggable_mlp.settings import Settings

FORMAT = 4

EPOCHS = 1024
"""At most about so many epochs are certified: the file stays below 1 MB."""


class _CertifiedEpoch(TypedDict):
    """What is certified of an epoch."""

    epoch: int
    train_loss: str
    validation_loss: NotRequired[str]
    parameters_sha256: str


class _Certificate(TypedDict):
    """What a certificate holds, beside its format and its hash."""

    made_on: str
    settings: dict[str, Any]
    settings_sha256: str
    data_sha256: str
    initial_parameters_sha256: str
    epochs: list[_CertifiedEpoch]
    kept_epoch: int
    test_loss: str | None
    final_parameters_sha256: str
    record_every: Annotated[int, Meta(ge=1)]
    tensors: list[str]
    records: dict[Annotated[str, Meta(pattern="^[0-9]+$")], str]


def write_certificate(run: Run, path: Path) -> None:
    """Write the certificate of a run that has ended."""
    settings = run.settings.to_dict()
    chosen = _numbers(len(run.history), run.kept_epoch)
    content = {
        "format": FORMAT,
        "made_on": _place(run),
        "settings": settings,
        "settings_sha256": json_sha256(settings),
        "data_sha256": run.data_sha256,
        "initial_parameters_sha256": run.initial_parameters_sha256,
        "epochs": [certified_epoch(run.history[n - 1]) for n in chosen],
        "kept_epoch": run.kept_epoch,
        "test_loss": run.test_loss,
        "final_parameters_sha256": run.history[run.kept_epoch - 1]["parameters_sha256"],
        "record_every": run.record_every,
        "tensors": tensor_names(run.parameters),
        "records": _whole_epochs_records(run),
    }
    write_json(path, {**content, "sha256": json_sha256(content)})


def certified_epoch(line: dict[str, Any]) -> dict[str, Any]:
    """Return the part of an epoch's line that a certificate contains."""
    losses = ("train_loss", "validation_loss")
    return {
        "epoch": line["epoch"],
        **{name: line[name].hex() for name in losses if name in line},
        "parameters_sha256": line["parameters_sha256"],
    }


def read_certificate(path: Path) -> tuple[dict[str, Any], Settings]:
    """Return a certificate and its settings.

    Raises
    ------
    ValueError
        If the file cannot be read, is not a certificate, was changed, or contradicts itself.
    """
    text = read_file(path, "the certificate.json that train --output writes")
    no_certificate = "is not a certificate of a run"
    with damaged(path, no_certificate):
        content = parse_object(text)
        if "estimator" in content:
            raise ValueError(f"it is the certificate_ of {content['estimator']}")
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, expected {FORMAT}")
        stated = content.pop("sha256")
    with damaged(path):
        if json_sha256(content) != stated:
            raise ValueError(
                "it was changed after it was written, its content does not have the SHA-256 that "
                "it states; this says nothing of the run, take the file that train wrote"
            )
    with damaged(path, no_certificate):
        check_kind(content, _Certificate)
        if json_sha256(content["settings"]) != content["settings_sha256"]:
            raise ValueError("its settings do not have the hash it states: it was edited")
        settings = Settings.from_dict(content["settings"])
        _refuse_contradictions(content, settings)
    return content, settings


def _refuse_contradictions(content: dict[str, Any], settings: Settings) -> None:
    """Raise if a certificate contradicts itself or its settings."""
    epochs, kept = content["epochs"], content["kept_epoch"]
    last = epochs[-1]["epoch"] if epochs else 0
    if not 1 <= last <= settings.epochs:
        raise ValueError(f"it has {last} epochs, expected 1 to {settings.epochs} by its settings")
    if kept not in range(1, last + 1) or (not settings.keeps_best and kept != last):
        raise ValueError(f"kept_epoch is {kept!r}, of {last} epochs")
    if [epoch["epoch"] for epoch in epochs] != _numbers(last, kept):
        raise ValueError(f"its epochs are not those of a certificate of {last} epochs")
    for epoch in epochs:
        if others := set(epoch).difference(_CertifiedEpoch.__annotations__):
            raise ValueError(f"an epoch holds {sorted(others)}, expected its losses and a hash")
        float.fromhex(epoch["train_loss"]), float.fromhex(epoch.get("validation_loss", "0x0p+0"))
    if content["test_loss"] is not None:
        float.fromhex(content["test_loss"])
    (final,) = (of["parameters_sha256"] for of in epochs if of["epoch"] == kept)
    if content["final_parameters_sha256"] != final:
        raise ValueError("final_parameters_sha256 is not that of the epoch that is kept")


def _numbers(last: int, kept: int) -> list[int]:
    """Return the numbers of the epochs that are certified: all, or every so many of very many."""
    every = 1
    while last > every * EPOCHS:
        every *= 2
    return sorted({*range(every, last + 1, every), kept, last})


def _whole_epochs_records(run: Run) -> dict[str, str]:
    """Return the records of the epochs of the history; a run may have had fewer epochs to go."""
    end = len(run.history) * run.steps_per_epoch
    return {
        str(t): hashes
        for t, hashes in run.records.items()
        if t <= end and t % run.record_every == 0
    }


def _place(run: Run) -> str:
    """Return where a run was trained, with the versions that determine the results."""
    named = [f"{name} {number}" for name, number in versions(run.backend).items()]
    if run.processes > 1:
        named.append(f"{run.processes} processes")
    return f"{run.backend.name} ({run.backend.device}), {', '.join(named)}"
