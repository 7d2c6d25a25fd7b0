"""A command on several processes: which of them prints, when all stop, and how they end.

Each process runs the whole command.  Only process 0 prints and writes files; a signal to stop one
of them stops all at the same step; an error in only one of them ends all.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pluggable_mlp.backends import BackendUnavailable
from pluggable_mlp.cli.console import StopRequest, silence
from pluggable_mlp.registry import choose

if TYPE_CHECKING:
    from pluggable_mlp.distributed.communicators import MPI

Value = TypeVar("Value")

_OPTION = "--distributed"
_SECONDS = 0.25
"""The interval at which processes ask each other whether to stop, roughly."""

DistributedOption = Annotated[
    str | None,
    typer.Option(
        _OPTION,
        help="mpi or nccl: share each batch among the processes that mpiexec -n 4, written before "
        "the command, has started; nccl is for GPUs. By default one process.",
        rich_help_panel="Processes",
    ),
]


class Processes:
    """The processes of a command; usually just one, without a communicator.

    Parameters
    ----------
    arguments : sequence of str
        The arguments of the command line.

    Attributes
    ----------
    communicator : MPI or None
    writes : bool
        Whether this is the process that writes.
    request : StopRequest
        The stop request of this process.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.communicator: MPI | None = None
        self.writes, self.request = True, StopRequest()
        self._are_several = any(one.partition("=")[0] == _OPTION for one in arguments)
        self._calls, self._left, self._since = 1, 0, time.monotonic()

    def begin(self) -> None:
        """Join the others at once if the arguments ask for several: an error of one ends all.

        Raises
        ------
        ValueError, BackendUnavailable
            As for `join`.
        """
        if self._are_several:
            from pluggable_mlp.distributed.communicators import MPI

            self._connect(MPI)

    def join(self, distributed: str | None, command: str) -> None:
        """Connect the processes of this command, as the option asks.

        Raises
        ------
        ValueError
            If the name is unknown, the processes were not started as it requires, or their commands
            differ.
        BackendUnavailable
            If a library for it is not installed.
        """
        if distributed is None:
            return
        from pluggable_mlp.distributed.communicators import COMMUNICATORS
        from pluggable_mlp.training.sharding import check_same

        communicator = self._connect(choose(COMMUNICATORS, distributed, "distributed"))
        check_same(communicator, {"the command": command})

    def _connect(self, kind: "type[MPI]") -> "MPI":
        """Connect the processes, and silence all but the first."""
        try:
            self.communicator = kind()
        except ModuleNotFoundError as error:
            reason, _, remedy = str(error).partition(": ")
            raise BackendUnavailable(kind.__name__.lower(), reason, remedy) from error
        except BackendUnavailable:
            raise
        except RuntimeError as error:
            raise ValueError(f"{_OPTION} is given, but {error}") from error
        self.writes = self.communicator.rank == 0
        if not self.writes:
            silence()
        return self.communicator

    def done_first(self, action: Callable[[], Value]) -> Value | None:
        """Run an action on process 0 before any continues; return its result there, or None."""
        result = action() if self.writes else None
        if self.communicator is not None:
            self.communicator.all_gather("done")
        return result

    @contextmanager
    def announcing_failure(self) -> Iterator[None]:
        """Return a context whose errors the others learn of before this process has saved."""
        try:
            yield
        except Exception:
            if self.communicator is not None:
                self.communicator.process.announce_failure()
            raise

    def stop_code(self) -> int | None:
        """Return the exit code if a signal has asked one of the processes to stop, or None.

        Several processes get the same result at the same call: they ask each other after a number
        of calls that process 0 chooses by its pace.
        """
        if self.communicator is not None:
            self._left -= 1
            if self._left > 0:
                return None
            now = time.monotonic()
            pace = self._calls / max(now - self._since, 1e-6)
            vote = self.request.code, max(1, min(int(pace * _SECONDS), 2 * self._calls))
            everyone = self.communicator.all_gather(vote)
            self.request.code = max((code for code, _ in everyone if code), default=None)
            self._calls = self._left = everyone[0][1]
            self._since = now
        return self.request.code

    def last_code(self) -> int:
        """Return the exit code, the same on all processes, when all have saved."""
        if self.communicator is None:
            return self.request.code or 0
        self.communicator.wait()
        return max(code or 0 for code in self.communicator.all_gather(self.request.code))

    def end_all(self, error: str, code: int) -> None:
        """End all processes if this one has failed alone, with its error and exit code."""
        if self.communicator is not None and not self.communicator.process.all_fail():
            process = self.communicator.process
            failure = f"process {process.rank} of {process.size} failed; all processes end"
            process.end(f"Error: {error}\nError: {failure}" if error else failure, code)
