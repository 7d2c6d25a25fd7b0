"""Who competes: the contenders by their names, and what each of them must offer.

Each has a file of its own and imports its library when it is made, none here.  Processes and clocks
belong in `workers.py`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any

import numpy as np

from benchmarks.job import Work

__all__ = ["CONTENDERS", "EVALUATION_BATCH", "Contender", "Entry", "make_contender"]

EVALUATION_BATCH = 1000


class Contender(ABC):
    """One way to do a job; its constructor takes the work and moves the data where they go."""

    work: Work

    @abstractmethod
    def start(self, *, shuffle: bool, steps: int | None = None) -> None:
        """Go back to the initial parameters; train on the first `steps` batches only, if given."""

    @abstractmethod
    def epoch(self) -> float:
        """Train one epoch, and return the mean of its losses: nothing is left to be computed.

        Shuffled anew where `start` was told so, by the contender's own generator.
        """

    @abstractmethod
    def cut(self, batch: int) -> list[Any]:
        """Return the test inputs in batches, on the device: nothing is left to be computed."""

    @abstractmethod
    def predict(self, batches: list[Any]) -> list[Any]:
        """Return the class probabilities of each batch (batch, classes) as NumPy arrays."""

    def probabilities(self, batch: int) -> Any:
        """Return the class probabilities (test examples, classes), NumPy, batch by batch."""
        return np.concatenate(self.predict(self.cut(batch)))

    def fit(self) -> tuple[float, float]:
        """Return the training loss and the test accuracy of one epoch, as a user would get them."""
        self.start(shuffle=True)
        return self.epoch(), self.accuracy()

    def accuracy(self) -> float:
        """Return the share of the test examples that are classified rightly."""
        classes = self.probabilities(EVALUATION_BATCH).argmax(axis=1)
        return float((classes == self.work.labels[1]).mean())


@dataclass(frozen=True)
class Entry:
    """A contender's line in the tables.

    Attributes
    ----------
    label : str
    path : str
        module:class
    kind : {"limit", "ours", "peer", "other"}
        Ratios are taken to the limit, and of ours to the peers.  The others are only shown, and of
        the grid's cells only in those of the short table.
    library : {"numpy", "torch", "jax", "cupy", ""}
        Whose arrays ours computes on, or which a peer written by hand computes with.
    options : dict
        What its constructor is given beside the work.
    """

    label: str
    path: str
    kind: str
    library: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def suits(self, sizes: tuple[int, ...], batch: int, optimizer: str) -> bool:
        """Whether it can do the job: the notebook's loop knows one network, one example, SGD."""
        return not self.path.endswith("Notebook") or (
            (len(sizes), batch, optimizer) == (3, 1, "sgd")
        )


_HERE = "benchmarks.contenders"
_OURS, _TORCH = f"{_HERE}.ours:Ours", f"{_HERE}.pytorch:PyTorch"
_LIMIT, _JAX = f"{_HERE}.limit:Limit", f"{_HERE}.jax_jit:JaxJit"

CONTENDERS: dict[str, dict[str, Entry]] = {
    "numpy": {
        "limit": Entry("matrix products alone", _LIMIT, "limit", "", {"library": "numpy"}),
        "ours": Entry("pluggable-mlp", _OURS, "ours", "numpy", {"backend": "numpy"}),
        "ours-uint8": Entry(
            "pluggable-mlp, uint8 pixels", _OURS, "other", "", {"backend": "numpy", "pixels": True}
        ),
        "ours-torch": Entry("pluggable-mlp on torch", _OURS, "ours", "torch", {"backend": "torch"}),
        "ours-jax": Entry("pluggable-mlp on jax", _OURS, "ours", "jax", {"backend": "jax"}),
        "torch": Entry("PyTorch eager", _TORCH, "peer", "torch"),
        "torch-compiled": Entry("PyTorch compiled", _TORCH, "peer", "torch", {"compiled": True}),
        "jax": Entry("JAX jit", _JAX, "peer", "jax"),
        "jax-scan": Entry("JAX jit, whole epoch", _JAX, "peer", "jax", {"whole_epoch": True}),
        "scikit-learn": Entry("scikit-learn", f"{_HERE}.scikit_learn:ScikitLearn", "other"),
        "loop": Entry("bare NumPy loop", f"{_HERE}.numpy_loop:NumpyLoop", "peer", "numpy"),
        "notebook": Entry("notebook's loop, float64", f"{_HERE}.notebook:Notebook", "other"),
    },
    "cupy": {
        "limit": Entry("matrix products alone", _LIMIT, "limit", "", {"library": "cupy"}),
        "ours": Entry("pluggable-mlp on cupy", _OURS, "ours", "cupy", {"backend": "cupy"}),
        "ours-uint8": Entry(
            "pluggable-mlp on cupy, uint8", _OURS, "other", "", {"backend": "cupy", "pixels": True}
        ),
        "ours-torch": Entry(
            "pluggable-mlp on torch", _OURS, "ours", "torch", {"backend": "torch:cuda"}
        ),
        "torch": Entry("PyTorch eager", _TORCH, "peer", "torch", {"device": "cuda"}),
        "torch-compiled": Entry(
            "PyTorch compiled", _TORCH, "peer", "torch", {"device": "cuda", "compiled": True}
        ),
    },
}


def make_contender(entry: Entry, work: Work) -> Contender:
    """Return the contender of an entry, with the job's data at hand."""
    contender: Contender = resolve_name(entry.path)(work, **entry.options)
    return contender
