"""The interface of a communicator, which connects the processes of one training."""

from typing import Literal, Protocol, TypeAlias, TypeVar

from pluggable_mlp.arrays import Array
from pluggable_mlp.backends import Backend

Operation: TypeAlias = Literal["sum", "max"]
Value = TypeVar("Value")


class Communicator(Protocol):
    """Connects the processes of one training.

    Every method is called by all processes, in the same order.

    Attributes
    ----------
    rank : int
        The number of this process, from 0.
    size : int
        How many processes there are.
    """

    rank: int
    size: int

    def all_reduce(self, x: Array, operation: Operation, *, backend: Backend) -> Array:
        """Return the sum or the maximum, element by element, of the `x` of all processes.

        Parameters
        ----------
        x : array
            Of the backend, of one shape on all processes and one real dtype, not bool.
        operation : {"sum", "max"}
            Sums are added in any order; the result has the same bits on all processes.
        backend : Backend
        """

    def all_gather(self, value: Value) -> list[Value]:
        """Return the values that the processes give, in the order of their ranks."""
