"""Functions under `jax.jit`, and the way back for those that cannot be compiled."""

from collections.abc import Callable
from typing import Any

import jax

from pluggable_mlp.compiling import Fallback

from .tracing import TracedFunction

Function = Callable[..., Any]

# Raised by a function that looks at values, which are missing while it is traced; and by exact
# compilation for loops that round.
_CANNOT_COMPILE = (
    NotImplementedError,
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


def jitted(function: Function, used_up: tuple[int, ...]) -> Function:
    """Return `jax.jit` of a function, the memory of some arguments given up."""
    compiled: Function = jax.jit(function, donate_argnums=used_up)
    return compiled


class CompiledFunction:
    """A function under `jax.jit`; one that branches on values runs uncompiled, after a warning.

    No function of the library does so, but a user-defined activation or loss may.

    Parameters
    ----------
    function : callable
        As `Abilities.compile` wants it.
    used_up : tuple of int
        The places of the arguments whose memory may be overwritten.
    compiler : callable
        Compiles a function, given these places: by default, `jax.jit`.

    Attributes
    ----------
    run : callable
        The compiled function; after a failure, the function itself.
    """

    def __init__(
        self,
        function: Function,
        used_up: tuple[int, ...],
        compiler: Callable[[Function, tuple[int, ...]], Function] = jitted,
    ) -> None:
        self._function = function
        self.run = compiler(function, used_up)
        # Shown once, for the loop and for single steps.
        self._fallback = Fallback(
            "JAX cannot compile the network and goes on operation by operation", _CANNOT_COMPILE
        )

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns."""
        result = self._fallback.attempt(self.run, *arguments)
        if result is not NotImplemented:
            return result
        self.run = self._function  # before anything ran: no memory was written over
        return self._function(*arguments)


class RecognizingFunction(TracedFunction):
    """A function under `jax.jit` that recognizes arguments of kinds that it has had.

    Parameters
    ----------
    function : callable
        As `Abilities.compile` wants it; of arrays alone.
    """

    # JAX itself moves arrays that are not committed to a device.
    specialized_on = ("aval", "sharding")
    calls_before_tracing = 1

    def __init__(self, function: Function) -> None:
        super().__init__(CompiledFunction(function, ()))

    def trace(self, arguments: Any) -> tuple[list[str], dict[str, Any]]:
        """See `TracedFunction.trace`: the compiled function is one operation."""
        compiled: Any = self.function
        return ["return run(*arguments)"], {"run": compiled.run}

    def has_same_bits(self, program: Callable[..., Any], arguments: Any) -> bool:
        """See `TracedFunction.has_same_bits`: it is the function."""
        return True

    def is_array(self, leaf: Any) -> bool:
        """See `TracedFunction.is_array`: what is traced is none."""
        return isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer)
