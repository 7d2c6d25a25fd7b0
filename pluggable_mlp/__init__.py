"""One multilayer perceptron with hand-derived gradients on any array library: the public names.

They are imported when first used, from the modules that `__init__.pyi` names, because the command
line is part of this package and must be able to answer Ctrl-C before NumPy is imported.
"""

from importlib import import_module

__version__ = "1.0.0rc2"

_STUB = __spec__.loader.get_data(__file__ + "i").decode()
# A name and its module, from lines of the form "from MODULE import NAME as NAME".
_HOMES = {
    words[3]: words[1] for words in map(str.split, _STUB.splitlines()) if words[:1] == ["from"]
}

# `import *` leaves these out: the estimators need scikit-learn, an extra, and the rest takes time.
_APART = tuple(
    f"{__name__}.{part}"
    for part in ("estimators", "figures", "runs", "training.stacked", "training.sweep")
)
__all__ = [name for name, home in _HOMES.items() if not home.startswith(_APART)]


def __getattr__(name: str) -> object:
    """Import a public name from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, getattr(import_module(_HOMES[name]), name))


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *_HOMES})
