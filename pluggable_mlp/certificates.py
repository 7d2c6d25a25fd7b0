"""Certificates of runs, with which another machine can verify every bit.

`certificate.json` contains SHA-256 hashes of the data, the settings and the initial parameters, and
for each epoch the losses (as C99 hexadecimal numbers) and the hash of the parameters; that of the
epoch that is kept, the best or the last, is the final one, and has a test loss.  Verifying means
training again with the same settings, on any backend, and comparing after every epoch.  `made_on`
says where the run was trained: the bits of a native run are expected only there.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.runs import Run, versions
from pluggable_mlp.settings import Settings
from pluggable_mlp.storage import json_sha256, read_file, read_json, write_json
from pluggable_mlp.training.checkpoints import load_parameters
from pluggable_mlp.training.loop import DivergenceError

__all__ = [
    "Difference",
    "check_data",
    "check_files",
    "read_certificate",
    "verify_epochs",
    "write_certificate",
]

FORMAT = 2


@dataclass(frozen=True)
class Difference:
    """The first difference of a repeated run from its certificate.

    Attributes
    ----------
    epoch : int
        The first epoch that differs; 0 for the initial parameters.
    what : str
        train_loss, validation_loss, test_loss, parameters_sha256 or initial_parameters_sha256.
    certified, computed : str
        As the certificate writes them; or why nothing was computed.
    """

    epoch: int
    what: str
    certified: str
    computed: str


def write_certificate(run: Run, path: Path) -> None:
    """Write the certificate of a run that has ended."""
    settings = run.settings.to_dict()
    content = {
        "format": FORMAT,
        "made_on": _place(run),
        "settings": settings,
        "settings_sha256": json_sha256(settings),
        "data_sha256": run.data_sha256,
        "initial_parameters_sha256": run.initial_parameters_sha256,
        "epochs": [_certified(line) for line in run.history],
        "kept_epoch": run.kept_epoch,
        "test_loss": run.test_measures()["loss"].hex(),
        "final_parameters_sha256": run.history[run.kept_epoch - 1]["parameters_sha256"],
    }
    write_json(path, content)


def read_certificate(path: Path) -> tuple[dict[str, Any], Settings]:
    """Return a certificate and its settings.

    Raises
    ------
    ValueError
        If the file cannot be read, is not a certificate, or contradicts itself.
    """
    text = read_file(path, "the certificate.json that train --output writes")
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, expected {FORMAT}")
        if json_sha256(content["settings"]) != content["settings_sha256"]:
            raise ValueError("its settings do not have the hash it states: it was edited")
        settings = Settings.from_dict(content["settings"])
        _refuse_contradictions(content, settings.epochs)
        return content, settings
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} is not a certificate of a run: {error!r}") from None


def check_data(certificate: dict[str, Any], run: Run) -> None:
    """Check the data of a repeated run against its certificate.

    Raises
    ------
    ValueError
        If they differ from the certified ones.
    """
    if run.data_sha256 != certificate["data_sha256"]:
        raise ValueError(
            f"the data {run.settings.data} have the SHA-256 {run.data_sha256}, the certificate "
            f"was made with {certificate['data_sha256']}; name the right ones with --data"
        )


def check_files(certificate: dict[str, Any], run: Run, folder: Path, whole: bool) -> bool:
    """Check config.json and the model in a folder; return whether there is a model.

    Parameters
    ----------
    certificate : dict
    run : Run
        Of its settings, on its data.
    folder : Path
    whole : bool
        Refuse a folder that lacks one of them.

    Raises
    ------
    ValueError
        If a file cannot be read, was edited or is of another run.
    """
    config, model = folder / "config.json", folder / "model.safetensors"
    if whole or config.exists():
        certified = run.config | {"settings": certificate["settings"]}  # the data may have moved
        if json_sha256(read_json(config, "what train --output wrote")) != json_sha256(certified):
            raise ValueError(
                f"{config} is not what was certified; undo what was edited, or train again"
            )
    if not whole and not model.exists():
        return False
    sha256 = certificate["final_parameters_sha256"]
    check_parameters(run.mlp, load_parameters(model, run.backend, sha256))
    return True


def verify_epochs(
    certificate: dict[str, Any], run: Run, on_batch: Callable[[int], None]
) -> Iterator[Difference | None]:
    """Train again and yield, after every certified epoch, None or the first difference.

    A repetition that diverges differs, since certified epochs did not.
    """
    certified, computed = certificate["initial_parameters_sha256"], run.initial_parameters_sha256
    if certified != computed:
        yield Difference(0, "initial_parameters_sha256", certified, computed)
        return
    epochs = certificate["epochs"]
    try:
        for expected, line in zip(epochs, run.epochs(on_batch), strict=False):
            found = _certified(line)
            wrong = next((name for name in expected if expected[name] != found[name]), None)
            if wrong is not None:
                yield Difference(line["epoch"], wrong, expected[wrong], found[wrong])
                return
            yield None
        certified, computed = certificate["test_loss"], run.test_measures()["loss"].hex()
        if certified != computed:
            yield Difference(run.kept_epoch, "test_loss", certified, computed)
    except DivergenceError as error:
        certified, what = epochs[error.epoch - 1]["parameters_sha256"], "parameters_sha256"
        yield Difference(error.epoch, what, certified, f"none, as {error.found}")


def _refuse_contradictions(content: dict[str, Any], most: int) -> None:
    """Raise if a certificate contradicts itself or has more than `most` epochs."""
    epochs = content["epochs"]
    if not 1 <= len(epochs) <= most:
        raise ValueError(f"it has {len(epochs)} epochs, expected 1 to {most} by its settings")
    for epoch in epochs:
        losses = set(epoch) - {"validation_loss", "parameters_sha256"}
        if losses != {"train_loss"} or "parameters_sha256" not in epoch:
            raise ValueError(f"an epoch holds {sorted(epoch)}, expected its losses and a hash")
        float.fromhex(epoch["train_loss"]), float.fromhex(epoch.get("validation_loss", "0x0p+0"))
        str.encode(epoch["parameters_sha256"])
    float.fromhex(content["test_loss"])
    for name in ("made_on", "data_sha256", "initial_parameters_sha256"):
        str.encode(content[name])
    kept = content["kept_epoch"]
    if kept not in range(1, len(epochs) + 1):
        raise ValueError(f"kept_epoch is {kept!r}, expected 1 to {len(epochs)}")
    if content["final_parameters_sha256"] != epochs[kept - 1]["parameters_sha256"]:
        raise ValueError("final_parameters_sha256 is not that of the epoch that is kept")


def _place(run: Run) -> str:
    """Return where a run was trained, with the versions that determine the results."""
    named = (f"{name} {number}" for name, number in versions(run.backend).items())
    return f"{run.backend.name} ({run.backend.device}), {', '.join(named)}"


def _certified(line: dict[str, Any]) -> dict[str, str]:
    """Return the part of an epoch's line that a certificate contains."""
    losses = ("train_loss", "validation_loss")
    return {name: line[name].hex() for name in losses if name in line} | {
        "parameters_sha256": line["parameters_sha256"]
    }
