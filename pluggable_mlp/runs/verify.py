"""Verifying a certificate: train again with its settings, on any backend, and compare.

Compared are the hashes of the tensors after every so many steps, and after the epochs the losses
and the parameters.  A part of a run is repeated from a checkpoint of it.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluggable_mlp.runs.certificate import certified_epoch
from pluggable_mlp.runs.checkpoints import FOLDER, checkpoint_steps, read_checkpoint
from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.runs.resume import are_written_before
from pluggable_mlp.runs.files import CONFIG, read_history
from pluggable_mlp.runs.run import Run
from pluggable_mlp.runs.saved import read_summary
from pluggable_mlp.storage import damaged, json_sha256, read_json, to_json
from pluggable_mlp.training.checkpoints import (
    HASH_DIGITS,
    load_parameters,
    parameters_sha256,
    tensor_hashes,
)
from pluggable_mlp.training.divergence import DivergenceError
from pluggable_mlp.training.trees import merge

__all__ = [
    "Difference",
    "check_data",
    "check_files",
    "difference_of_measures",
    "first_difference",
    "go_on_from_step",
]

_OF_MACHINE = (
    "seconds",
    "examples_per_second",
    "versions",
    "backend",
    "device",
    "config_sha256",  # of a path of the data, too
)


@dataclass(frozen=True)
class Difference:
    """The first difference of a repeated run from its certificate.

    Attributes
    ----------
    place : str
        Where it was found, such as "step 48, layer 0, tensor W" or "epoch 2, train_loss".
    certified, computed : str
        As the certificate writes them; or why nothing was computed.
    known : str
        What is known of the steps around it; may be empty.
    said : str
        By which word the certified value is introduced: it may be written elsewhere.
    """

    place: str
    certified: str
    computed: str
    known: str = ""
    said: str = "certified"


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
    """Check the files of a run against its certificate; return whether there is a model.

    What the certificate does not state, such as an accuracy, is for `difference_of_measures`.

    Parameters
    ----------
    certificate : dict
    run : Run
        Of its settings, on its data.
    folder : Path
    whole : bool
        Refuse a folder that lacks one of them; else the model and config.json alone are checked.

    Raises
    ------
    ValueError
        If a file cannot be read, was edited or is of another run.
    """
    config, model = folder / "config.json", folder / "model.safetensors"
    if whole:
        _check_metrics(certificate, folder / "metrics.jsonl")
        _check_summary(certificate, folder / "summary.json")
    if whole or config.exists():
        of_certificate = ("settings", "data_sha256")  # the data may have moved, the hash be older
        certified = run.config | {name: certificate[name] for name in of_certificate}
        found = read_json(config, "what train --output wrote", CONFIG)
        if run.settings.data != certificate["settings"]["data"]:  # maybe of another format
            certified |= {name: found.get(name) for name in ("header", "encoding")}
            if whole:  # as the certificate cannot say if these two were edited
                read_summary(folder, found)
        if json_sha256(found) != json_sha256(certified):
            raise _edited(config)
    if not whole and not model.exists():
        return False
    sha256 = certificate["final_parameters_sha256"]
    check_parameters(run.mlp, load_parameters(model, run.backend, sha256))
    return True


def _check_metrics(certificate: dict[str, Any], path: Path) -> None:
    """Raise ValueError where a line of metrics.jsonl is not that of the certificate."""
    lines = read_history(path)
    if not path.exists():
        raise ValueError(f"{path} is missing; expected what train --output wrote")
    with damaged(path):
        found = {line["epoch"]: certified_epoch(line) for line in lines}
    if any(found.get(epoch["epoch"]) != epoch for epoch in certificate["epochs"]):
        raise _edited(path)


def _check_summary(certificate: dict[str, Any], path: Path) -> None:
    """Raise ValueError where summary.json says something else than the certificate."""
    summary = read_json(path, "what train --output wrote")
    kept = certificate["kept_epoch"]
    (of_kept,) = (epoch for epoch in certificate["epochs"] if epoch["epoch"] == kept)
    certified = {
        "epochs": certificate["epochs"][-1]["epoch"],
        "kept_epoch": kept,
        "train_loss": float.fromhex(of_kept["train_loss"]),
        "parameters_sha256": certificate["final_parameters_sha256"],
    }
    if certificate["test_loss"] is not None:  # there may be no test part
        certified["test_loss"] = float.fromhex(certificate["test_loss"])
    with damaged(path):
        found = {name: summary[name] for name in certified}
    if json_sha256(found) != json_sha256(certified):
        raise _edited(path)


def _edited(path: Path) -> ValueError:
    return ValueError(f"{path} is not what was certified; undo what was edited, or train again")


def difference_of_measures(run: Run, folder: Path) -> Difference | None:
    """Return where metrics.jsonl or summary.json differ from a repeated run, None for nowhere.

    Losses and hashes are the certificate's, and compared bit by bit; other measures are computed on
    the host in float64, and compared to 1 in 10^6.  Times and the machine are not looked at.
    """
    summary, metrics = folder / "summary.json", folder / "metrics.jsonl"
    pairs = zip(read_history(metrics), run.history, strict=False)  # it may have gone on since
    written = [(f"{metrics}, epoch {own['epoch']}", line, own) for line, own in pairs]
    written.append((f"{summary}", read_json(summary, "a summary"), run.summary()))
    for place, found, computed in written:
        for name, value in json.loads(to_json(computed)).items():
            if name not in _OF_MACHINE and not _is_close(found.get(name), value):
                written_one, own = f"{found.get(name)!r}", f"{value!r}"
                return Difference(f"{place}, {name}", written_one, own, said="written")
    return None


def _is_close(found: Any, computed: Any) -> bool:
    numbers = isinstance(found, float | int) and isinstance(computed, float)
    return math.isclose(found, computed, rel_tol=1e-6) if numbers else bool(found == computed)


def go_on_from_step(certificate: dict[str, Any], run: Run, folder: Path, step: int) -> None:
    """Let the repetition begin where a checkpoint of the run was made.

    Parameters
    ----------
    certificate : dict
    run : Run
        Not yet trained.
    folder : Path
        Of the run.
    step : int
        After how many steps the checkpoint was made.

    Raises
    ------
    ValueError
        If there is no such checkpoint, or it is not of the certified run; names those there are.
    """
    end = certificate["epochs"][-1]["epoch"] * run.steps_per_epoch
    there = [t for t in checkpoint_steps(folder / FOLDER) if t <= end]
    if step not in there:
        found = ", ".join(map(str, there)) or "none"
        raise ValueError(
            f"from is {step}, but no checkpoint of the run holds the state after that step; those "
            f"in {folder / FOLDER}: {found}"
        )
    checkpoint = read_checkpoint(folder / FOLDER, step)
    stops = run.settings.early_stopping is not None
    history = read_history(folder / "metrics.jsonl", stops)[: checkpoint["epochs"]]
    certified = {epoch["epoch"]: epoch for epoch in certificate["epochs"]}
    lines = [certified_epoch(line) for line in history]
    wrong = not are_written_before(history, checkpoint) or any(
        certified.get(line["epoch"], line) != line for line in lines
    )
    run.go_on_from(checkpoint, history)
    known = 0 < run.kept_epoch <= len(history)
    kept = history[run.kept_epoch - 1]["parameters_sha256"] if known else None
    if (
        wrong
        or len(history) < checkpoint["epochs"]
        or kept not in (None, parameters_sha256(run.parameters, run.backend))
        or not _fits(run)
    ):
        raise ValueError(
            f"the checkpoint after step {step} in {folder / FOLDER}, or metrics.jsonl before it, "
            "is not of the certified run; verify without --from"
        )


def _fits(run: Run) -> bool:
    """Return whether the state that a run goes on from is one of its network."""
    assert run.position is not None  # there is one after `go_on_from`
    try:
        check_parameters(run.mlp, run.position.state.inference_parameters)
    except ValueError:
        return False
    return True


def first_difference(
    certificate: dict[str, Any], run: Run, on_batch: Callable[[int], None]
) -> Difference | None:
    """Train again, to the end or to the first difference, and return it.

    After each call of steps `on_batch` receives how many examples it visited.  A repetition that
    diverges differs, since certified epochs did not.
    """
    certified, computed = certificate["initial_parameters_sha256"], run.initial_parameters_sha256
    if certified != computed:
        return Difference("epoch 0, initial_parameters_sha256", certified, computed)
    run.record_every = certificate["record_every"]
    epochs = {epoch["epoch"]: epoch for epoch in certificate["epochs"]}
    records = _Records(certificate, run)
    try:
        found = _difference_in_training(epochs, run, records, on_batch)
    except DivergenceError as error:
        certified = next(of for n, of in epochs.items() if n >= error.epoch)["parameters_sha256"]
        place = f"epoch {error.epoch}, parameters_sha256"
        found = records.difference() or Difference(
            place, certified, f"none, as {error.found}", records.known()
        )
    return found or _difference_at_end(certificate, run)


def _difference_in_training(
    epochs: dict[int, dict[str, Any]],
    run: Run,
    records: "_Records",
    on_batch: Callable[[int], None],
) -> Difference | None:
    """Return the first difference of the recorded steps and of the epochs, by their number."""
    found = records.difference()  # of the state that a part of a run begins with
    if found is not None or len(run.history) >= max(epochs):
        return found
    for progress in run.train():
        on_batch(progress.count)
        found = records.difference()
        if found is None and progress.ended:
            found = _difference_of_epoch(epochs, run.history[-1], records.known())
        if found is not None or len(run.history) >= max(epochs):
            return found
    return None


def _difference_of_epoch(
    epochs: dict[int, dict[str, Any]], line: dict[str, Any], known: str
) -> Difference | None:
    """Return the first difference of a line of the history from the certified epoch, if any."""
    found = certified_epoch(line)
    expected = epochs.get(line["epoch"], found)
    wrong = next((name for name in expected if expected[name] != found.get(name)), None)
    if wrong is None:
        return None
    place = f"epoch {line['epoch']}, {wrong}"
    return Difference(place, expected[wrong], found.get(wrong, "none"), known)


def _difference_at_end(certificate: dict[str, Any], run: Run) -> Difference | None:
    """Return the difference of the epoch that is kept, or of its test loss."""
    if certificate["kept_epoch"] != run.kept_epoch:
        return Difference("kept_epoch", str(certificate["kept_epoch"]), str(run.kept_epoch))
    certified, computed = certificate["test_loss"] or "none", run.test_loss or "none"
    if certified != computed:
        return Difference(f"epoch {run.kept_epoch}, test_loss", certified, computed)
    return None


class _Records:
    """The certified hashes of tensors, and how far a run has them."""

    def __init__(self, certificate: dict[str, Any], run: Run) -> None:
        self._run, self._tensors = run, certificate["tensors"]
        self._certified: dict[int, str] = {int(t): of for t, of in certificate["records"].items()}
        self._same: int | None = None
        self._compared = 0
        if run.position is not None:  # the state that a part of a run begins with
            state = run.position.state
            tensors = merge(state.parameters, state.buffers)
            run.records[state.t] = tensor_hashes(tensors, run.backend)
            self._compared = state.t - 1

    def difference(self) -> Difference | None:
        """Return the first difference among the hashes recorded since the last call."""
        for t in [t for t in self._run.records if t > self._compared]:
            self._compared = t
            found = self._difference_after(t) if t in self._certified else None
            if found is not None:
                return found
        return None

    def _difference_after(self, t: int) -> Difference | None:
        certified, computed = self._certified[t], self._run.records[t]
        starts = range(0, len(certified), HASH_DIGITS)
        pairs = [(certified[at:][:HASH_DIGITS], computed[at:][:HASH_DIGITS]) for at in starts]
        differing = [index for index, (one, other) in enumerate(pairs) if one != other]
        if differing:
            layer, _, name = self._tensors[differing[0]].partition(".")
            place = f"step {t}, layer {layer}, tensor {name}"
            if len(differing) > 1:
                place += f" (the first of {len(differing)} tensors)"
            return Difference(place, *pairs[differing[0]], self.known())
        self._same = t
        return None

    def known(self) -> str:
        """Return in words up to which step all is the same."""
        return "" if self._same is None else f"step {self._same} is the same"
