"""What the tests of compiled steps share: backends around another, and examples on any of them."""

import numpy as np
import pytest

from pluggable_mlp import get_backend
from pluggable_mlp.training.batches import Examples

COUNT, BATCH, SEED = 16, 6, 5  # batches of 6, 6 and 4


class Wrapped:
    """All that another backend offers, but for its compiler and what it records."""

    def __init__(self, backend):
        self._backend = backend

    def __getattr__(self, name):
        if name in ("_backend", "compile", "compile_loop", "record"):
            raise AttributeError(name)
        return getattr(self._backend, name)


class Uncompiled(Wrapped):
    """A backend that runs every operation by itself."""


class SingleSteps(Wrapped):
    """A backend that compiles steps, but takes one at a time."""

    def compile(self, function, used_up=()):
        return self._backend.compile(function, used_up)


class TracedTorch(Wrapped):
    """PyTorch with the compiler that it has on a GPU, but for the code generator, which is slow."""

    def compile(self, function, used_up=()):
        from pluggable_mlp.backends.torch_compile import CompiledFunction

        return CompiledFunction(function, "aot_eager")


class Noting(Wrapped):
    """It notes how often functions were given to its compiler, run as Python code, and called.

    Python code runs once a compilation.  A backend without a compiler runs it at each call.
    """

    def __init__(self, backend):
        super().__init__(backend)
        self.given, self.runs, self.calls = 0, 0, 0

    def compile(self, function, used_up=()):
        self.given += 1

        def run(*arguments):
            self.runs += 1
            return function(*arguments)

        compiled = self._backend.compile(run, used_up) if hasattr(self._backend, "compile") else run
        if compiled is None:
            return None

        def called(*arguments):
            self.calls += 1
            return compiled(*arguments)

        return called


def compiler_of(library):
    """A backend that compiles, noted; PyTorch's on the processor, but for its code generator."""
    pytest.importorskip(library)
    backend = get_backend(library)
    return Noting(TracedTorch(backend) if library == "torch" else backend)


def examples_on(place, has, dtype, xp=None):
    """Examples: inputs (16, 3) and labels of two classes, the same on every library.

    Their arrays are of the namespace, by default the library's own.
    """

    def moved(array):
        array = place.asarray(array)
        return array if xp is None else xp.asarray(array)

    rng = np.random.default_rng(1)
    x = rng.normal(size=(COUNT, 3)).astype(dtype)
    pixels = rng.integers(1, 256, size=(COUNT, 3)).astype(np.uint8)
    x, scale = (pixels, 1 / 256) if "pixels" in has else (x, None)
    weights = rng.uniform(0.5, 2.0, size=COUNT).astype(dtype) if "weights" in has else None
    labels = moved(rng.integers(0, 2, size=COUNT))
    weights = None if weights is None else moved(weights)
    return Examples(moved(x), labels, getattr(place.xp, dtype), scale, weights)


def rate(step):
    """Another one at every step."""
    return 0.1 / (1 + step)
