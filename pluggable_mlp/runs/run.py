"""A run: one training by its settings, and what it reaches.

Its folder holds `config.json` (the settings and the data's shape), `metrics.jsonl` (a line per
epoch), `model.safetensors` (the parameters) and `summary.json` (what was reached, and the hashes
of the settings and the parameters): `folder.py` says when, `saved.py` reads them.  What
is printed belongs in `cli`.
"""

import hashlib
import platform
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pluggable_mlp import __version__
from pluggable_mlp.arrays import map_nested
from pluggable_mlp.backends import Backend
from pluggable_mlp.data.dataset import Dataset, Split
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.distributed import Communicator
from pluggable_mlp.files import json_lines, json_sha256, write_json
from pluggable_mlp.hashing import HASH_DIGITS, parameters_sha256, tensor_hashes, tensor_names
from pluggable_mlp.initialization import initial_parameters
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.network.passes import Parameters
from pluggable_mlp.runs.checkpoints import Checkpoint
from pluggable_mlp.runs.saved import read_parameters
from pluggable_mlp.runs.scores import measure
from pluggable_mlp.serialization import write_tree
from pluggable_mlp.settings import Settings
from pluggable_mlp.training.callbacks import BestEpoch
from pluggable_mlp.training.evaluation import evaluate
from pluggable_mlp.training.examples import AnyExamples, make_examples
from pluggable_mlp.training.loop import Epoch, Position, Progress, training_progress
from pluggable_mlp.training.sharding import check_agreement, order_of_processes
from pluggable_mlp.training.steps import Steps
from pluggable_mlp.training.train import first_steps
from pluggable_mlp.training.trees import merge

RECORDS = 128
"""At most so many steps of a run are recorded."""

RECORDED_DIGITS = 600_000
"""At most so many digits of hashes, of all records together."""


class Run:
    """One training: settings and a backend, then epochs, then a summary.

    Parameters
    ----------
    settings : Settings
    backend : Backend
    data : Dataset, optional
        By default those that the settings name.
    communicator : Communicator, optional
        The processes that train together: each of them makes this run.

    Attributes
    ----------
    settings : Settings
        With the task and the loss, which may have been left to the data.
    dataset : Dataset
    steps_per_epoch, training_examples : int
        How many steps an epoch has, and how many examples it visits.
    history : list of dict
        A line for each whole epoch: epoch, train_loss, the measures of the validation part where
        there is one (validation_loss, and validation_accuracy or validation_r2 and
        validation_mean_absolute_error), seconds, parameters_sha256.
    kept_epoch : int
        The one that `parameters` are of: the best where there is early stopping, else the last.
    position : Position or None
        Where the next epoch begins, or the step after a checkpoint; None before the first step.
    parameters : list of dict of arrays
        Before the first epoch the initial ones.
    record_every : int
        After each of so many steps, the hashes of all tensors are recorded.
    records : dict
        These hashes, as `tensor_hashes` returns them, by the count of steps.
    """

    def __init__(
        self,
        settings: Settings,
        backend: Backend,
        data: Dataset | None = None,
        communicator: Communicator | None = None,
    ) -> None:
        if data is None:
            data = settings.load_dataset(in_files=communicator is not None)
        settings = settings.for_dataset(data)
        self.settings, self.backend, self.dataset = settings, backend, data
        self._communicator = communicator
        if communicator is not None:
            of_data = {"data_sha256": self.data_sha256, "data": None, "test": None}
            check_agreement(communicator, backend, settings.to_dict() | of_data)
        self.mlp = settings.make_mlp(self.preparation.form, data.outputs)
        self._recipe = settings.made_recipe
        self._train = self._examples(data.train, class_weight=settings.class_weight)
        examples = len(self._train)
        self.steps_per_epoch = settings.steps_per_epoch(examples)
        self.training_examples = min(examples, self.steps_per_epoch * settings.batch_size)
        self._test = self._examples(data.test) if "test" in data.splits else None
        validates = settings.validates(data)
        self._validation = self._examples(data.splits["validation"]) if validates else None
        self._best = BestEpoch(settings.used("early_stopping"), last=self._recipe.last_best)
        self._tested: tuple[int, dict[str, float]] = (0, {})
        self.history: list[dict[str, Any]] = []
        self._lines = hashlib.sha256()
        self.kept_epoch = 0
        self.position: Position | None = None
        self.parameters = initial_parameters(
            self.mlp,
            self._train,
            on_rows=self._recipe.on_rows,
            seed=settings.seed,
            dtype=settings.dtype,
            backend=backend,
        )
        self.initial_parameters_sha256 = parameters_sha256(self.parameters, backend)
        self.record_every = _steps_of_a_record(
            settings.epochs * self.steps_per_epoch, len(tensor_names(self.parameters))
        )
        self.records: dict[int, str] = {}

    def _examples(self, split: Split, class_weight: str | None = None) -> AnyExamples:
        """Return a split on the backend, of several processes the part of this one."""
        settings = self.settings
        return make_examples(
            self.mlp,
            *split,
            block_size=settings.rows_of_blocks(),
            communicator=self._communicator,
            backend=self.backend,
            dtype=settings.dtype,
            scale=self.dataset.scale,
            arithmetic=settings.arithmetic,
            class_weight=class_weight,
        )

    @property
    def data_sha256(self) -> str:
        """The SHA-256 of the data set."""
        return self.dataset.sha256()

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return 1 if self._communicator is None else self._communicator.size

    def train(self) -> Iterator[Progress]:
        """Train; yield as `training_progress` does, an ended epoch when `history` has its line."""
        if self.is_done:
            return
        settings = self.settings
        steps = first_steps(
            settings.scheduled(self.mlp, len(self._train)),
            self.parameters,
            self._train,
            backend=self.backend,
            optimizer=settings.make_optimizer(len(self._train), self.mlp),
            arithmetic=settings.arithmetic,
            batch_size=settings.batch_size,
            seed=settings.seed,
            micro_batch=settings.micro_batch,
            communicator=self._communicator,
        )
        for progress in training_progress(
            steps,
            self._train,
            order=order_of_processes(settings.seed, steps.xp, settings.micro_batch),
            epochs=settings.epochs,
            start=self.position,
            every=self.record_every,
            whole_batches=self._recipe.whole_batches,
        ):
            if progress.result is not None:
                self._end_epoch(progress, progress.result)
            elif steps.t % self.record_every == 0:
                self._record(steps)
                progress.mean_loss()  # a training that diverged ends here
            yield progress
            if progress.ended and self.is_done:
                return

    def _end_epoch(self, progress: Progress, epoch: Epoch) -> None:
        """Measure the validation part, add the epoch's line, and keep its parameters if best."""
        validated: dict[str, float] = {}
        if self._validation is not None:
            together = partial(
                evaluate,
                communicator=self._communicator,
                batch_size=self._recipe.rows_at_once,
            )
            validated = self._measured(together, epoch.parameters, self._validation)
            progress.followed = validated["loss"]
        line = {
            "epoch": epoch.epoch,
            "train_loss": epoch.train_loss,
            **{f"validation_{name}": value for name, value in validated.items()},
            "seconds": epoch.seconds,
            "parameters_sha256": parameters_sha256(epoch.parameters, self.backend),
        }
        self._add_line(line)
        if self._is_kept(line):
            self.parameters, self.kept_epoch = epoch.parameters, epoch.epoch
        self.position = progress.position()

    def _add_line(self, line: dict[str, Any]) -> None:
        self.history.append(line)
        self._lines.update(json_lines(line))

    def _record(self, steps: Steps) -> None:
        """Record the hashes of the parameters and buffers."""
        state = unwrapped(steps.state)
        tensors = merge(state.parameters, state.buffers)
        self.records[state.t] = tensor_hashes(tensors, self.backend)

    @property
    def is_done(self) -> bool:
        """Whether no epoch is left: all are done, or early stopping ended training."""
        stopped = bool(self.history) and self._best.is_over
        return stopped or len(self.history) >= self.settings.epochs

    @property
    def examples_done(self) -> int:
        """How many examples were visited before this process, for a progress bar."""
        if self.position is None:
            return 0
        return (self.position.epoch - 1) * self.training_examples + self.position.start

    def checkpoint(self, position: Position) -> Checkpoint:
        """Return what is needed to go on from a position of this run, beside its history."""
        return Checkpoint(
            position=position,
            epochs=len(self.history),
            metrics_sha256=self._lines.hexdigest(),
            kept_epoch=self.kept_epoch,
            parameters=self.parameters if self.kept_epoch else None,
            record_every=self.record_every,
            records=self.records,
            backend=f"{self.backend.name}:{self.backend.device}",
            settings=self.settings.to_dict(),
            data_sha256=self.data_sha256,
            preparation_sha256=json_sha256(self.preparation.to_dict()),
        )

    def go_on_from(self, checkpoint: Checkpoint, history: list[dict[str, Any]]) -> None:
        """Take up the run where a checkpoint of it was made, on any backend and any processes."""
        moved = map_nested(self.backend.asarray, checkpoint)
        self.kept_epoch = moved.kept_epoch
        self.position, self.records = moved.position, moved.records
        self.record_every = max(self.record_every, moved.record_every)  # powers of two
        for line in history:
            self._add_line(line)
            self._is_kept(line)
        if self.kept_epoch:
            self.parameters = moved.parameters

    def _is_kept(self, line: dict[str, Any]) -> bool:
        """Return whether an epoch is to be kept: the best so far where that is asked for."""
        if not self.settings.keeps_best:
            return True
        measured = {name.removeprefix("validation_"): of for name, of in line.items()}
        error = self._recipe.error(self.dataset.task, measured)
        return self._best.is_best(line["epoch"], error)

    def _measured(
        self, measure_by: Callable[..., dict[str, float]], parameters: Parameters, on: AnyExamples
    ) -> dict[str, float]:
        """Return what `evaluate` or `measure` says of parameters."""
        return measure_by(
            self.mlp,
            parameters,
            on,
            backend=self.backend,
            arithmetic=self.settings.arithmetic,
            units=self.preparation.target_units,
        )

    @property
    def test_loss(self) -> str | None:
        """The loss of the test part as hexadecimal digits; None where there is none."""
        measures = self.test_measures()
        return measures["loss"].hex() if measures else None

    def test_measures(self) -> dict[str, float]:
        """Return how good `parameters` are on the test part, not looked at before; {} if none.

        Of several processes each that asks measures by itself.
        """
        if self._test is None:
            return {}
        if self._tested[0] != self.kept_epoch:
            measured = self._measured(measure, self.parameters, self._test)
            self._tested = self.kept_epoch, measured
        return self._tested[1]

    def summary(self) -> dict[str, Any]:
        """Return what the run reached, with what and where."""
        seconds = sum(line["seconds"] for line in self.history)
        examples = len(self.history) * self.training_examples
        kept = self.history[self.kept_epoch - 1]
        return {
            "backend": self.backend.name,
            "device": self.backend.device,
            "processes": self.processes,
            "versions": versions(self.backend),
            "arithmetic": self.settings.arithmetic,
            "dtype": self.settings.dtype,
            "seed": self.settings.seed,
            "task": self.settings.task,
            "epochs": len(self.history),
            "kept_epoch": self.kept_epoch,
            "train_loss": kept["train_loss"],
            **{name: value for name, value in kept.items() if name.startswith("validation_")},
            **{f"test_{name}": value for name, value in self.test_measures().items()},
            "seconds": seconds,
            "examples_per_second": examples / seconds if seconds else float("inf"),
            "config_sha256": json_sha256(self.config),
            "parameters_sha256": kept["parameters_sha256"],
        }

    @cached_property
    def preparation(self) -> Preparation:
        """What the network takes and answers."""
        assert self.dataset.preparation is not None  # `load_dataset` fits one
        return self.dataset.preparation

    @cached_property
    def config(self) -> dict[str, Any]:
        """What the run is made of: its settings, and its data in short."""
        return {
            "settings": self.settings.to_dict(),
            **self.preparation.to_dict(),
            "data_sha256": self.data_sha256,
            "test_sha256": self.dataset.test.sha256() if self._test is not None else None,
        }

    def save(self, folder: Path) -> None:
        """Write the model and, when it is known to be readable, the summary to the folder.

        Raises
        ------
        OSError, ValueError
            If they cannot be written, or the model does not come back as it was.
        """
        summary = self.summary()
        model = folder / "model.safetensors"
        write_tree(model, map_nested(self.backend.to_numpy, self.parameters))
        read_parameters(model, self.backend, summary["parameters_sha256"])
        write_json(folder / "summary.json", summary)


def _steps_of_a_record(steps: int, tensors: int) -> int:
    """Return the smallest power of two that makes of so many steps not too many records.

    A power: the records of a run that is prolonged include those that it has then.
    """
    most = max(1, min(RECORDS, RECORDED_DIGITS // (HASH_DIGITS * tensors)))
    every = 1
    while steps > every * most:
        every *= 2
    return every


def versions(backend: Backend) -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "pluggable-mlp": __version__,
        "python": platform.python_version(),
        **backend.versions(),
    }
