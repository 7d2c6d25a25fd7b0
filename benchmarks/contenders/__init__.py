"""Who competes: the contenders by their names.

Each has a file of its own, which imports its library; none is imported here.
"""

from pkgutil import resolve_name
from typing import Any, NamedTuple

__all__ = ["CONTENDERS", "Entry"]


class Entry(NamedTuple):
    """A contender's line in the tables.

    Parameters
    ----------
    label : str
    kind : {"limit", "ours", "peer", "other"}
        Ratios are taken to the limit, and of ours to the peers; the others are only shown.
    library : {"numpy", "torch", "jax", "cupy"}
        Whose arrays ours computes on, or which a peer written by hand computes with.
    path : str
        module:class
    options : dict
        What its constructor is given beside the job.
    """

    label: str
    kind: str
    library: str
    path: str
    options: dict[str, Any]

    def make(self, job: Any) -> Any:
        """Return the contender, with the job's data at hand."""
        return resolve_name(self.path)(job, **self.options)


_OURS = "benchmarks.contenders.ours:Ours"
_LIMIT = "benchmarks.contenders.limit:Limit"
_LOOP = "benchmarks.contenders.numpy_loop:NumpyLoop"
_TORCH = "benchmarks.contenders.pytorch:PyTorch"
_TORCH_GRAPH = "benchmarks.contenders.pytorch:PyTorchGraph"
_JAX = "benchmarks.contenders.jax_jit:JaxJit"

CONTENDERS: dict[str, dict[str, Entry]] = {
    "numpy": {
        "limit": Entry("matrix products alone", "limit", "numpy", _LIMIT, {"library": "numpy"}),
        "ours": Entry("pluggable-mlp", "ours", "numpy", _OURS, {}),
        "ours-uint8": Entry(
            "pluggable-mlp, uint8 pixels", "other", "numpy", _OURS, {"pixels": True}
        ),
        "ours-torch": Entry("pluggable-mlp on torch", "ours", "torch", _OURS, {"backend": "torch"}),
        "ours-jax": Entry("pluggable-mlp on jax", "ours", "jax", _OURS, {"backend": "jax"}),
        "torch": Entry("PyTorch eager", "peer", "torch", _TORCH, {}),
        "torch-compiled": Entry("PyTorch compiled", "peer", "torch", _TORCH, {"compiled": True}),
        "jax": Entry("JAX jit", "peer", "jax", _JAX, {}),
        "jax-scan": Entry("JAX jit, whole epoch", "peer", "jax", _JAX, {"whole_epoch": True}),
        "loop": Entry("bare NumPy loop", "peer", "numpy", _LOOP, {}),
    },
}
_GPU: dict[str, dict[str, Any]] = {
    "limit": {"library": "cupy"},
    "ours": {"backend": "cupy"},
    "ours-uint8": {"backend": "cupy", "pixels": True},
    "ours-torch": {"backend": "torch:cuda"},
    "ours-jax": {"backend": "jax:gpu"},
    "torch": {"device": "cuda"},
    "torch-compiled": {"device": "cuda", "compiled": True},
    "jax": {"platform": "gpu"},
    "jax-scan": {"platform": "gpu", "whole_epoch": True},
}
CONTENDERS["cupy"] = {
    name: entry._replace(library=entry.library.replace("numpy", "cupy"), options=_GPU[name])
    for name, entry in CONTENDERS["numpy"].items()
    if name in _GPU
}
CONTENDERS["cupy"]["torch-graph"] = Entry(
    "PyTorch, step as a CUDA graph", "peer", "torch", _TORCH_GRAPH, {}
)
