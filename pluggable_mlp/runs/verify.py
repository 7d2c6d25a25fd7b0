"""Verifying a certificate: training again with its settings, on any backend, and comparing.

The hashes of the tensors are compared every so many steps, the losses and the parameters after
each epoch.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pluggable_mlp.backends import Backend
from pluggable_mlp.files import json_sha256, to_json
from pluggable_mlp.fit import certified_epoch
from pluggable_mlp.hashing import HASH_DIGITS, tensor_names
from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.runs.run import Run
from pluggable_mlp.runs.saved import (
    load_own_data,
    read_config,
    read_history,
    read_parameters,
    read_summary,
)
from pluggable_mlp.settings import Settings
from pluggable_mlp.training.divergence import DivergenceError

_OF_MACHINE = (
    "seconds",
    "examples_per_second",
    "versions",
    "backend",
    "device",
    "processes",
    "config_sha256",  # of a path of the data, too
)


@dataclass(frozen=True)
class Difference:
    """The first difference between a repeated run and its certificate.

    Attributes
    ----------
    place : str
        Where it was found, such as "step 48, layer 0, tensor W" or "epoch 2, train_loss".
    certified, computed : str
        As written in the certificate; or why nothing was computed.
    last_same : str
        The last step without a difference, in words; may be empty.
    source : str
        The source of the expected value: "certified", or "written" in another file.
    """

    place: str
    certified: str
    computed: str
    last_same: str = ""
    source: str = "certified"


class Verification:
    """The run of a certificate, to be trained again and compared.

    The preparation is fitted again, because everything certified follows from the data and the
    settings alone; `check_files` compares it with the saved one.

    Parameters
    ----------
    certificate, settings
        From `read_certificate`.
    backend : Backend
    data, test : str, optional
        Where the data are now; by default where they were.

    Attributes
    ----------
    run : Run
        The repeated run.

    Raises
    ------
    ValueError
        If the data cannot be read or have changed, or a run of these settings records other steps.
    """

    def __init__(
        self,
        certificate: dict[str, Any],
        settings: Settings,
        backend: Backend,
        data: str | None = None,
        test: str | None = None,
    ) -> None:
        settings = replace(settings, data=data or settings.data, test=test or settings.test)
        self.run = Run(settings, backend, load_own_data(settings, certificate["data_sha256"]))
        self._certificate = certificate
        self._epochs = {epoch["epoch"]: epoch for epoch in certificate["epochs"]}
        self._last = max(self._epochs)
        self._records: dict[int, str] = {int(t): of for t, of in certificate["records"].items()}
        self._same: int | None = None  # the last step after which all tensors are the same
        self._compared = 0
        self._refuse_other_records()

    def _refuse_other_records(self) -> None:
        """Refuse records at other steps than the run's; a run meant to be longer may have fewer."""
        every, end = self._certificate["record_every"], self._last * self.run.steps_per_epoch
        names = tensor_names(self.run.parameters)
        if (
            every % self.run.record_every
            or self._certificate["tensors"] != names
            or sorted(self._records) != [*range(every, end + 1, every)]
            or {*map(len, self._records.values())} - {HASH_DIGITS * len(names)}
        ):
            raise ValueError(
                "the certificate has other records than a run of its settings, expected them after "
                f"each {self.run.record_every} steps up to {end}, of {', '.join(names)}"
            )

    def check_files(self, folder: Path, whole: bool) -> bool:
        """Check the files of the run against the certificate; return whether there is a model.

        `difference_of_measures` checks the contents of `metrics.jsonl` and `summary.json`.

        Parameters
        ----------
        folder : Path
        whole : bool
            Whether to refuse a folder that lacks one of them; otherwise only the model and
            config.json are checked.

        Raises
        ------
        ValueError
            If a file cannot be read, was edited or belongs to another run.
        """
        model, metrics = folder / "model.safetensors", folder / "metrics.jsonl"
        if whole:
            read_summary(folder)  # a run without has not ended
            if (count := len(read_history(metrics))) < self._last:
                fault = f"{metrics} has {count} epochs, expected {self._last} as certified"
                raise ValueError(fault)
        if whole or (folder / "config.json").exists():
            self._check_config(folder, whole)
        if not whole and not model.exists():
            return False
        sha256 = self._certificate["final_parameters_sha256"]
        check_parameters(self.run.mlp, read_parameters(model, self.run.backend, sha256))
        return True

    def _check_config(self, folder: Path, whole: bool) -> None:
        settings = self._certificate["settings"]
        certified = {**self.run.config, "settings": settings}
        found = read_config(folder / "config.json")
        if whole or self.run.settings.data != settings["data"]:  # perhaps once in another format
            certified |= {name: found.get(name) for name in ("header", "encoding", "decimal")}
        if json_sha256(found) != json_sha256(certified):
            raise ValueError(f"{folder / 'config.json'} is not what was certified")
        if whole:  # since the certificate cannot tell if these two were edited
            read_summary(folder, found)

    def first_difference(self, on_batch: Callable[[int], None]) -> Difference | None:
        """Train again, to the end or to the first difference, and return it.

        After each call of steps, `on_batch` receives the number of examples visited.  A repetition
        that diverges differs, since certified epochs did not diverge.
        """
        certified = self._certificate["initial_parameters_sha256"]
        computed = self.run.initial_parameters_sha256
        if certified != computed:
            return Difference("epoch 0, initial_parameters_sha256", certified, computed)
        self.run.record_every = self._certificate["record_every"]
        try:
            found = self._difference_in_training(on_batch)
        except DivergenceError as error:
            at_least = (of for number, of in self._epochs.items() if number >= error.epoch)
            found = self._difference_of_steps() or Difference(
                f"epoch {error.epoch}, parameters_sha256",
                next(at_least)["parameters_sha256"],
                f"none, as {error.found}",
                self._last_same(),
            )
        return found or self._difference_at_end()

    def _difference_in_training(self, on_batch: Callable[[int], None]) -> Difference | None:
        for progress in self.run.train():
            on_batch(progress.count)
            found = self._difference_of_steps()
            if found is None and progress.ended:
                found = self._difference_of_epoch(self.run.history[-1])
            if found is not None or len(self.run.history) >= self._last:
                return found
        return None

    def _difference_of_steps(self) -> Difference | None:
        """Return the first difference among the hashes recorded since the last call."""
        for t in [t for t in self.run.records if t > self._compared]:
            self._compared = t
            found = self._difference_after(t) if t in self._records else None
            if found is not None:
                return found
        return None

    def _difference_after(self, t: int) -> Difference | None:
        certified, computed = self._records[t], self.run.records[t]
        starts = range(0, len(certified), HASH_DIGITS)
        pairs = [(certified[at:][:HASH_DIGITS], computed[at:][:HASH_DIGITS]) for at in starts]
        differing = [index for index, (one, other) in enumerate(pairs) if one != other]
        if differing:
            layer, _, name = self._certificate["tensors"][differing[0]].partition(".")
            place = f"step {t}, layer {layer}, tensor {name}"
            if len(differing) > 1:
                place += f" (the first of {len(differing)} tensors)"
            return Difference(place, *pairs[differing[0]], self._last_same())
        self._same = t
        return None

    def _difference_of_epoch(self, line: dict[str, Any]) -> Difference | None:
        found = certified_epoch(line)
        expected = self._epochs.get(line["epoch"], found)
        wrong = next((name for name in expected if expected[name] != found.get(name)), None)
        if wrong is None:
            return None
        place = f"epoch {line['epoch']}, {wrong}"
        return Difference(place, expected[wrong], found.get(wrong, "none"), self._last_same())

    def _difference_at_end(self) -> Difference | None:
        """Return the difference in the epoch that is kept, or in its test loss."""
        kept = self.run.kept_epoch
        if self._certificate["kept_epoch"] != kept:
            return Difference("kept_epoch", str(self._certificate["kept_epoch"]), str(kept))
        certified, computed = self._certificate["test_loss"] or "none", self.run.test_loss or "none"
        if certified != computed:
            return Difference(f"epoch {kept}, test_loss", certified, computed)
        return None

    def _last_same(self) -> str:
        """Return in words up to which step everything is the same."""
        return "" if self._same is None else f"step {self._same} is the same"

    def difference_of_measures(self, folder: Path) -> Difference | None:
        """Return where metrics.jsonl or summary.json differ from the repeated run, if anywhere.

        Losses and hashes are compared bit by bit; other measures are computed on the host in
        float64, and compared to 1 in 10^6.  Times and the machine are ignored.
        """
        metrics = folder / "metrics.jsonl"
        pairs = zip(read_history(metrics), self.run.history, strict=False)  # it may have gone on
        written = [(f"{metrics}, epoch {own['epoch']}", line, own) for line, own in pairs]
        written.append((f"{folder / 'summary.json'}", read_summary(folder), self.run.summary()))
        for place, *both in written:
            found, computed = (json.loads(to_json(values)) for values in both)
            for name, value in computed.items():
                if name not in _OF_MACHINE and not _is_same(name, found.get(name), value):
                    written_one, own = f"{found.get(name)!r}", f"{value!r}"
                    return Difference(f"{place}, {name}", written_one, own, source="written")
        return None


def _is_same(name: str, found: Any, computed: Any) -> bool:
    """Return whether a written value equals the computed one: exactly, or nearly for a measure."""
    if name.endswith("loss") or not isinstance(found, float) or not isinstance(computed, float):
        return bool(found == computed)
    return math.isclose(found, computed, rel_tol=1e-6)
