"""What a backend offers to the rest of the project, and no more.

The operations on arrays are not a part of it: the Python array API standard lists them, and
`Backend.xp` has them.  Here stands only what the standard lacks.  No array library and no
concrete backend belongs in this file.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from pluggable_mlp.arrays import Array, Namespace

__all__ = [
    "Backend",
    "BackendUnavailable",
    "Compiler",
    "MemoryReporter",
    "Queued",
    "TaskRunner",
]

Item = TypeVar("Item")
Result = TypeVar("Result")


class BackendUnavailable(RuntimeError):  # noqa: N818 (its public name)
    """A backend that exists cannot run here.

    Attributes
    ----------
    backend : str
        The name of the backend, such as "cupy".
    reason : str
        Why it cannot run, in the words of the library where it has any.
    remedy : str
        What the user can do about it.
    """

    def __init__(self, backend: str, reason: str, remedy: str) -> None:
        super().__init__(backend, reason, remedy)
        self.backend = backend
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"backend {self.backend} is not available: {self.reason}; {self.remedy}"


@runtime_checkable
class Backend(Protocol):
    """One array library on one device.

    Any class with these members is a backend: nothing has to be inherited.  Parameters have the
    names and the defaults that stand here, and methods the kinds (`devices` is a class method);
    members of its own begin with an underscore.

    Parameters
    ----------
    device : str, optional
        The text after the first colon of "name:device"; None for the library's default device.

    Raises
    ------
    ValueError
        The library can have no such device.
    BackendUnavailable
        The library or the device is missing on this machine.
    """

    def __init__(self, device: str | None = None) -> None: ...

    @property
    def name(self) -> str:
        """The name that `get_backend` knows it by, such as "torch"."""

    @property
    def device(self) -> str:
        """The device in the library's words: "cpu", "cuda:0", "device1".

        One of `devices()`, and "name:device" gives this backend again.
        """

    @property
    def xp(self) -> Namespace:
        """The array API namespace of its arrays, as array-api-compat gives it."""

    def asarray(self, data: Any, dtype: str | None = None) -> Array:
        """Make an array on this device out of host data.

        Parameters
        ----------
        data : any shape
            A NumPy array of any byte order and any strides, negative ones too, that may be
            empty, 0-d or read-only; or a number or nested lists of numbers (with the dtype that
            NumPy gives them).  Every bit comes over, those of NaN, of -0.0 and of denormal
            numbers.  An array of this library on this device is taken as it is, without a copy
            where it has the dtype.
        dtype : str or None
            The standard's name of the dtype wanted, such as "float32"; None keeps the one
            that `data` has.

        Returns
        -------
        array : the shape of `data`
            It may share memory with `data`: callers do not write to `data` afterwards.

        Raises
        ------
        TypeError
            `data` is or holds an array of another library, or something that is not a number, or
            it has a dtype that the standard has not.
        ValueError
            `data` is an array of this library on another device, its lists are not of one length,
            a number does not fit the dtype, or `dtype` is not a dtype of the standard.

        Notes
        -----
        `pluggable_mlp.backends.transfer.host_array` makes one kind of NumPy array of all that may
        come from the host, and refuses the rest in these ways.
        """

    def to_numpy(self, array: Array) -> Any:
        """Bring an array of this backend to the host.

        Parameters
        ----------
        array : any shape
            An array of this library on this device.

        Returns
        -------
        numpy.ndarray, the same shape and dtype
            In this machine's byte order; one of no dimensions is an array, too, not a scalar.
            It may share memory with `array`, or be read-only: copy it before writing to it.

        Raises
        ------
        TypeError, ValueError
            `array` is of another library, or on another device.
        """

    def synchronize(self) -> None:
        """Wait until everything that this device was asked for is computed."""

    def versions(self) -> dict[str, str]:
        """Return the versions that decide its results, by the software's names: at least one."""

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """Return the devices that this library can use here, at least one.

        Raises
        ------
        BackendUnavailable
            There is none.
        """


@runtime_checkable
class TaskRunner(Protocol):
    """What a backend may offer beyond `Backend`: several independent operations at once.

    It is for libraries whose operations leave processors idle.  Without it one task
    is computed after the other.
    """

    def run_all(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return [function(item) for item in items], where no call depends on another."""


@runtime_checkable
class Queued(Protocol):
    """What a backend may say beyond `Backend`: that its operations are put into a queue.

    Each then takes some microseconds to hand over, however little it does, and reading a value
    waits for all before it.  Reproducible operations are then cut into no parts that suit a
    processor's caches.  Without it, operations are taken to be computed where they are asked for.
    """

    @property
    def queued(self) -> bool:
        """Whether operations on this device are."""


@runtime_checkable
class Compiler(Protocol):
    """What a backend may offer beyond `Backend`: many operations as one.

    Without it, or where it returns None, the function runs as it is.
    """

    def compile(
        self, function: Callable[..., Any], used_up: tuple[int, ...] = ()
    ) -> Callable[..., Any] | None:
        """Return a function that gives what this one gives, within rounding, in less time.

        Parameters
        ----------
        function : callable
            A pure function of positional arguments: arrays of this backend, Python numbers, None,
            and lists, tuples and dicts of these.  What it returns consists of arrays, None, lists,
            tuples and dicts.  It branches on shapes and dtypes, and on no number and no value of
            an array: it may be called with 0-d arrays for the numbers, and with arrays that have
            no values and no device yet.
        used_up : tuple of int
            The places of the arguments whose arrays the caller needs no more, each of them given
            once: their memory may be written over.

        Returns
        -------
        callable or None
            To be kept and called many times, with other numbers and with arrays of the same shapes
            and dtypes: its first call takes as long as the compiler does.  None where this device
            gains nothing by it.
        """


@runtime_checkable
class MemoryReporter(Protocol):
    """What a backend may offer beyond `Backend`: its library's way to say that memory is exhausted.

    Libraries that raise MemoryError and compute on the host do not need it.
    """

    @classmethod
    def out_of_memory(cls, error: Exception) -> str | None:
        """Return what was asked for, and what is free where that is known; None for other errors.

        Parameters
        ----------
        error : Exception
            What an operation on arrays raised, of this library or of another one.
        """
