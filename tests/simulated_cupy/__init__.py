"""A simulated CuPy: NumPy underneath, CuPy's manners on top, and a count of launches and waits.

Above it everything is real: array-api-compat's wrapper of CuPy, with its composed `clip` and
`sign`, and this project's `backends/cupy.py` are loaded over it.  What it imitates stands in the
source of CuPy 14.2:

- no implicit conversion to NumPy (`cupy/_core/core.pyx`, `__array__`), no NumPy arrays in operators
  (`_core/_kernel.pyx`, `_preprocess_arg`) or assignments (`core.pyx`, `fill`).  NumPy's own
  functions, which CuPy would dispatch, raise, too: no formula may lean on that;
- reductions and full indexing give 0-d arrays, never scalars (`_core/_routines_indexing.pyx`,
  `_view_getitem`); `float()`, `int()`, `bool()` and `get` wait for the device (`core.pyx`), and so
  do boolean masks, for their count (`_routines_indexing.pyx`, `_prepare_mask_indexing_single`),
  and `unique`, by such masks (`_manipulation/add_remove.py`, `_unique_1d`);
- float32 operations, comparisons, reductions and conversions flush denormal numbers, as every
  kernel is compiled with `-ftz=true` (`cuda/compiler.py`); copies, gathers, selections (`clip` is
  one: `_core/_routines_math.pyx`, `_clip`) and cuBLAS keep them;
- indices out of range wrap (`_routines_indexing.pyx`, `_take_kernel_core`);
- results are C-contiguous whatever the operands are (`_kernel.pyx`,
  `_get_out_args_from_optionals`), those of `matmul`, too, which copies operands that are neither
  C- nor F-contiguous, and stacked ones that are not C-contiguous (`_core/_routines_linalg.pyx`);
- `concatenate` is one copy per array, up to 8 of them (`_core/_routines_manipulation.pyx`);
- there are two devices; the current one is of the thread, kernels run there, and refuse arrays of
  the other one (`cuda/device.pyx`, `_kernel.pyx`);
- an array and its views share a block of memory, of which a device has 16 GiB, or what
  `set_limit` says (`cuda/memory.pyx`);
- copies, pickled arrays, too, are made on the current device, deep ones on that of the array, and
  are C-contiguous (`core.pyx`);
- host data goes to the device through pinned memory, but for what `set` copies
  (`core.pyx`, `_send_object_to_gpu`);
- a stream may be captured as a graph, which does the same to the same memory again: what raises
  then, and what is lost, stands in `streams.py`; cuBLAS can be called as a C library (`cublas.py`);
- sums and products add in another order than NumPy's, functions of CUDA's mathematical library are
  a unit in the last place off, +0 is larger than -0, conversions to integers saturate, and
  reductions keep denormal numbers where CUB computes them: see `rounding.py`.

Within `installed()`, which the marker `simulated_cupy` puts around a test, it is what `import cupy`
gives: `get_backend("cupy")` and array-api-compat's look at types lead to it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import array_api_compat

import pluggable_mlp.backends
from tests.simulated_cupy.arrays import ndarray
from tests.simulated_cupy.counts import counting
from tests.simulated_cupy.cublas import CUBLAS
from tests.simulated_cupy.functions import libraries
from tests.simulated_cupy.memory import DEVICES, current, memory_pool

__all__ = [
    "CUBLAS",
    "SimulatedCupyBackend",
    "counting",
    "cupy",
    "current",
    "installed",
    "ndarray",
    "xp",
]

PARENTS = (array_api_compat, pluggable_mlp.backends)  # of packages, with an attribute cupy
OVER_CUPY = ("cupy", "cupyx", *(f"{parent.__name__}.cupy" for parent in PARENTS))
_ours = libraries()  # and what is imported over them


@contextmanager
def installed() -> Iterator[None]:
    """Let the simulated CuPy be `cupy` meanwhile, with what is imported over it."""
    if sys.modules.get("cupy") is _ours["cupy"]:
        yield
        return
    theirs = _exchanged(_ours)
    current.device, memory_pool.limits = 0, [0] * DEVICES
    try:
        yield
    finally:
        _ours.update(_exchanged(theirs))


def _exchanged(modules: dict[str, ModuleType]) -> dict[str, ModuleType]:
    """Put modules in the place of CuPy's and of those over it, and return the latter."""
    before = {name: module for name, module in sys.modules.items() if _is_over_cupy(name)}
    for name in before:
        del sys.modules[name]
    sys.modules.update(modules)
    for parent in PARENTS:
        vars(parent).pop("cupy", None)
        if module := modules.get(f"{parent.__name__}.cupy"):
            vars(parent)["cupy"] = module
    return before


def _is_over_cupy(name: str) -> bool:
    return any(name == top or name.startswith((f"{top}.", f"{top}_")) for top in OVER_CUPY)


with installed():
    import array_api_compat.cupy as xp
    import cupy

    from pluggable_mlp.backends import cupy_products
    from pluggable_mlp.backends.cupy import CupyBackend as SimulatedCupyBackend

    cupy_products.library = lambda: CUBLAS
