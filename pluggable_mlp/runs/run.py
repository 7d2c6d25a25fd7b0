"""Training by a plan, as the command line and the estimators for tables do it.

A `Run` trains a network on a prepared data set, measures the validation part, keeps the best epoch,
measures the test part, and sums up, in the context of its backend, which callers enter.  What is
printed belongs in `cli`.
"""

import math
import platform
from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np

from pluggable_mlp import __version__
from pluggable_mlp.arrays import Array, map_nested
from pluggable_mlp.arrays.shortcuts import backend_context, take_rows
from pluggable_mlp.backends import Backend, get_backend
from pluggable_mlp.data.columns import EncodedArray
from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.values import Split
from pluggable_mlp.distributed.communicators import Communicator
from pluggable_mlp.files import Json, json_sha256
from pluggable_mlp.files.hashing import (
    HASH_DIGITS,
    parameters_sha256,
    tensor_hashes,
    tensor_names,
)
from pluggable_mlp.namespaces import namespace_of, unwrapped
from pluggable_mlp.network.parameters import Parameters, map_arrays, merged
from pluggable_mlp.network.row_initialization import initialized_on_rows
from pluggable_mlp.options import Options
from pluggable_mlp.plan import Plan, read_data
from pluggable_mlp.runs.saved import FORMAT
from pluggable_mlp.training.early_stopping import BestEpoch
from pluggable_mlp.training.evaluation import evaluate, measure
from pluggable_mlp.training.examples import AnyExamples, Streamed
from pluggable_mlp.training.loop import Epoch, Position, Progress, training_progress
from pluggable_mlp.training.metrics import METRICS, check_metric
from pluggable_mlp.training.sharding import check_agreement, order_of_steps
from pluggable_mlp.training.steps import Steps
from pluggable_mlp.training.train import first_steps

RECORDS = 128
"""The most steps of a training that are recorded."""

RECORDED_DIGITS = 600_000
"""The most digits of hashes in all records together."""

MOST_ROWS = 10_000
"""The most rows from which initial parameters follow, evenly spaced if there are more."""


class Run:
    """One training: a plan, data and a backend, then epochs.

    Parameters
    ----------
    plan : Plan
    dataset : Dataset
    backend : Backend
    communicator : Communicator, optional
        The processes that train together; each of them makes this object.
    sample_weight : mapping of str to array (n,), optional
        The weight of each example, by split.
    is_certified : bool, default True
        Whether to compute the hashes for a certificate.

    Attributes
    ----------
    preparation : Preparation
        How the network's inputs and targets are prepared.
    training_examples : int
        The number of examples that an epoch visits.
    history : list of dict
        A line for each whole epoch: epoch, train_loss, the measures of the validation part if
        there is one (that of the metric, validation_loss, and validation_accuracy or
        validation_r2 and validation_mean_absolute_error), seconds, parameters_sha256 if certified.
    kept_epoch : int
        The epoch of `parameters`: the best if there is early stopping, else the last.
    position : Position or None
        Where the training continues; None before it begins.
    parameters : list of dict of arrays
        Those of `kept_epoch`; before the first epoch the initial ones.
    record_every : int
        How many steps lie between records of the hashes of all tensors; 0 for no records.
    records : dict
        These hashes, as `tensor_hashes` returns them, by the count of steps.
    """

    def __init__(
        self,
        plan: Plan,
        dataset: Dataset,
        backend: Backend,
        communicator: Communicator | None = None,
        *,
        sample_weight: Mapping[str, Array | None] | None = None,
        is_certified: bool = True,
    ) -> None:
        self.plan: Plan = plan
        self.dataset: Dataset = dataset
        self.backend: Backend = backend
        self.preparation: Preparation = dataset.fitted_preparation
        self._evaluation = plan.evaluation(self.preparation, backend)
        self._communicator, self._weights = communicator, sample_weight or {}
        if communicator is not None:
            of_data = {"data_sha256": self.data_sha256, "data": None, "test": None}
            check_agreement(communicator, backend, plan.to_dict() | of_data)
        if plan.options.metric is not None:
            check_metric(plan.options.metric, dataset.task, self._watched_targets())
        with backend_context(backend):
            self._train = self._examples("train", class_weight=plan.options.class_weight)
            self._validation = self._examples("validation") if plan.validates else None
            self._test = self._examples("test") if "test" in dataset.splits else None
            self.parameters: Parameters = self._initial_parameters()
        self._tested: tuple[int, dict[str, float]] = (0, {})
        visited = plan.steps_per_epoch * plan.batch_size
        self.training_examples: int = min(len(self._train), visited)
        self._best = BestEpoch(plan.patience)
        self.history: list[Json] = []
        self.kept_epoch: int = 0
        self.position: Position | None = None
        self.record_every: int = 0
        self.records: dict[int, str] = {}
        if is_certified:
            self.initial_parameters_sha256: str = parameters_sha256(self.parameters, backend)
            digits = HASH_DIGITS * len(tensor_names(self.parameters))
            most = max(1, min(RECORDS, RECORDED_DIGITS // digits))
            self.record_every = interval(plan.epochs * plan.steps_per_epoch, most)

    @classmethod
    def of(
        cls, options: Options, backend: Backend, communicator: Communicator | None = None
    ) -> "Run":
        """Return the run that options describe, with the data that they name."""
        dataset = read_data(options)
        return cls(Plan.for_dataset(options, dataset), dataset, backend, communicator)

    def _watched_targets(self) -> Array | None:
        """Return the targets of the validation examples whose weights count in the dtype."""
        if not self.plan.validates:
            return None
        (_, targets), weights = self.dataset.splits["validation"], self._weights.get("validation")
        return (
            targets if weights is None else targets[are_nonzero(weights, self.plan.options.dtype)]
        )

    def _examples(self, part: str, class_weight: str | None = None) -> AnyExamples:
        """Return a split on the backend, or this process's part of it."""
        rows, (inputs, targets) = self.plan.rows_of_blocks, self.dataset.splits[part]
        if rows is None and isinstance(inputs, EncodedArray):
            inputs = inputs.astype(self.plan.options.dtype)
        return self.plan.make_examples(
            Split(inputs, targets),
            self.preparation,
            self.backend,
            block_size=rows,
            communicator=self._communicator,
            sample_weight=self._weights.get(part),
            class_weight=class_weight,
        )

    def _initial_parameters(self) -> Parameters:
        """Return the parameters that a training begins with, on the backend.

        If they follow from the rows, they are computed on the host in reproducible arithmetic, and
        are the same on every backend and every process.
        """
        seed, dtype = self.plan.options.seed, self.plan.options.dtype
        mlp = self.plan.mlp
        if not self.plan.recipe.on_rows:
            return mlp.initialize(seed=seed, backend=self.backend, dtype=dtype)
        host, scale = get_backend("numpy"), self._train.kind.scale
        xp = namespace_of("reproducible", host)
        parameters = map_arrays(xp.asarray, mlp.initialize(seed=seed, backend=host, dtype=dtype))
        x = xp.asarray(self._some_rows())
        if scale is not None:
            x = xp.astype(x, getattr(xp, dtype)) * scale
        parameters = initialized_on_rows(xp, mlp, parameters, x, seed=seed, backend=host)
        moved: Parameters = map_nested(self.backend.asarray, unwrapped(parameters))
        return moved

    def _some_rows(self) -> Array:
        """Return at most `MOST_ROWS` inputs on the host."""
        examples, backend = self._train, self.backend
        count = len(examples)
        count_kept = min(count, MOST_ROWS)
        places = np.arange(count_kept) * count // count_kept
        if isinstance(examples, Streamed):
            rows = examples.read((place, place + 1) for place in places.tolist())
            return backend.to_numpy(unwrapped(examples.on_device(rows).inputs))
        indices = backend.asarray(places, dtype="int64")
        return backend.to_numpy(take_rows(backend.xp, unwrapped(examples.inputs), indices))

    @cached_property
    def data_sha256(self) -> str:
        """The SHA-256 of the data set."""
        return self.dataset.sha256()

    @property
    def processes(self) -> int:
        """The number of processes that train together."""
        return 1 if self._communicator is None else self._communicator.size

    def train(self) -> Iterator[Progress]:
        """Train; yield as `training_progress` does, an ended epoch when `history` has its line."""
        if self.is_done:
            return
        plan, options = self.plan, self.plan.options
        steps = first_steps(
            plan.trained_mlp,
            self.parameters,
            self._train,
            backend=self.backend,
            optimizer=plan.optimizer,
            arithmetic=options.arithmetic,
            batch_size=plan.batch_size,
            seed=options.seed,
            micro_batch=options.micro_batch,
            communicator=self._communicator,
        )
        for progress in training_progress(
            steps,
            self._train,
            order=order_of_steps(steps, options.seed),
            epochs=plan.epochs,
            start=self.position,
            every=self.record_every or None,
            whole_batches=self.plan.recipe.whole_batches,
        ):
            if progress.result is not None:
                self._end_epoch(progress, progress.result)
            elif self.record_every and steps.t % self.record_every == 0:
                self._record(steps)
                progress.mean_loss()  # a training that diverged ends here
            yield progress
            if progress.ended and self.is_done:
                return

    def _end_epoch(self, progress: Progress, epoch: Epoch) -> None:
        """Measure the validation part, add the epoch's line, and keep its parameters if best."""
        validated = self.validate(epoch.parameters)
        metric = self.plan.options.metric
        if validated and metric is not None and math.isnan(METRICS[metric].error(validated)):
            raise ValueError(
                f"metric is {metric!r}, which is NaN: expected finite outputs for the validation "
                "examples, and for roc_auc two classes with weights; take another --metric"
            )
        progress.followed = validated.get("loss", progress.followed)
        line: Json = {
            "epoch": epoch.epoch,
            "train_loss": epoch.train_loss,
            **{f"validation_{name}": value for name, value in validated.items()},
            "seconds": epoch.seconds,
        }
        if self.record_every:
            line["parameters_sha256"] = parameters_sha256(epoch.parameters, self.backend)
        if self._is_kept(line):
            self.parameters, self.kept_epoch = epoch.parameters, epoch.epoch
        self.history.append(line)
        self.position = progress.position()

    def validate(self, parameters: Parameters, **metric: str) -> dict[str, float]:
        """Return the measures of the validation part, by default with the plan's metric."""
        if self._validation is None:
            return {}
        return evaluate(
            self.plan.mlp,
            parameters,
            self._validation,
            communicator=self._communicator,
            batch_size=self.plan.recipe.rows_at_once,
            **{**self._evaluation, **metric},
        )

    def _record(self, steps: Steps) -> None:
        """Record the hashes of the parameters and buffers."""
        tensors = unwrapped(merged(steps.state.parameters, steps.state.buffers))
        self.records[steps.t] = tensor_hashes(tensors, self.backend)

    @property
    def is_done(self) -> bool:
        """Whether all epochs are done, or early stopping has ended training."""
        stopped = bool(self.history) and self._best.is_over
        return stopped or len(self.history) >= self.plan.epochs

    def _is_kept(self, line: Json) -> bool:
        """Return whether to keep an epoch: the best so far if the plan keeps the best."""
        if not self.plan.keeps_best:
            return True
        return self._best.is_best(line["epoch"], self.error(line), line["validation_loss"])

    def error(self, line: Json) -> float:
        """Return the measure that is smallest in the best epoch, from the line of an epoch."""
        measures = {name.removeprefix("validation_"): value for name, value in line.items()}
        is_accuracy = self.plan.recipe.follows_accuracy and self.dataset.task == "classification"
        metric = self.plan.options.metric or ("accuracy" if is_accuracy else None)
        return METRICS[metric].error(measures) if metric else measures["loss"]

    @property
    def examples_done(self) -> int:
        """The number of examples visited before this process, for a progress bar."""
        if self.position is None:
            return 0
        return (self.position.epoch - 1) * self.training_examples + self.position.start

    def add_history(self, history: list[Json]) -> None:
        """Add the lines of earlier epochs; KeyError if one lacks a measure that chooses epochs."""
        for line in history:
            self.history.append(line)
            self._is_kept(line)

    def test_measures(self) -> dict[str, float]:
        """Return the measures of `parameters` on the unseen test part, or {} without one.

        Each process that calls this computes them by itself.
        """
        if self._test is None:
            return {}
        if self._tested[0] != self.kept_epoch:
            measures, _ = measure(self.plan.mlp, self.parameters, self._test, **self._evaluation)
            self._tested = self.kept_epoch, measures
        return self._tested[1]

    def summary(self) -> Json:
        """Return the results of the run, with its place."""
        seconds = sum(line["seconds"] for line in self.history)
        examples = len(self.history) * self.training_examples
        kept_epoch = self.history[self.kept_epoch - 1]
        return {
            "task": self.dataset.task,
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
            "arithmetic": self.plan.options.arithmetic,
            "dtype": self.plan.options.dtype,
            "seed": self.plan.options.seed,
            "config_sha256": json_sha256(self.config),
            "parameters_sha256": kept_epoch["parameters_sha256"],
        }

    @cached_property
    def config(self) -> Json:
        """The values of the plan, and the preparation of the data."""
        return {
            "format": FORMAT,
            "settings": self.plan.to_dict(),
            **self.preparation.to_dict(),
            "data_sha256": self.data_sha256,
        }


def are_nonzero(weights: Array, dtype: str) -> Array:
    """Return which weights (n,) count in a dtype: those below its normal numbers may be 0."""
    return abs(weights) >= np.finfo(dtype).smallest_normal


def versions(backend: Backend) -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "pluggable-mlp": __version__,
        "python": platform.python_version(),
        **backend.versions(),
    }


def interval(count: int, most: int) -> int:
    """Return the smallest interval, a power of two, with at most `most` records of a count.

    So the records of a prolonged run include its earlier ones.
    """
    every = 1
    while count > every * most:
        every *= 2
    return every
