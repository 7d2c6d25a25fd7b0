"""Running the command line as a user does: arguments in; exit code, output and errors out."""

import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pluggable_mlp.cli import main
from tests.cli.processes import TRAIN
from tests.cli.saved_runs import trained
from tests.cli.stepping import Server


@dataclass
class Outcome:
    """What a command left."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run `pluggable-mlp` in this process, as its console script calls it."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = ended(*arguments)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@pytest.fixture
def told(command: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Run a command that may warn: the suite takes warnings for errors."""

    def run(*arguments: object) -> Outcome:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            return command(*arguments)

    return run


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run `pluggable-mlp` in children that stop at file operations."""
    server = Server(tmp_path_factory.getbasetemp())
    yield server
    server.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on the digits."""
    return trained(tmp_path_factory.mktemp("run"), epochs=15)


@pytest.fixture(scope="module")
def run_of_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on one process."""
    folder = tmp_path_factory.mktemp("one") / "run"
    assert ended(*TRAIN, "--output", folder) == 0
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classification of images, a regression of a table, a multilabel run."""
    folder = tmp_path_factory.mktemp("runs")
    x = np.random.default_rng(0).normal(size=(210, 3))
    np.savez(folder / "numbers.npz", X=x, y=np.stack([x.sum(axis=1), x[:, 0]], axis=1))
    np.savez(folder / "labels.npz", X=x, y=(x[:, :2] > 0).astype(int))
    data = {"images": "digits"} | {k: folder / f"{k}.npz" for k in ("numbers", "labels")}
    for name, spec in data.items():
        arguments = ["train", "--data", spec, "--epochs", 3, "--hidden", 9, "--quiet"]
        arguments += ["--validation", 0.1, "--output", folder / name, "--learning-rate", 0.05]
        assert ended(*arguments) == 0
    return folder


@pytest.fixture
def figures_are_closed() -> Iterator[None]:
    """Before and after a test."""
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.close("all")
    yield
    plt.close("all")


def ended(*arguments: object) -> int:
    """Run `pluggable-mlp` in this process; return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pluggable-mlp", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
    return int(stop.value.code or 0)
