"""One multilayer perceptron, gradients by hand, on any array library: the public names.

They are imported when they are first asked for: the command line stands within this package, and
answers to Ctrl-C before NumPy is imported.
"""

TYPE_CHECKING = False  # for type checkers it is true, and `typing` takes long to import
if TYPE_CHECKING:
    from pluggable_mlp.backends import BackendUnavailable, available_backends, get_backend
    from pluggable_mlp.namespaces import reproducible, to_native
    from pluggable_mlp.network.mlp import MLP
    from pluggable_mlp.training import (
        SGD,
        DivergenceError,
        PrecisionWarning,
        TrainState,
        first_state,
        make_optimizer,
        make_schedule,
        training_step,
    )
    from pluggable_mlp.training.train import Training, train

__all__ = [
    "MLP",
    "SGD",
    "BackendUnavailable",
    "DivergenceError",
    "PrecisionWarning",
    "TrainState",
    "Training",
    "available_backends",
    "first_state",
    "get_backend",
    "make_optimizer",
    "make_schedule",
    "reproducible",
    "to_native",
    "train",
    "training_step",
]

__version__ = "0.1.0"

_HOMES = ("backends", "namespaces", "network.mlp", "training")


def __getattr__(name: str) -> object:
    """Import a public name from the module that defines it."""
    if name in __all__:
        from importlib import import_module

        for home in _HOMES:
            module = import_module(f"{__name__}.{home}")
            if hasattr(module, name):
                return globals().setdefault(name, getattr(module, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
