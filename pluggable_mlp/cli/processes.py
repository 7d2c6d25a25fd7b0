"""A command on several processes: which of them prints, when all stop, and how they end.

Each process runs the whole command.  Only process 0 prints and writes files; a signal to stop one
of them stops all at the same step; an error in only one of them ends all.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pluggable_mlp.backends import BackendUnavailable
from pluggable_mlp.cli.console import StopRequest, describe_error, silence
from pluggable_mlp.fields import choose

if TYPE_CHECKING:
    from pluggable_mlp.distributed.communicators import MPI

Value = TypeVar("Value")

DistributedOption = Annotated[
    str | None,
    typer.Option(
        help="mpi or nccl: share each batch among the processes that mpiexec -n 4, written before "
        "the command, has started; nccl is for GPUs. By default one process.",
        rich_help_panel="Processes",
    ),
]


class Processes:
    """The processes of a command; usually just one, without a communicator.

    A context manager: an error of one process alone ends all.

    Parameters
    ----------
    distributed : str or None
        The value of the option.
    command : str
        What all processes must have in common.

    Attributes
    ----------
    communicator : MPI or None
    writes : bool
        Whether this is the process that writes; the others are silent.
    request : StopRequest
        The stop request of this process.

    Raises
    ------
    ValueError
        If the name is unknown, the processes were not started as it requires, or their commands
        differ.
    BackendUnavailable
        If a library for it is not installed.
    """

    def __init__(self, distributed: str | None, command: str) -> None:
        self.communicator: MPI | None = None
        if distributed is not None:
            self.communicator = _connect(distributed, command)
        self.writes: bool = self.communicator is None or self.communicator.rank == 0
        self.request: StopRequest = StopRequest()

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self.communicator is None or not isinstance(error, Exception):
            return
        process = self.communicator.process
        if not process.all_fail():
            code, words = describe_error(error)
            failure = f"process {process.rank} of {process.size} failed; all processes end"
            process.end(f"Error: {words}\nError: {failure}" if words else failure, code)

    def do_first(self, action: Callable[[], Value]) -> Value | None:
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

        Several processes get the same result at the same call.
        """
        if self.communicator is not None:
            codes = self.communicator.all_gather(self.request.code)
            self.request.code = max(filter(None, codes), default=None)
        return self.request.code

    def last_code(self) -> int:
        """Return the exit code, the same on all processes, when all have saved."""
        if self.communicator is None:
            return self.request.code or 0
        self.communicator.wait()
        return max(code or 0 for code in self.communicator.all_gather(self.request.code))


def _connect(distributed: str, command: str) -> "MPI":
    """Return the communicator of an option; silence all processes but the first."""
    from pluggable_mlp.distributed.communicators import COMMUNICATORS
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
        raise ValueError(f"--distributed is given, but {error}") from error
    if communicator.rank > 0:
        silence()
    check_same(communicator, {"the command": command})
    return communicator
