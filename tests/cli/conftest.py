"""Running the command line as a user does: arguments in; exit code, output and errors out."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pluggable_mlp.cli import main


@dataclass
class Outcome:
    """What a command left."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Run `pluggable-mlp` in this process, as its console script calls it."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["pluggable-mlp", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), printed.out, printed.err)

    return run
