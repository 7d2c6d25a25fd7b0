"""Saved runs: what `train --output` left in a folder, read again.

How a run comes about belongs in `runs.py`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluggable_mlp.arrays import LibraryArrays
from pluggable_mlp.backends import Backend
from pluggable_mlp.data.schema import Schema
from pluggable_mlp.folders import settle
from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.run_files import CONFIG, SUMMARY
from pluggable_mlp.settings import Settings
from pluggable_mlp.storage import damaged, json_sha256, read_json
from pluggable_mlp.training.checkpoints import load_parameters

__all__ = ["SavedRun", "load_run", "read_summary"]

_FOLDER = "a folder that train --output wrote"


@dataclass(frozen=True)
class SavedRun:
    """What `train --output` left in a folder.

    Parameters
    ----------
    config : dict
        All of `config.json`.
    settings : Settings
    schema : Schema
        What the network takes, and what it answers with.
    mlp : MLP
    parameters : list of dict of arrays
        On the backend.
    backend : Backend
    """

    config: dict[str, Any]
    settings: Settings
    schema: Schema
    mlp: MLP
    parameters: LibraryArrays
    backend: Backend


def load_run(folder: Path, backend: Backend) -> SavedRun:
    """Return a saved run, its parameters on the backend.

    Raises
    ------
    ValueError
        If a file is missing or damaged, or the parameters do not fit the settings.
    """
    settle(folder)
    config = read_json(folder / "config.json", _FOLDER, CONFIG)
    with damaged(folder / "config.json"):
        settings = Settings.from_dict(config["settings"])
        schema = Schema.from_dict(config)
        mlp = settings.make_mlp(schema.features, schema.outputs)
    sha256 = read_summary(folder, config)["parameters_sha256"]
    parameters = load_parameters(folder / "model.safetensors", backend, sha256)
    check_parameters(mlp, parameters)
    return SavedRun(config, settings, schema, mlp, parameters, backend)


def read_summary(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Return the summary in the folder of a run.

    Raises
    ------
    ValueError
        If it is missing or damaged, or has the hash of another `config.json` than this one.
    """
    summary = read_json(folder / "summary.json", f"{_FOLDER}, when the run ended", SUMMARY)
    of_config = summary["config_sha256"]
    if of_config != json_sha256(config):
        raise ValueError(
            f"{folder / 'config.json'} is not what the run was trained with: summary.json has "
            f"another SHA-256 of it, {of_config}; undo what was edited, or train again"
        )
    return summary
