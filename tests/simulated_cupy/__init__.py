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
- `concatenate` is one copy per array, up to 8 of them (`_core/_routines_manipulation.pyx`).

It does not imitate rounding: this rounds as NumPy does, unlike CuPy.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, util
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import array_api_compat

from tests.simulated_cupy.arrays import counting, ndarray
from tests.simulated_cupy.functions import libraries, module

__all__ = ["SimulatedCupyBackend", "counting", "ndarray", "xp"]


@contextmanager
def _in_place(modules: dict[str, ModuleType]) -> Iterator[None]:
    """Let these modules be imported under their names; what else is imported meanwhile stays."""
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module_before in before.items():
            if module_before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module_before


def _wrapper(cupy: dict[str, ModuleType]) -> ModuleType:
    """Return array-api-compat's namespace for CuPy, its own source read over these modules."""
    package = module("array_api_compat.simulated_cupy")
    package.__path__ = [str(Path(array_api_compat.__file__).parent / "cupy")]
    with _in_place(cupy | {package.__name__: package}):
        aliases = import_module(f"{package.__name__}._aliases")
    theirs = {name: getattr(aliases, name) for name in aliases.__all__}
    return module("array_api_compat.cupy", **{**vars(cupy["cupy"]), **theirs})


def _backend(cupy: dict[str, ModuleType], xp: ModuleType) -> Any:
    """Return the library's own backend for CuPy, its source read over these modules."""
    name = "pluggable_mlp.backends.simulated_cupy"
    source = util.find_spec("pluggable_mlp.backends.cupy").origin
    spec = util.spec_from_file_location(name, source)
    made = util.module_from_spec(spec)
    with (
        _in_place(cupy | {"array_api_compat.cupy": xp, name: made}),
        mock.patch.object(array_api_compat, "cupy", xp, create=True),
    ):
        spec.loader.exec_module(made)
    return made.CupyBackend


_CUPY = libraries()
xp = _wrapper(_CUPY)


class SimulatedCupyBackend(_backend(_CUPY, xp)):
    """`CupyBackend` of the library, on the simulated CuPy."""

    name = "simulated_cupy"
