"""Running the command line as a user does: arguments in; exit code, output and errors out."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from pluggable_mlp.cli import main
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


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run `pluggable-mlp` in children that stop at file operations."""
    server = Server(tmp_path_factory.getbasetemp())
    yield server
    server.close()


def ended(*arguments: object) -> int:
    """Run `pluggable-mlp` in this process; return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pluggable-mlp", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
    return int(stop.value.code or 0)
