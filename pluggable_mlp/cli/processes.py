"""A command on several processes: which of them is heard, when all stop, and how they end.

Each process runs the whole command.  Process 0 alone is heard and writes files; what stops one of
them stops all at the same step; an error that one of them meets alone ends all.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pluggable_mlp.cli.console import Interrupted, StopRequest, silence

if TYPE_CHECKING:
    from pluggable_mlp.distributed import MPI

Value = TypeVar("Value")

_OPTION = "--distributed"
_STDERR = 2
_SECONDS = 0.25
"""About so often the processes ask each other whether one of them is to stop."""

DistributedOption = Annotated[
    str | None,
    typer.Option(
        _OPTION,
        help="mpi or nccl: share each batch among the processes that mpiexec -n 4, written before "
        "the command, has started; nccl is for GPUs. By default one process.",
    ),
]

_launched: list[int] = []
"""The number of this process where the command asks for several, as the launcher says it."""
_joined: "list[MPI]" = []


def silence_copies(arguments: list[str]) -> None:
    """Silence this process if it is not the first of those that share a command, and knows it."""
    _launched.clear()
    if any(one.partition("=")[0] == _OPTION for one in arguments):
        from pluggable_mlp.distributed import launched_rank

        _launched.append(launched_rank())
        if _launched[0]:
            silence()


def joined(distributed: str | None, command: str) -> "MPI | None":
    """Return what connects the processes of this command; None where there is one alone.

    Raises
    ------
    ValueError
        If the name is unknown, the processes were not started as it needs, or they have other
        commands.
    BackendUnavailable
        If a library for it is not installed.
    """
    if distributed is None:
        return None
    from pluggable_mlp.backends import BackendUnavailable
    from pluggable_mlp.distributed import COMMUNICATORS
    from pluggable_mlp.registry import choose
    from pluggable_mlp.training.sharding import check_same

    kind = choose(COMMUNICATORS, distributed, "distributed")
    try:
        communicator = kind()
    except ModuleNotFoundError as error:
        reason, _, remedy = str(error).partition(": ")
        raise BackendUnavailable(distributed, reason, remedy) from error
    except BackendUnavailable:
        raise
    except RuntimeError as error:
        raise ValueError(f"distributed is {distributed!r}, but {error}") from error
    _joined.append(communicator)
    if communicator.rank:
        silence()
    check_same(communicator, {"the command": command})
    return communicator


def done_first(communicator: "MPI | None", action: Callable[[], Value]) -> Value | None:
    """Return what process 0 makes of an action before any process goes on; None on the others."""
    found = action() if communicator is None or communicator.rank == 0 else None
    if communicator is not None:
        communicator.all_gather("done")
    return found


def end_all(error: str, code: int) -> None:
    """End all processes if this one has failed alone, with its error and exit code."""
    for communicator in _joined or _joined_late(error):
        process = communicator.process
        if not process.all_fail():
            who = f"process {process.rank} of {process.size} failed; all processes end"
            process.end(f"Error: {error}\nError: {who}" if error else who, code)


def _joined_late(error: str) -> "list[MPI]":
    """Return what connects a process that fails before it has joined: the others wait for it."""
    from pluggable_mlp.distributed import MPI

    for rank in _launched:
        try:
            return [MPI()]
        except (ModuleNotFoundError, RuntimeError):
            if rank and error:
                with suppress(OSError):
                    os.write(_STDERR, f"Error: process {rank}: {error}\n".encode())
    return []


@contextmanager
def announcing_failure() -> Iterator[None]:
    """Return a context of which an error is known to the others before this process has saved."""
    try:
        yield
    except Exception:
        for communicator in _joined:
            communicator.process.announce_failure()
        raise


class Stops:
    """Whether a command is to stop: on several processes the same answer, at the same call.

    Parameters
    ----------
    request : StopRequest
        Of this process.
    communicator : MPI, optional
    """

    def __init__(self, request: StopRequest, communicator: "MPI | None" = None) -> None:
        self._request, self._communicator = request, communicator
        self._calls, self._left, self._since = 1, 0, time.monotonic()

    def code(self) -> int | None:
        """Return the exit code if a signal has asked one of the processes to stop, or None.

        They ask each other after a number of calls that process 0 chooses by its pace.
        """
        if self._communicator is not None:
            self._left -= 1
            if self._left > 0:
                return None
            now = time.monotonic()
            pace = self._calls / max(now - self._since, 1e-6)
            own = self._request.code, max(1, min(int(pace * _SECONDS), 2 * self._calls))
            everyone = self._communicator.all_gather(own)
            self._request.code = max((code for code, _ in everyone if code), default=None)
            self._calls = self._left = everyone[0][1]
            self._since = now
        return self._request.code

    def last_code(self) -> int:
        """Return the exit code, the same on all processes, when each has saved what it has to."""
        if self._communicator is None:
            return self._request.code or 0
        self._communicator.wait()
        return max(code or 0 for code in self._communicator.all_gather(self._request.code))

    def raise_if_asked(self) -> None:
        """Raise `Interrupted` if a signal has asked one of the processes to stop."""
        code = self.code()
        if code is not None:
            raise Interrupted(code)
