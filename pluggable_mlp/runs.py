"""Runs: one training by its settings, and the folder that keeps it.

A folder holds `config.json` (the settings and the data's shape), `metrics.jsonl` (a line an
epoch), `model.safetensors` (the parameters) and `summary.json`.  What is printed or asked of a
user belongs in the command line.
"""

import json
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pluggable_mlp.data import load_dataset
from pluggable_mlp.data.schema import Schema
from pluggable_mlp.json_text import to_json
from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.settings import Settings
from pluggable_mlp.storage import read_file, write_file
from pluggable_mlp.training.checkpoints import load_parameters, parameters_sha256, save_parameters
from pluggable_mlp.training.loop import evaluate, training_epochs
from pluggable_mlp.training.train import make_examples

__all__ = ["Run", "SavedRun", "claim_folder", "load_run", "write_json"]


class Run:
    """One training: settings and a backend, then epochs, then a summary.

    Parameters
    ----------
    settings : Settings
    backend : Backend

    Attributes
    ----------
    history : list of dict
        A line for each whole epoch: epoch, train_loss, test_loss, test_accuracy, seconds,
        parameters_sha256.
    parameters : list of dict of arrays
        After the last whole epoch.
    """

    def __init__(self, settings: Settings, backend: Any) -> None:
        self.settings, self.backend = settings, backend
        self._data = data = load_dataset(settings.data, settings.seed)
        self.mlp = settings.make_mlp(data.train_inputs.shape[1], data.classes)
        own: dict[str, Any] = {"backend": backend, "dtype": settings.dtype, "scale": data.scale}
        self._train = make_examples(
            self.mlp,
            data.train_inputs,
            data.train_labels,
            class_weight=settings.class_weight,
            **own,
        )
        self._test = make_examples(self.mlp, data.test_inputs, data.test_labels, **own)
        self.history: list[dict[str, Any]] = []
        self.parameters = self.mlp.initialize(
            seed=settings.seed, backend=backend, dtype=settings.dtype
        )
        self.initial_parameters_sha256 = parameters_sha256(self.parameters, backend)

    @cached_property
    def data_sha256(self) -> str:
        """The SHA-256 over all arrays of the data set."""
        return self._data.sha256()

    @property
    def training_examples(self) -> int:
        """How many examples an epoch visits."""
        return len(self._train)

    def epochs(self, on_batch: Callable[[int], None]) -> Iterator[dict[str, Any]]:
        """Train, and yield a line of the history after each epoch."""
        for epoch in training_epochs(
            self.mlp,
            self.parameters,
            self._train,
            backend=self.backend,
            optimizer=self.settings.make_optimizer(len(self._train)),
            arithmetic=self.settings.arithmetic,
            epochs=self.settings.epochs,
            batch_size=self.settings.batch_size,
            seed=self.settings.seed,
            on_batch=on_batch,
        ):
            measured = evaluate(
                self.mlp,
                epoch.parameters,
                self._test,
                backend=self.backend,
                arithmetic=self.settings.arithmetic,
            )
            line = {
                "epoch": epoch.number,
                "train_loss": epoch.train_loss,
                "test_loss": measured["loss"],
                "test_accuracy": measured["accuracy"],
                "seconds": epoch.seconds,
                "parameters_sha256": parameters_sha256(epoch.parameters, self.backend),
            }
            self.parameters = epoch.parameters
            self.history.append(line)
            yield line

    def summary(self) -> dict[str, Any]:
        """Return what the run reached, with what and where."""
        seconds = sum(line["seconds"] for line in self.history)
        return {
            "backend": self.backend.name,
            "device": self.backend.device,
            "versions": versions(self.backend),
            "arithmetic": self.settings.arithmetic,
            "dtype": self.settings.dtype,
            "seed": self.settings.seed,
            "epochs": len(self.history),
            "train_loss": self.history[-1]["train_loss"],
            "test_loss": self.history[-1]["test_loss"],
            "test_accuracy": self.history[-1]["test_accuracy"],
            "seconds": seconds,
            "examples_per_second": len(self.history) * self.training_examples / seconds,
            "parameters_sha256": self.history[-1]["parameters_sha256"],
        }

    def save(self, folder: Path) -> None:
        """Write the four files of the run to the folder."""
        config = {
            "settings": self.settings.to_dict(),
            **Schema.of(self._data).to_dict(),
            "data_sha256": self.data_sha256,
        }
        write_json(folder / "config.json", config)
        lines = (to_json(line) + "\n" for line in self.history)
        (folder / "metrics.jsonl").write_text("".join(lines), encoding="utf-8")
        summary = self.summary()
        save_parameters(
            folder / "model.safetensors",
            self.parameters,
            self.backend,
            summary["parameters_sha256"],
        )
        write_json(folder / "summary.json", summary)


def versions(backend: Any) -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "pluggable-mlp": version("pluggable-mlp"),
        "python": platform.python_version(),
        **backend.versions(),
    }


def claim_folder(folder: Path) -> None:
    """Make the folder of a run; refuse one that already holds something.

    Raises
    ------
    ValueError
        If it exists and is no empty folder, or cannot be made.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"--output {folder} already holds something; name a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"--output {folder} cannot be made: {error.strerror}; name a folder where you may write"
        ) from None


@dataclass(frozen=True)
class SavedRun:
    """What `train --output` left in a folder.

    Parameters
    ----------
    config : dict
        All of `config.json`.
    settings : Settings
    schema : Schema
        What the network takes, and the labels that it answers with.
    mlp : MLP
    parameters : list of dict of arrays
        On the backend that they were loaded for.
    """

    config: dict[str, Any]
    settings: Settings
    schema: Schema
    mlp: MLP
    parameters: Parameters


def load_run(folder: Path, backend: Any) -> SavedRun:
    """Return a saved run, its parameters on the backend.

    Raises
    ------
    ValueError
        If a file is missing or damaged, or the parameters do not fit the settings.
    """
    config = _read_json(folder / "config.json")
    summary = _read_json(folder / "summary.json")
    with _damaged(folder / "config.json"):
        settings = Settings.from_dict(config["settings"])
        schema = Schema.from_dict(config)
        mlp = settings.make_mlp(schema.features, len(schema.class_labels))
    with _damaged(folder / "summary.json"):
        sha256 = str(summary["parameters_sha256"])
    parameters = load_parameters(folder / "model.safetensors", backend, sha256)
    check_parameters(mlp, parameters)
    return SavedRun(config, settings, schema, mlp, parameters)


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file's content into an error that names the file."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path} is damaged: it lacks {error}") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _read_json(path: Path) -> Any:
    """Return the content of a run's file of JSON."""
    content = read_file(path, "a folder that train --output wrote")
    with _damaged(path):
        return json.loads(content)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a text file of indented JSON."""
    write_file(path, (to_json(content, indent=2) + "\n").encode())
