"""The command line, stopped at its file operations: its folder is copied there, or it waits.

`Server` starts a process that has imported everything and forks a child for each command.  A child
stops before each operation on files below a folder, and in the middle of each write.
"""

import builtins
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).parent.parent.parent

_BY_PATH = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")
_BY_DESCRIPTOR = ("fcntl.flock",)


class Server:
    """Commands in children of a process of its own, which is ended by `close`.

    `train` are arguments that train on few data, three steps an epoch.
    """

    def __init__(self, root: Path) -> None:
        self._root, data = str(root), root / "few.npz"
        np.savez(data, X=np.random.default_rng(0).normal(size=(70, 3)), y=np.arange(70) % 2)
        self.train = ("train", "--quiet", "--data", data, "--hidden", 4, "--batch-size", 20)
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT, env=environment,
        )  # fmt: skip

    def close(self) -> None:
        self._process.communicate(timeout=300)

    def run(
        self, *arguments: object, folder: Path | None = None, copies: Path | None = None
    ) -> "Result":
        """Run a command; copy a folder at each operation, as it would be after a kill there.

        What the process has not yet given to the system is not in it.  The copies have the numbers
        of the operations, from 1.
        """
        (result,) = self._ask([arguments], copies=copies and [str(folder), str(copies)])
        return result

    def run_two(
        self, one: tuple[object, ...], other: tuple[object, ...], turns: list[int]
    ) -> list["Result"]:
        """Run two commands, an operation at a time: each turn names the one, 0 or 1, that goes on.

        After the last turn the first goes on to its end, then the second.
        """
        return self._ask([one, other], turns=turns)

    def _ask(self, commands: list[Any], **options: Any) -> list["Result"]:
        texts = [[str(one) for one in command] for command in commands]
        print(
            json.dumps({"commands": texts, "root": self._root} | options),
            file=self._process.stdin,
            flush=True,
        )
        return [Result(**fields) for fields in json.loads(self._process.stdout.readline())]


class Result:
    """How a command ended, and how many operations it made."""

    def __init__(self, code: int, out: str, err: str, operations: int) -> None:
        self.code, self.out, self.err, self.operations = code, out, err, operations

    def __repr__(self) -> str:
        return f"exit {self.code} after {self.operations}:\n{self.out}{self.err}"


class _Child:
    """A forked process that runs a command, and tells of each operation before it makes it.

    Parameters
    ----------
    arguments : list of str
    root : str
    asks : bool
        Whether it waits for leave before each, also to read.
    copies : [str, str] or None
        What is copied at each, and where to.
    """

    def __init__(
        self, arguments: list[str], root: str, asks: bool, copies: list[str] | None
    ) -> None:
        self.operations, self.waits, self._asks = 0, True, asks
        self._folder = Path(tempfile.mkdtemp())
        told, tells = os.pipe()
        allowed, allows = os.pipe()
        self._process = os.fork()
        if not self._process:
            os.close(told)
            os.close(allows)
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(self._folder / name, os.O_WRONLY | os.O_CREAT), number)
            _run(arguments, _Gate(root, tells, allowed if asks else None, copies))
        os.close(tells)
        os.close(allowed)
        self._told, self._allows = told, allows
        self._wait()

    def step(self) -> None:
        """Let it make the operation before which it waits."""
        if self._asks:
            os.write(self._allows, b"+")
        self._wait()

    def _wait(self) -> None:
        self.waits = bool(os.read(self._told, 1))
        self.operations += self.waits
        if not self.waits:
            _, status = os.waitpid(self._process, 0)
            self._code = os.waitstatus_to_exitcode(status)
            os.close(self._told)
            os.close(self._allows)

    def result(self) -> dict[str, Any]:
        """Let it go on to its end; return how that was."""
        while self.waits:
            self.step()
        out, err = ((self._folder / name).read_text() for name in ("out", "err"))
        shutil.rmtree(self._folder)
        return {"code": self._code, "out": out, "err": err, "operations": self.operations}


class _Gate:
    """What a child passes before each operation."""

    def __init__(
        self, root: str, tells: int, allowed: int | None, copies: list[str] | None
    ) -> None:
        self._root = os.fsencode(os.path.realpath(root)) + b"/"
        self._tells, self._allowed, self._copies = tells, allowed, copies
        self._count, self._is_copying = 0, False

    def wants(self, event: str, arguments: tuple[Any, ...]) -> bool:
        """Return whether an event that Python audits is such an operation."""
        if event in _BY_DESCRIPTOR:
            return True
        if event == "open":
            writes = arguments[2] & (os.O_WRONLY | os.O_RDWR)
            return bool(writes or self._allowed is not None) and self._is_below(arguments[0])
        return event in _BY_PATH and self._is_below(arguments[0])

    def _is_below(self, path: Any) -> bool:
        if isinstance(path, int):
            return False
        return os.path.realpath(os.fsencode(path)).startswith(self._root)

    def __call__(self) -> None:
        """Wait for leave, or copy."""
        if self._is_copying:
            return
        self._count += 1
        os.write(self._tells, b".")
        if self._allowed is not None:
            os.read(self._allowed, 1)
        elif self._copies:
            self._is_copying = True
            folder, copies = self._copies
            shutil.copytree(folder, f"{copies}/{self._count}")
            self._is_copying = False


def _run(arguments: list[str], gate: _Gate) -> None:
    """Run a command in this process, and end it."""
    from pluggable_mlp.cli import main

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if gate.wants(event, values):
            gate()

    _stop_at_flushes_and_writes(gate)
    sys.addaudithook(hook)
    sys.argv = ["pluggable-mlp", *arguments]
    try:
        main()
    except SystemExit as stop:
        sys.stdout.flush()
        os._exit(int(stop.code or 0))
    os._exit(99)


def _stop_at_flushes_and_writes(before: Callable[[], None]) -> None:
    """Call `before` ahead of what Python does not audit."""
    open_file = io.open

    def stopping_fsync(descriptor: int) -> None:
        before()  # and wait for no disk: what a process wrote is not lost when it is killed

    class Written:
        """A file of bytes, of which each write is cut in half."""

        def __init__(self, file: Any) -> None:
            self._file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def __enter__(self) -> "Written":
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def write(self, data: Any) -> int:
            half = len(data) // 2
            written = self._file.write(data[:half])
            self._file.flush()
            before()
            return int(written + self._file.write(data[half:]))

    def stopping_open(file: Any, mode: str = "r", *others: Any, **more: Any) -> Any:
        opened = open_file(file, mode, *others, **more)
        return opened if isinstance(file, int) or set(mode) <= set("rbt") else Written(opened)

    os.fsync, io.open, builtins.open = stopping_fsync, stopping_open, stopping_open


def _serve() -> None:
    """Import what commands need, then run what standard input asks for, a line at a time."""
    with tempfile.TemporaryDirectory() as folder:
        for words in ("train --quiet --epochs 1 --output", "evaluate", "verify"):
            _warm([*words.split(), f"{folder}/run"])
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(_answer(**asked)), flush=True)


def _warm(arguments: list[str]) -> None:
    """Run a command in this process, for what it imports."""
    from pluggable_mlp.cli import main

    sys.argv = ["pluggable-mlp", *arguments]
    with suppress(SystemExit), open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        main()


def _answer(
    commands: list[list[str]],
    root: str,
    turns: list[int] | None = None,
    copies: list[str] | None = None,
) -> list[dict[str, Any]]:
    children = [_Child(command, root, turns is not None, copies) for command in commands]
    for turn in turns or []:
        if children[turn].waits:
            children[turn].step()
    return [child.result() for child in children]


if __name__ == "__main__":
    _serve()
