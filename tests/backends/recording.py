"""A namespace that notes what is called, and a check of the notes against other signatures.

With it a training run on array-api-strict proves, on a machine without a GPU, that every
function and keyword which training uses exists in CuPy's namespace.  It does not prove that
CuPy computes the same: that takes a GPU.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

# What cupy.ufunc takes by keyword, from its documentation: ufuncs have no signature to inspect.
UFUNC_KEYWORDS = {"out", "dtype", "casting", "where"}
_LACKING = object()  # not None, which is `newaxis`


@dataclass(frozen=True)
class Use:
    """A way in which a name of the namespace was used; `arguments` is None if not called."""

    name: str  # with its sub-namespace: "linalg.matmul"
    arguments: int | None = None
    keywords: tuple[str, ...] = ()


@dataclass
class RecordingNamespace:
    """An array API namespace that behaves like `xp` and notes each use of it in `uses`."""

    xp: Any
    prefix: str = ""
    uses: set[Use] = field(default_factory=set)

    __hash__ = object.__hash__  # namespaces are cached by their library's
    __eq__ = object.__eq__

    def __post_init__(self) -> None:
        self.__name__ = self.xp.__name__

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.xp, name)
        full_name = self.prefix + name
        if isinstance(value, ModuleType):
            return RecordingNamespace(value, f"{full_name}.", self.uses)
        if isinstance(value, type) or not callable(value):
            self.uses.add(Use(full_name))
            return value
        return self._noting(full_name, value)

    def _noting(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **keywords: Any) -> Any:
            self.uses.add(Use(name, len(arguments), tuple(sorted(keywords))))
            return function(*arguments, **keywords)

        return noted


def record_everywhere(namespace: RecordingNamespace, monkeypatch: Any) -> None:
    """Make the project take `namespace` for that of all arrays, as long as the test runs."""
    monkeypatch.setattr("pluggable_mlp.arrays.array_namespace", lambda *_: namespace)


def faults(uses: Iterable[Use], xp: Any) -> list[str]:
    """Return, a line each, the uses that `xp` has no such name for or would not accept."""
    found = (_fault(use, xp) for use in sorted(uses, key=repr))
    return [fault for fault in found if fault]


def _fault(use: Use, xp: Any) -> str:
    function = xp
    for part in use.name.split("."):
        function = getattr(function, part, _LACKING)
    if function is _LACKING:
        return f"{use.name}: {xp.__name__} lacks it"
    if use.arguments is None:
        return ""
    is_ufunc = hasattr(function, "nin") and hasattr(function, "nout")
    return _ufunc_fault(use, function) if is_ufunc else _function_fault(use, function)


def _function_fault(use: Use, function: Any) -> str:
    try:
        signature = inspect.signature(function)
    except ValueError:
        return f"{use.name}: it has no signature to check"
    try:
        bound = signature.bind(*range(use.arguments), **dict.fromkeys(use.keywords))
    except TypeError as error:
        return f"{use.name}: {error} in {signature}"
    for parameter in signature.parameters.values():
        # **kwargs takes any name, only to fail later inside: the keyword must be named.
        if parameter.kind is parameter.VAR_KEYWORD and bound.arguments.get(parameter.name):
            return f"{use.name}: {bound.arguments[parameter.name]} not named in {signature}"
    return ""


def _ufunc_fault(use: Use, function: Any) -> str:
    unknown = set(use.keywords) - UFUNC_KEYWORDS
    if unknown:
        return f"{use.name}: a ufunc takes no keyword {', '.join(sorted(unknown))}"
    if use.arguments != function.nin:
        return f"{use.name}: {use.arguments} arguments for a ufunc of {function.nin}"
    return ""
