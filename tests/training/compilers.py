"""What the tests of compiled steps share: backends around another, and examples on any of them."""

import numpy as np
import pytest

from pluggable_mlp import get_backend
from pluggable_mlp.arrays import map_nested
from pluggable_mlp.training.examples import Examples

COUNT, BATCH, SEED = 16, 6, 5  # batches of 6, 6 and 4


class Wrapped:
    """All that another backend offers, but for its compiler."""

    def __init__(self, backend):
        self._backend = backend

    def __getattr__(self, name):
        if name in ("_backend", "compile"):
            raise AttributeError(name)
        return getattr(self._backend, name)


class Uncompiled(Wrapped):
    """A backend that runs every operation by itself."""

    traces = False


class SingleSteps(Wrapped):
    """A backend that compiles steps, but takes one at a time."""

    def compile(self, function, used_up=(), *, exact=False, most=1):
        if most > 1 or not hasattr(self._backend, "compile"):
            return None
        return self._backend.compile(function, used_up, exact=exact)


class TracedTorch(Wrapped):
    """PyTorch with the compiler that it has on a GPU, but for the code generator, which is slow."""

    def compile(self, function, used_up=(), *, exact=False, most=1):
        from pluggable_mlp.backends.torch_compile import CompiledFunction

        return None if exact or most > 1 else CompiledFunction(function, "aot_eager")


class Spoiling(Wrapped):
    """A compiler that leaves nothing in the arrays that a call used up, as it may."""

    def compile(self, function, used_up=(), *, exact=False, most=1):
        if most > 1:
            return None

        def called(*arguments):
            results = function(*arguments)
            map_nested(lambda array: array.fill(np.nan), [arguments[place] for place in used_up])
            return results

        return called


def row_of(columns, i):
    """Return the coefficients of a step, of those of many in nested dicts."""
    if isinstance(columns, dict):
        return {name: row_of(column, i) for name, column in columns.items()}
    return np.asarray(columns[i])


class Looping(Wrapped):
    """Of any library, a loop in Python as the call that takes many steps."""

    def compile(self, function, used_up=(), *, exact=False, most=1):
        if exact or most == 1:
            return None

        def loop(carry, rows, shared, count):
            found = []
            for i in range(count):
                carry, result = function(carry, i, row_of(rows, i), shared)
                found.append(result)
            undefined = np.full(most - count, np.nan)
            return carry, [
                None if each[0] is None else np.concat([np.stack(each), undefined])
                for each in zip(*found, strict=True)
            ]

        return loop


class Counting(Wrapped):
    """It counts how often functions were given to its compiler, and called."""

    def __init__(self, backend):
        super().__init__(backend)
        self.given, self.calls = 0, 0

    def compile(self, function, used_up=(), *, exact=False, most=1):
        if hasattr(self._backend, "compile"):
            compiled = self._backend.compile(function, used_up, exact=exact, most=most)
        else:
            compiled = None if exact or most > 1 else function
        if compiled is None:
            return None
        self.given += 1

        def called(*arguments):
            self.calls += 1
            return compiled(*arguments)

        return called


def compiler_of(library):
    """A backend that compiles, counted; PyTorch's on the processor, but for its code generator."""
    pytest.importorskip(library)
    backend = get_backend(library)
    return Counting(TracedTorch(backend) if library == "torch" else backend)


def examples_on(place, has, dtype, xp=None):
    """Examples: inputs (16, 4) and labels of four classes, the same on every library.

    Networks on them are 4 wide: a compiler has few shapes then.  Their arrays are of the
    namespace, by default the library's own.
    """

    def moved(array):
        array = place.asarray(array)
        return array if xp is None else xp.asarray(array)

    rng = np.random.default_rng(1)
    x = rng.normal(size=(COUNT, 4)).astype(dtype)
    pixels = rng.integers(1, 256, size=(COUNT, 4)).astype(np.uint8)
    x, scale = (pixels, 1 / 256) if "pixels" in has else (x, None)
    weights = rng.uniform(0.5, 2.0, size=COUNT).astype(dtype) if "weights" in has else None
    labels = moved(rng.integers(0, 4, size=COUNT))
    weights = None if weights is None else moved(weights)
    return Examples(moved(x), labels, getattr(place.xp, dtype), scale, weights)


def rate(step):
    """Another one at every step."""
    return 0.1 / (1 + step)
