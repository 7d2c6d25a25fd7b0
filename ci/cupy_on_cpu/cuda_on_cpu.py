"""The emulated card: loads the libraries of CUDA's names, and counts what is asked of it.

A `.pth` file imports this when Python starts, so that a library that is looked for by its name is
there already.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path

_folder = Path(__file__).parent / "lib"
_card = ctypes.CDLL(str(_folder / "libcuda_on_cpu.so"))
_libraries = [ctypes.CDLL(str(path)) for path in sorted(_folder.glob("*.so.*"))]
_card.cuda_on_cpu_counts.restype = ctypes.c_char_p
_Listener = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
_listeners: list[Callable[[bytes], None]] = []  # kept alive while the card has one


def counts() -> dict[str, int]:
    """Return how often each thing was asked of the card since Python started.

    Their names begin with `kernel`, `library`, `graph`, `memcpy`, `memset`, `waits`, `memory` or
    `modules`.
    """
    lines = _card.cuda_on_cpu_counts().decode().splitlines()
    return {name: int(count) for count, name in (line.split(" ", 1) for line in lines)}


def tell_of_waits(listener: Callable[[str], None] | None) -> None:
    """Call a function with the name of each wait, in the thread that waits; None: no longer."""
    called = _Listener(lambda name: listener(name.decode())) if listener else _Listener()
    _card.cuda_on_cpu_tell_of_waits(called)
    _listeners[:] = [called]
