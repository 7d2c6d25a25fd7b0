"""The interface of a backend.

Operations on arrays are not part of it: they are those of the Python array API standard, in
`Backend.xp`.  The interface consists of what the standard lacks: `Backend`, and optional
`Abilities`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, ClassVar, Protocol, runtime_checkable

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.executor import RunAll, one_by_one


class BackendUnavailable(RuntimeError):  # noqa: N818 (its public name)
    """Raised if a known backend cannot run on this machine.

    Attributes
    ----------
    backend : str
        The name of the backend, such as "cupy".
    reason : str
        Why it cannot run, quoting the library where possible.
    remedy : str
        What the user can do about it.

    See Also
    --------
    get_backend, available_backends

    Examples
    --------
    >>> from pluggable_mlp import BackendUnavailable
    >>> error = BackendUnavailable("cupy", reason="no GPU", remedy="install a driver")
    >>> print(error)
    backend cupy is not available: no GPU; install a driver
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
    """An array library on a device.

    Any class with these members is a backend; it need not inherit from this one.  The names and
    defaults of parameters and the kinds of methods (`devices` is a class method) must be the same;
    the names of additional members begin with an underscore.

    Parameters
    ----------
    device : str, optional
        The text after the first colon of "name:device"; None for the library's default device.

    Raises
    ------
    ValueError
        If the library cannot have such a device.
    BackendUnavailable
        If the library or the device is missing on this machine.

    See Also
    --------
    get_backend

    Examples
    --------
    >>> from pluggable_mlp import get_backend
    >>> backend = get_backend("numpy")
    >>> backend.name, backend.device
    ('numpy', 'cpu')
    """

    def __init__(self, device: str | None = None) -> None: ...

    @property
    def name(self) -> str:
        """The name of the backend, as for `get_backend`, such as "torch"."""

    @property
    def device(self) -> str:
        """The device as the library names it: "cpu", "cuda:0", "device1".

        It is one of `devices()`, and `get_backend("name:device")` returns this backend.
        """

    @property
    def xp(self) -> Namespace:
        """The namespace that its arrays name, such as `numpy`, or else array-api-compat's."""

    def asarray(self, data: Any, dtype: str | None = None) -> Array:
        """Return host data as an array on this device.

        Parameters
        ----------
        data : any shape
            A NumPy array of any byte order and any strides, including negative ones; it may be
            empty, 0-d or read-only.  Or a number or nested lists of numbers (with the dtype that
            NumPy gives them).  All bits are preserved, including those of NaN, -0.0 and denormal
            numbers.  An array of this library on this device is returned without a copy if it has
            the dtype.
        dtype : str, optional
            The dtype, by its name in the standard, such as "float32"; by default that of `data`.

        Returns
        -------
        array : the shape of `data`
            It may share memory with `data`, so callers must not write to `data` afterwards.

        Raises
        ------
        TypeError
            If `data` is or contains an array of another library or something that is not a number,
            or has a dtype that is not in the standard.
        ValueError
            If `data` is an array of this library on another device, its lists differ in length,
            a number does not fit the dtype, or `dtype` is not a dtype of the standard.

        Notes
        -----
        `pluggable_mlp.backends.transfer.host_array` converts everything that may come from the host
        to a NumPy array, and raises these errors.
        """

    def to_numpy(self, array: Array) -> Any:
        """Copy an array of this backend to the host.

        Parameters
        ----------
        array : any shape
            An array of this library on this device.

        Returns
        -------
        numpy.ndarray, the same shape and dtype
            In native byte order; a 0-d array is returned as an array, not as a scalar.
            It may share memory with `array` or be read-only: copy it before writing to it.

        Raises
        ------
        TypeError, ValueError
            If `array` is of another library or on another device.
        """

    def synchronize(self) -> None:
        """Wait until all operations on this device are complete."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the software that determines the results, at least one."""

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """Return the devices that this library can use on this machine, at least one.

        Raises
        ------
        BackendUnavailable
            If it can use none.
        """


class Abilities:
    """Optional members of a backend beyond `Backend`; these are the defaults.

    A backend that leaves a member out, or does not inherit from this class, has the default.
    """

    traces: ClassVar[bool] = True
    """Whether `compile` records the operations of this package's functions once and repeats them.

    A repetition has the same bits and no Python code between operations.  It requires that the
    library's functions have no side effects, and that they return arrays of their own or views.
    """

    run_all: ClassVar[RunAll] = staticmethod(one_by_one)
    """Runs independent tasks, concurrently where operations leave processors idle."""

    @property
    def missing_dtypes(self) -> tuple[str, ...]:
        """The dtypes of the standard that the device lacks, such as float64 on some GPUs."""
        return ()

    @property
    def queued(self) -> bool:
        """Whether operations are put into a queue.

        Each then takes a few microseconds to launch, however little it does, and reading a value
        waits for all before it.  Reproducible operations are then not divided into parts for the
        caches of a processor.
        """
        return False

    def context(self) -> AbstractContextManager[object]:
        """Return a new context in which operations on the backend's arrays run; by default, empty.

        It sets what they need in the calling thread: the current device, or settings of the
        library.  On exit it restores what was there.  Making a backend changes nothing of this, and
        the backend's own methods and compiled functions enter the context by themselves.
        """
        return nullcontext()

    def compile(
        self,
        function: Callable[..., Any],
        used_up: tuple[int, ...] = (),
        *,
        exact: bool = False,
        most: int = 1,
    ) -> Callable[..., Any] | None:
        """Return a faster function with the same results, by default up to rounding.

        It is meant for libraries with a compiler, or whose operations take less time than the
        Python code between them.

        Parameters
        ----------
        function : callable
            A pure function of positional arguments: arrays of this backend, Python numbers, None,
            and lists, tuples and dicts of these.  It returns arrays, None, and lists, tuples and
            dicts of these.  It may branch on shapes and dtypes, but not on numbers or on values of
            arrays: it may be called with 0-d arrays instead of numbers, and with arrays that do
            not have values or a device yet.  If it is a `functools.partial` that binds a
            namespace first, it may be called with another, whose arrays are tracers.
            `pluggable_mlp.arrays.compiling.is_builtin_call` tells whether it consists only of this
            package's code; users' code may have side effects.
        used_up : tuple of int
            The positions of arguments whose arrays the caller no longer needs; each array occurs
            once.  Their memory may be overwritten.
        exact : bool
            Whether the bits must be those of the operations one by one: each sum, product, quotient
            and conversion is rounded separately; only the sign and payload of NaN may differ.
        most : int
            The largest count of calls that are combined into one.  Above 1, the function is
            (carry, index, row, shared) -> (carry, result), where carry keeps its shapes and dtypes.
            `used_up` is (0,) if each first carry is used up; with () it stays as it is.  The
            returned function is (carry, rows, shared, count) -> (carry, results).  It calls the
            function for index = 0, 1, … below `count`, at most `most`.  `rows` is a dict of lists
            of `count` Python floats, or of such dicts; `row` has one of each, a 0-d array of
            float64.  In its `shared`, arrays may be NumPy's, which it moves to the device.  The
            results are stacked along a first axis of length at least `count`; those from `count`
            on are undefined.

        Returns
        -------
        callable or None
            To be called many times, with different numbers; arrays of other shapes or dtypes, or
            None in other places, may cause another compilation.  None if compiling does not help on
            this device, if exact results cannot be guaranteed (a trial in this process may decide),
            or if calls cannot be combined.

            It may have a method `call_if_known(*arguments)`, which returns NotImplemented unless
            such arguments were given before: in nested lists and dicts of these lengths and names,
            arrays of these classes, shapes, dtypes and devices, and with the settings of the
            process that change results.  Its arguments are not checked again.

        Notes
        -----
        By default the function's operations are recorded and repeated, see `traces`.
        """
        if most > 1 or (used_up and not exact) or not getattr(self, "traces", True):
            return None
        faster: Callable[..., Any] | None
        faster = import_module(".tracing", __package__).traced(self, function, exact)
        return faster

    @classmethod
    def out_of_memory(cls, error: Exception) -> str | None:  # noqa: ARG003 (of others)
        """Return the memory requested and free, as far as known; None for other errors.

        It is meant for libraries that raise no MemoryError when memory is short.

        Parameters
        ----------
        error : Exception
            Raised by an operation on arrays of this library or of another.
        """
        return None
