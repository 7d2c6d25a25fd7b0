"""Idiomatic PyTorch: tensors on the device, fused optimizers, no loader.

Batches are gathered by `index_select` from data that are on the device already; a DataLoader
would cost more.
"""

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.contenders.contender import Contender
from benchmarks.job import ADAM, Job
from benchmarks.machine import usable_processors

__all__ = ["PyTorch"]


def forward(parameters: list[Any], x: Any) -> Any:
    """Return the logits (batch, classes) for x (batch, in)."""
    *hidden, (W, b) = zip(parameters[::2], parameters[1::2], strict=True)
    for hidden_W, hidden_b in hidden:
        x = torch.sigmoid(functional.linear(x, hidden_W, hidden_b))
    return functional.linear(x, W, b)


def loss_of(parameters: list[Any], x: Any, labels: Any) -> Any:
    """Return the mean loss of a batch."""
    return functional.cross_entropy(forward(parameters, x), labels)


def probabilities_of(parameters: list[Any], x: Any) -> Any:
    """Return the probabilities (batch, classes) for x (batch, in)."""
    return torch.softmax(forward(parameters, x), dim=1)


class PyTorch(Contender):
    """PyTorch by automatic differentiation, eager or compiled.

    Parameters
    ----------
    job : Job
    device : str
    compiled : bool
        `torch.compile` of the loss with its gradient, and of the prediction; on a GPU with CUDA
        graphs ("reduce-overhead").  What it cannot compile as a whole is an error.
    """

    def __init__(self, job: Job, device: str = "cpu", compiled: bool = False) -> None:
        super().__init__(job)
        torch.set_num_threads(usable_processors())
        # Weights as torch.nn.Linear keeps them, (out, in).
        arrays = [array for W, b in job.parameters() for array in (np.ascontiguousarray(W.T), b)]
        self._initial = [torch.tensor(array, device=device) for array in arrays]
        self._inputs, self.test_inputs = (torch.from_numpy(x).to(device) for x in job.floats())
        self._labels = torch.from_numpy(job.labels()).to(device)
        self._loss, self._probabilities = loss_of, probabilities_of
        if compiled:
            torch.compiler.reset()  # or it gives up after so many shapes
            mode = "default" if device == "cpu" else "reduce-overhead"
            self._loss, self._probabilities = (
                torch.compile(function, fullgraph=True, dynamic=False, mode=mode)
                for function in (loss_of, probabilities_of)
            )
        torch.manual_seed(0)

    def start(self, *, shuffle: bool, steps: int | None = None) -> None:
        super().start(shuffle=shuffle, steps=steps)
        job = self.job
        self._parameters = [w.clone().requires_grad_() for w in self._initial]
        if job.optimizer == "sgd":
            self._optimizer: Any = torch.optim.SGD(
                self._parameters, lr=job.learning_rate, fused=True
            )
        else:
            betas = (ADAM["beta1"], ADAM["beta2"])
            self._optimizer = torch.optim.Adam(
                self._parameters, job.learning_rate, betas, ADAM["epsilon"], fused=True
            )

    def epoch(self) -> float:
        batch, device = self.job.batch, self._inputs.device
        total = torch.zeros((), device=device)
        order = torch.randperm(self.count, device=device) if self.shuffle else None
        for begin in range(0, self.count, batch):
            if order is None:
                x, labels = (a[begin : begin + batch] for a in (self._inputs, self._labels))
            else:
                rows = order[begin : begin + batch]
                x, labels = (a.index_select(0, rows) for a in (self._inputs, self._labels))
            loss = self._loss(self._parameters, x, labels)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self._optimizer.step()
            total += loss.detach()
        return float(total) * batch / self.count

    def predict(self, batches: list[Any]) -> list[Any]:
        with torch.inference_mode():
            parts = [self._probabilities(self._parameters, x) for x in batches]
            return [part.cpu().numpy() for part in parts]
