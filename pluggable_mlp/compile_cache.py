"""Compiled functions, kept from one computation for the next: compiling takes seconds."""

from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from threading import Lock
from typing import Any

from pluggable_mlp.provenance import is_builtin_call

Function = Callable[..., Any]
Compile = Callable[..., Function | None]
_Key = tuple[Hashable, Function, tuple[Any, ...], dict[str, Any]]
"""The owner, the function, its bound arguments and the settings."""

_recent: deque[tuple[_Key, Function]] = deque(maxlen=32)
"""Compiled functions with their keys, in the order of their last use."""
_recent_lock = Lock()


def compiled_once(
    compile_function: Compile,
    owner: Hashable,
    function: partial[Any],
    *used_up: int,
    **settings: Any,
) -> Function | None:
    """Return `compile_function(function, …)`, or the result of an earlier call with an equal one.

    Caches only functions built from this package's components; user-defined ones may compare equal
    and behave differently.

    Parameters
    ----------
    compile_function : callable
        As `Abilities.compile`, with these settings.
    owner : hashable
        What the result is compiled for, such as the class and the device of a backend.
    function : functools.partial
        Binds a function to a namespace and components; equal ones have equal arguments.
    """
    if used_up:
        settings["used_up"] = used_up
    if not is_builtin_call(function):
        return compile_function(function, **settings)
    key = owner, function.func, function.args, settings
    with _recent_lock:
        for entry in _recent:
            if entry[0] == key and not getattr(entry[1], "fell_back", False):
                _recent.remove(entry)
                _recent.append(entry)
                return entry[1]
        compiled = compile_function(function, **settings)
        if compiled is not None:
            _recent.append((key, compiled))
        return compiled
