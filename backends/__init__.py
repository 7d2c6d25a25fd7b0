"""Backends: how to get one by its name, and which ones are available.

Each backend has its own module, which is imported only when that backend is requested; importing
this package does not import an array library.  Other packages add backends by the entry point
group `pluggable_mlp.backends`: an entry ``name = "package.module:Class"``, where the class
has the members of `Backend` and, optionally, those of `Abilities`.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from array_api_compat import device

from pluggable_mlp.arrays import Array, array_namespace, library_of
from pluggable_mlp.fields import choose

from .contract import Abilities, Backend, BackendUnavailable
from .host import with_free_memory

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "Abilities",
    "Backend",
    "BackendStatus",
    "BackendUnavailable",
    "available_backends",
    "backend_of",
    "get_backend",
    "out_of_memory",
]

_GROUP = "pluggable_mlp.backends"
_BUILT_IN = {
    "numpy": "pluggable-mlp",
    "cupy": "'pluggable-mlp[cupy-cuda12]' or 'pluggable-mlp[cupy-cuda13]', whichever CUDA version "
    "nvidia-smi shows",
    "torch": "'pluggable-mlp[torch]'",
    "jax": "'pluggable-mlp[jax]'",
    "dpnp": "'pluggable-mlp[dpnp]'",
    "array_api_strict": "array-api-strict",
}
"""The names of the built-in backends and of their libraries, with the arguments of pip install."""
_SLOW = {"torch", "jax", "dpnp"}
"""Those whose library takes a second or more to import."""


def _path(name: str) -> str:
    """Return module:class of a built-in backend."""
    return f"{__name__}.{name}:{name.title().replace('_', '')}Backend"


@dataclass(frozen=True)
class BackendStatus:
    """The state of a backend, as far as it is known without a slow import.

    Attributes
    ----------
    name : str
        As for `get_backend`.
    available : bool
        Whether it can be used on this machine; if `devices` is None, whether it is installed.
    version : str or None
        The version of its array library, or of the package that provides it; None if unknown.
    devices : tuple of str, or None
        The devices that it can use; None if only a slow import would tell.
    reason, remedy : str
        Why it is not available and what to do about it; empty if it is available.
    """

    name: str
    available: bool
    version: str | None = None
    devices: tuple[str, ...] | None = None
    reason: str = ""
    remedy: str = ""


def get_backend(spec: str) -> Backend:
    """Return a backend by its name, on a device.

    Parameters
    ----------
    spec : str
        "name" or "name:device": "numpy", "cupy:1", "torch:cuda:0", "torch:cuda", "jax:cpu",
        "array_api_strict:device1".  Without a device, it is the backend's default device.

    Returns
    -------
    Backend

    Raises
    ------
    ValueError
        If the backend is unknown or cannot have such a device.
    BackendUnavailable
        If the backend cannot run on this machine; the message gives the reason and a remedy.  If
        the library is missing, the device is not checked.
    TypeError
        If the spec is not a string, or a plug-in lacks a member of `Backend`.

    See Also
    --------
    available_backends

    Examples
    --------
    >>> from pluggable_mlp import get_backend
    >>> backend = get_backend("numpy")
    >>> backend.asarray([1.0, 2.0], dtype="float32")
    array([1., 2.], dtype=float32)
    """
    if not isinstance(spec, str):
        raise TypeError(
            f"backend is {spec!r}: expected the name of one, such as 'numpy' or 'torch:cuda'"
        )
    name, colon, device = spec.partition(":")
    if colon and not device:
        raise ValueError(f"backend is {spec!r}: expected a device after the colon, or no colon")
    maker = _load_built_in(name) if name in _BUILT_IN else _load_plug_in(name)
    backend = maker(device or None)
    if not isinstance(backend, Backend):
        members = sorted(member for member in vars(Backend) if not member.startswith("_"))
        missing = ", ".join(name for name in members if getattr(backend, name, None) is None)
        raise TypeError(f"plug-in {name} ({maker!r}) is not a backend: it lacks {missing}")
    return backend


def backend_of(array: Array) -> Backend:
    """Return the backend of an array: its library, on its device.

    Parameters
    ----------
    array : array
        An array of an available backend's library.

    Raises
    ------
    ValueError
        If no backend of its library has its device.
    BackendUnavailable, TypeError
        As for `get_backend`, or if it is not an array.
    """
    name = library_of(array_namespace(array))
    for place in (None, *get_backend(name).devices(), str(device(array))):
        backend = get_backend(name if place is None else f"{name}:{place}")
        try:
            backend.asarray(array)  # copies nothing if it is the array's own place
        except ValueError:
            continue
        return backend
    raise ValueError(f"the array is of {name} on {device(array)}, which none of its backends has")


def available_backends() -> list[BackendStatus]:
    """Return the state of every built-in and plug-in backend, without a slow import.

    PyTorch, JAX and plug-ins are not imported; for them, the state says whether they are installed.

    Returns
    -------
    list of BackendStatus
        With the attributes `name`, `available`, `version`, `devices`, `reason` and `remedy`.

    See Also
    --------
    get_backend

    Examples
    --------
    >>> from pluggable_mlp import available_backends
    >>> "numpy" in [status.name for status in available_backends() if status.available]
    True
    """
    return [*map(_status, _BUILT_IN), *map(_plug_in_status, _plug_ins())]


def out_of_memory(error: Exception) -> str | None:
    """Return the memory requested and free if an error means "out of memory", otherwise None.

    Each imported backend recognizes the errors of its library; MemoryError is always recognized.
    """
    for value in (*map(_path, _BUILT_IN), *(entry.value for entry in _plug_ins())):
        module, _, name = value.partition(":")
        backend = getattr(sys.modules.get(module), name, Abilities)
        report = getattr(backend, "out_of_memory", None) or Abilities.out_of_memory
        if message := report(error):
            return str(message)
    return with_free_memory(error) if isinstance(error, MemoryError) else None


def _load_built_in(name: str) -> type[Backend]:
    """Import the class of a built-in backend; `BackendUnavailable` if its library is missing."""
    remedy = f"install it with: pip install {_BUILT_IN[name]}"
    if find_spec(name) is None:
        raise BackendUnavailable(name, f"{name} is not installed", remedy)
    return _load(name, lambda: resolve_name(_path(name)), remedy)


def _load_plug_in(name: str) -> type[Backend]:
    """Import the class of a plug-in; ValueError if no package offers one of this name."""
    plug_ins = {entry.name: entry for entry in _plug_ins()}
    choose({**_BUILT_IN, **plug_ins}, name, "backend")  # raises for an unknown name
    return _load(name, plug_ins[name].load, _repair(plug_ins[name]))


def _load(name: str, importer: Callable[[], type[Backend]], remedy: str) -> type[Backend]:
    """Import the class of a backend; raise `BackendUnavailable` if that fails in any way."""
    try:
        return importer()
    except Exception as error:  # whatever a faulty plug-in or library raises
        if isinstance(error, ModuleNotFoundError) and error.name:
            reason = f"it needs {error.name}, which is not installed"
        else:
            origin = "" if isinstance(error, ImportError | OSError) else f"{type(error).__name__}: "
            reason = f"it is installed, but importing it fails: {origin}{error}"
        raise BackendUnavailable(name, reason, remedy) from error


def _plug_ins() -> "Iterator[EntryPoint]":
    """Yield the entry points of other packages, except those with the name of a built-in one."""
    from importlib import metadata  # a tenth of the time that the command line's help takes

    for entry in metadata.entry_points(group=_GROUP):
        if entry.name not in _BUILT_IN:
            yield entry


def _status(name: str) -> BackendStatus:
    """Return what is known of a built-in backend."""
    try:
        is_slow = name in _SLOW and find_spec(name) is not None
        devices = None if is_slow else _load_built_in(name).devices()
    except BackendUnavailable as why:
        return BackendStatus(name, False, _version(name), (), why.reason, why.remedy)
    return BackendStatus(name, True, _version(name), devices)


def _plug_in_status(entry: "EntryPoint") -> BackendStatus:
    """Return what is known of a plug-in while its module is not imported."""
    version, package = entry.dist.version if entry.dist else None, entry.module.partition(".")[0]
    # An imported module may have no spec, for which `find_spec` raises.
    if sys.modules.get(package) is None and find_spec(package) is None:
        reason = f"it needs {package}, which is not installed"
        return BackendStatus(entry.name, False, version, (), reason, _repair(entry))
    return BackendStatus(entry.name, True, version)


def _repair(entry: "EntryPoint") -> str:
    """Return what to do about a plug-in that cannot be imported."""
    return f"repair the package that brings it ({entry.value})"


def _version(library: str) -> str | None:
    """Return the version of a library, or of its package."""
    loaded = sys.modules.get(library)
    if loaded is not None:
        return str(loaded.__version__)
    from importlib import metadata

    try:
        return metadata.version(library.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return None
