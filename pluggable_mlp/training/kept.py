"""Compiled functions, kept from one training for the next: compiling takes seconds."""

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any

from pluggable_mlp.provenance import is_ours

__all__ = ["made_once"]

_recent: deque[tuple[Any, Any]] = deque(maxlen=32)  # with what each was made of
_recent_lock = Lock()


def made_once(
    components: tuple[Any, ...], settings: tuple[Any, ...], make: Callable[[], Any]
) -> Any:
    """Return what was made of equal things before; or make it.

    Only what is made of this package's components is kept: of others, equal ones may differ.

    Parameters
    ----------
    components : tuple
        The network and the optimizer of which it is made.
    settings : tuple
        All else of which it is made.
    make : callable
        Returns a function from a backend's compiler, which may turn out to run uncompiled; or None
        if the backend does not compile.
    """
    if not is_ours(components):
        return make()
    made_of = (*components, *settings)
    with _recent_lock:
        for known, made in _recent:
            if known == made_of and not getattr(made, "fell_back", False):
                return made
        made = make()
        if made is not None:
            _recent.append((made_of, made))
        return made
