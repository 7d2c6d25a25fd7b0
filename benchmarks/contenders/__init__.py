"""Who competes: the contenders by their names.

Each has a file of its own, which imports its library; none is imported here.
"""

from pkgutil import resolve_name
from typing import Any, NamedTuple

__all__ = ["CONTENDERS", "Entry"]


class Entry(NamedTuple):
    """A contender's line in the tables.

    Ratios are taken to the kind "limit", and of "ours" to each "peer"; an "other" is only shown.
    """

    label: str
    kind: str
    library: str  # whose arrays ours computes on, or which a peer written by hand computes with
    path: str  # module:class
    options: dict[str, Any]  # what its constructor is given beside the job

    def make(self, job: Any) -> Any:
        """Return the contender, with the job's data at hand."""
        return resolve_name(self.path)(job, **self.options)


_OURS = "benchmarks.contenders.ours:Ours"
_LIMIT = "benchmarks.contenders.limit:Limit"
_LOOP = "benchmarks.contenders.numpy_loop:NumpyLoop"
_TORCH = "benchmarks.contenders.pytorch:PyTorch"
_TORCH_GRAPH = "benchmarks.contenders.pytorch:PyTorchGraph"
_JAX = "benchmarks.contenders.jax_jit:JaxJit"


def _contenders(library: str, device: str, platform: str) -> dict[str, Entry]:
    """Return those of NumPy or CuPy, of PyTorch on a device, and of JAX on a platform."""
    ours, torch, jax = {"backend": library}, {"device": device}, {"platform": platform}
    on_torch, on_jax = {"backend": f"torch:{device}"}, {"backend": f"jax:{platform}"}
    return {
        "limit": Entry("matrix products alone", "limit", library, _LIMIT, {"library": library}),
        "ours": Entry("pluggable-mlp", "ours", library, _OURS, ours),
        "ours-uint8": Entry(
            "pluggable-mlp, uint8 pixels", "other", library, _OURS, ours | {"pixels": True}
        ),
        "ours-torch": Entry("pluggable-mlp on torch", "ours", "torch", _OURS, on_torch),
        "ours-jax": Entry("pluggable-mlp on jax", "ours", "jax", _OURS, on_jax),
        "torch": Entry("PyTorch eager", "peer", "torch", _TORCH, torch),
        "torch-compiled": Entry(
            "PyTorch compiled", "peer", "torch", _TORCH, torch | {"compiled": True}
        ),
        "jax": Entry("JAX jit", "peer", "jax", _JAX, jax),
        "jax-scan": Entry("JAX jit, whole epoch", "peer", "jax", _JAX, jax | {"whole_epoch": True}),
    }


CONTENDERS = {
    "numpy": _contenders("numpy", "cpu", "cpu")
    | {"loop": Entry("bare NumPy loop", "peer", "numpy", _LOOP, {})},
    "cupy": _contenders("cupy", "cuda", "gpu")
    | {"torch-graph": Entry("PyTorch, step as a CUDA graph", "peer", "torch", _TORCH_GRAPH, {})},
}
