"""Certificates of runs, with which another machine can verify every bit.

`certificate.json` contains SHA-256 hashes of the data, the settings and the initial parameters, and
for each epoch the losses (as C99 hexadecimal numbers) and the hash of the parameters.  The final
hash is that of the epoch that is kept, the best or the last, which has a test loss.  Every so many
steps it has a short hash of each tensor, which finds the first that differs.  `made_on` says where
the run was trained: the bits of a native run are expected only there.  A hash of all this
distinguishes an edited certificate from a run that differs.

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
from pluggable_mlp.fit import FORMAT, certificate_of, certified_numbers
from pluggable_mlp.runs.run import Run
from pluggable_mlp.settings import Settings


class _CertifiedEpoch(TypedDict):
    """The certified part of an epoch."""

    epoch: int
    train_loss: str
    validation_loss: NotRequired[str]
    parameters_sha256: str


class _Certificate(TypedDict):
    """The content of a certificate, besides its format and its hash."""

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
    write_json(path, certificate_of(run, run.settings.to_dict()))


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
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, expected {FORMAT}")
        if "estimator" in content["settings"]:
            raise ValueError(f"it is the certificate_ of {content['settings']['estimator']}")
        stated = content.pop("sha256")
    with damaged(path):
        if json_sha256(content) != stated:
            raise ValueError(
                "its contents do not match its SHA-256, so it was edited; the run itself may be "
                "fine: take the file that train wrote"
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
    if [epoch["epoch"] for epoch in epochs] != certified_numbers(last, kept):
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
