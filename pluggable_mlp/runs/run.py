"""A run: a training from settings (`fit.py`) with its checkpoints, its test and its summary.

Its folder holds `config.json` (the settings and the data's shape), `metrics.jsonl` (a line per
epoch), `model.safetensors` (the parameters) and `summary.json` (the results, and the hashes of
the settings and the parameters).  `folder.py` decides when to write them, and `saved.py` reads
them.  What is printed belongs in `cli`.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pluggable_mlp.arrays import map_nested
from pluggable_mlp.backends import Backend
from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.distributed.communicators import Communicator
from pluggable_mlp.files import Json, json_lines, json_sha256, write_json
from pluggable_mlp.fit import Fit, versions
from pluggable_mlp.hashing import sha256_of
from pluggable_mlp.runs.checkpoints import Checkpoint
from pluggable_mlp.runs.saved import read_parameters
from pluggable_mlp.serialization import write_tree
from pluggable_mlp.settings import Settings
from pluggable_mlp.training.evaluation import measure
from pluggable_mlp.training.loop import Epoch, Position, Progress

WHERE = ("data", "test")
"""Settings that say where something is: it may be elsewhere when a run goes on."""


def written_sha256(settings: Settings, config: Json, history: Sequence[Json]) -> str:
    """Return the hash of what must not change until a run goes on: config.json and the epochs."""
    free = {*WHERE} if settings.ends_with_epochs else {*WHERE, "epochs"}
    kept = {name: value for name, value in config["settings"].items() if name not in free}
    return sha256_of([json_sha256({**config, "settings": kept}), *map(json_lines, history)])


class Run(Fit):
    """A fit with checkpoints and files.

    Parameters
    ----------
    settings, backend, communicator
        As for `Fit`.
    data : Dataset, optional
        By default the data that the settings name.
    """

    def __init__(
        self,
        settings: Settings,
        backend: Backend,
        data: Dataset | None = None,
        communicator: Communicator | None = None,
    ) -> None:
        if data is None:
            data = settings.load_dataset()
        super().__init__(settings, backend, data, communicator)
        self._test = self._examples("test") if "test" in data.splits else None
        self._tested: tuple[int, dict[str, float]] = (0, {})

    def _end_epoch(self, progress: Progress, epoch: Epoch) -> None:
        """See `Fit`; a checkpoint may be made there."""
        super()._end_epoch(progress, epoch)
        self.position = progress.position()

    @property
    def examples_done(self) -> int:
        """The number of examples visited before this process, for a progress bar."""
        if self.position is None:
            return 0
        return (self.position.epoch - 1) * self.training_examples + self.position.start

    def checkpoint(self, position: Position) -> Checkpoint:
        """Return the state, besides the history, to continue from a position of this run."""
        return Checkpoint(
            position=position,
            epochs=len(self.history),
            files_sha256=written_sha256(self.settings, self.config, self.history),
            kept_epoch=self.kept_epoch,
            parameters=self.parameters if self.kept_epoch else None,
            record_every=self.record_every,
            records=self.records,
            backend=f"{self.backend.name}:{self.backend.device}",
        )

    def go_on_from(self, checkpoint: Checkpoint, history: list[dict[str, Any]]) -> None:
        """Continue the run from a checkpoint, on any backend and any processes."""
        moved = map_nested(self.backend.asarray, checkpoint)
        self.kept_epoch = moved.kept_epoch
        self.position, self.records = moved.position, moved.records
        self.record_every = max(self.record_every, moved.record_every)  # powers of two
        for line in history:
            self.history.append(line)
            self._is_kept(line)
        if self.kept_epoch:
            self.parameters = moved.parameters

    @property
    def test_loss(self) -> str | None:
        """See `Fit`."""
        measures = self.test_measures()
        return measures["loss"].hex() if measures else None

    def test_measures(self) -> dict[str, float]:
        """Return the measures of `parameters` on the unseen test part; {} if there is none.

        Each process that calls this computes them by itself.
        """
        if self._test is None:
            return {}
        if self._tested[0] != self.kept_epoch:
            measured, _ = self._measured(measure, self.parameters, self._test)
            self._tested = self.kept_epoch, measured
        return self._tested[1]

    def summary(self) -> dict[str, Any]:
        """Return the results of the run, with its settings and its place."""
        seconds = sum(line["seconds"] for line in self.history)
        examples = len(self.history) * self.training_examples
        kept_epoch = self.history[self.kept_epoch - 1]
        return {
            "task": self.settings.task,
            "epochs": len(self.history),
            "kept_epoch": self.kept_epoch,
            "train_loss": kept_epoch["train_loss"],
            **{name: value for name, value in kept_epoch.items() if name.startswith("validation_")},
            **{f"test_{name}": value for name, value in self.test_measures().items()},
            "seconds": seconds,
            "examples_per_second": examples / seconds if seconds else float("inf"),
            "backend": self.backend.name,
            "device": self.backend.device,
            "processes": self.processes,
            "versions": versions(self.backend),
            "arithmetic": self.settings.arithmetic,
            "dtype": self.settings.dtype,
            "seed": self.settings.seed,
            "config_sha256": json_sha256(self.config),
            "parameters_sha256": kept_epoch["parameters_sha256"],
        }

    @cached_property
    def config(self) -> dict[str, Any]:
        """The settings of the run, and a short description of its data."""
        return {
            "settings": self.settings.to_dict(),
            **self.preparation.to_dict(),
            "data_sha256": self.data_sha256,
        }

    def save(self, folder: Path) -> None:
        """Write the model to the folder and, once it has proved readable, the summary.

        Raises
        ------
        OSError, ValueError
            If they cannot be written, or the model reads back differently.
        """
        summary = self.summary()
        model = folder / "model.safetensors"
        write_tree(model, map_nested(self.backend.to_numpy, self.parameters))
        read_parameters(model, self.backend, summary["parameters_sha256"])
        write_json(folder / "summary.json", summary)
