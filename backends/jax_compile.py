"""Functions under `jax.jit`, loops of them, and a fallback for those that cannot be compiled."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from operator import attrgetter, itemgetter

import jax
import jax.numpy as jnp
import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.arrays.compiling import Fallback

from .tape import Constants, Function, Tree
from .tracing import TracedFunction

# Raised by a function that reads values, which are missing while it is traced, and by exact
# compilation for loops that round.
_CANNOT_COMPILE = (
    NotImplementedError,
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


class _Settings:
    """The settings in which JAX computes, for the calling thread.

    As a generator, `contextlib.contextmanager` would take three times as long.
    """

    def __enter__(self) -> None:
        self._contexts = jax.enable_x64(True), jax.default_matmul_precision("highest")
        for context in self._contexts:
            context.__enter__()

    def __exit__(self, *error: object) -> None:
        for context in reversed(self._contexts):
            context.__exit__(*error)


def settings_context() -> AbstractContextManager[object]:
    """Return `JaxBackend.context`, which sets only what is not set."""
    config = jax.config
    if config.jax_default_matmul_precision is None:
        is_wide = config.jax_enable_x64
        return jax.default_matmul_precision("highest") if is_wide else _Settings()
    return nullcontext() if config.jax_enable_x64 else jax.enable_x64(True)


def within_context(function: Function) -> Function:
    """Return a function that calls another one in `JaxBackend.context`."""

    def call(*arguments: Tree) -> Tree:
        with settings_context():
            return function(*arguments)

    return call


def jitted(function: Function, used_up: tuple[int, ...]) -> Function:
    """Return `jax.jit` of a function that may overwrite the memory of some arguments."""
    return jax.jit(function, donate_argnums=used_up)


class CompiledFunction:
    """A function under `jax.jit`; one that branches on values runs uncompiled, after a warning.

    No function of the library does so, but a user-defined activation or loss may.

    Parameters
    ----------
    function : callable
        As for `Abilities.compile`.
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
        self._function = within_context(function)
        self.run: Function = within_context(compiler(function, used_up))
        # Shown once, for the loop and for single steps.
        self._fallback = Fallback(
            f"JAX {jax.__version__} cannot compile a function and goes on operation by operation",
            _CANNOT_COMPILE,
        )

    def __call__(self, *arguments: Tree) -> Tree:
        """Return what the function returns."""
        result = self._fallback.attempt(self.run, *arguments)
        if result is not NotImplemented:
            return result
        self.run = self._function  # before anything ran: no memory was overwritten
        return self._function(*arguments)


class RecognizingFunction(TracedFunction):
    """A function under `jax.jit` that recognizes arguments of kinds that it has had.

    Parameters
    ----------
    function : callable
        As for `Abilities.compile`; all arguments are arrays.
    """

    # JAX itself moves arrays that are not committed to a device.
    layout: Callable[[Array], object] = attrgetter("aval", "sharding")

    def __init__(self, function: Function) -> None:
        super().__init__(CompiledFunction(function, ()))

    def trace(self, arguments: Tree) -> tuple[list[str], Constants]:
        """See `TracedFunction.trace`: the compiled function is one operation."""
        assert isinstance(self.function, CompiledFunction)
        return ["return run(*arguments)"], {"run": self.function.run}

    def checked_result(self, program: Function, arguments: Tree) -> Tree:
        """See `TracedFunction.checked_result`: the program is the function itself."""
        return program(*arguments)

    def is_array(self, leaf: object) -> bool:
        """See `TracedFunction.is_array`: tracers are not arrays."""
        return isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer)


def compiled_loop(function: Function, used_up: tuple[int, ...], most: int) -> Function:
    """Return combined calls, see `Abilities.compile`: one `jax.lax.fori_loop` for all counts.

    `used_up` is () or (0,).
    """
    run = CompiledFunction(
        partial(one_by_one, function),
        used_up,
        lambda _, used_up: jitted(partial(looped, function, most), used_up),
    )

    def padded(numbers: list[float]) -> Tree:
        column = np.zeros((most, *np.shape(numbers[0])))
        column[: len(numbers)] = numbers
        return column

    def loop(carry: Tree, rows: Tree, shared: Tree, count: int) -> Tree:
        columns = jax.tree.map(padded, rows, is_leaf=lambda numbers: isinstance(numbers, list))
        return run(carry, columns, shared, count)

    return loop


def looped(
    function: Function, length: int, carry: Tree, rows: Tree, shared: Tree, count: jax.Array
) -> tuple[Tree, Tree]:
    """Return the last carry and the results, traced once; rows are arrays (length,)."""

    def row_at(index: jax.Array | int) -> Tree:
        return jax.tree.map(itemgetter(index), rows)

    def step(index: jax.Array, so_far: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
        carry, results = so_far
        carry, result = function(carry, index, row_at(index), shared)
        return carry, jax.tree.map(lambda rows, row: rows.at[index].set(row), results, result)

    shapes = jax.eval_shape(function, carry, jnp.asarray(0), row_at(0), shared)[1]
    results = jax.tree.map(lambda one: jnp.zeros((length, *one.shape), one.dtype), shapes)
    return jax.lax.fori_loop(0, count, step, (carry, results))


def one_by_one(
    function: Function, carry: Tree, rows: Tree, shared: Tree, count: int
) -> tuple[Tree, Tree]:
    """Return the same, operation by operation, for a function that reads values."""
    results = []
    for index in range(count):
        row = jax.tree.map(jnp.asarray, jax.tree.map(itemgetter(index), rows))
        carry, result = function(carry, index, row, shared)
        results.append(result)
    return carry, jax.tree.map(lambda *rows: jnp.stack(rows), *results)
