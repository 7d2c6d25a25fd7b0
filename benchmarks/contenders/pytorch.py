"""Idiomatic PyTorch: tensors on the device, fused optimizers, no loader; also as a CUDA graph.

Batches are gathered by `index_select` from data that are on the device already; a DataLoader
would cost more.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.contenders.contender import Contender
from benchmarks.job import Job
from benchmarks.machine import usable_processors

__all__ = ["PyTorch", "PyTorchGraph"]

_WARM_UP = 3  # steps before a capture, as PyTorch's notes on CUDA graphs have it


def forward(activation: str, parameters: list[Any], x: Any) -> Any:
    """Return the logits (batch, classes) for x (batch, in)."""
    function = torch.tanh if activation == "tanh" else getattr(functional, activation)
    *hidden, (W, b) = zip(parameters[::2], parameters[1::2], strict=True)
    for hidden_W, hidden_b in hidden:
        x = function(functional.linear(x, hidden_W, hidden_b))
    return functional.linear(x, W, b)


def loss_of(activation: str, parameters: list[Any], x: Any, labels: Any) -> Any:
    """Return the mean loss of a batch."""
    return functional.cross_entropy(forward(activation, parameters, x), labels)


def probabilities_of(activation: str, parameters: list[Any], x: Any) -> Any:
    """Return the probabilities (batch, classes) for x (batch, in)."""
    return torch.softmax(forward(activation, parameters, x), dim=1)


class PyTorch(Contender):
    """PyTorch by automatic differentiation, eager or compiled.

    Compiled are the loss with its gradient, and the prediction; on a GPU with CUDA graphs
    ("reduce-overhead").  What `torch.compile` cannot compile as a whole is an error.
    """

    _captured = False

    def __init__(self, job: Job, device: str, compiled: bool = False) -> None:
        super().__init__(job)
        torch.set_num_threads(usable_processors())
        # Weights as torch.nn.Linear keeps them, (out, in).
        arrays = [array for W, b in job.parameters() for array in (np.ascontiguousarray(W.T), b)]
        self._initial = [torch.tensor(array, device=device) for array in arrays]
        self._inputs, self.test_inputs = (torch.from_numpy(x).to(device) for x in job.floats())
        self._labels = torch.from_numpy(job.labels()).to(device)
        self._total = torch.zeros((), device=device)
        self._loss = partial(loss_of, job.activation)
        self._probabilities = partial(probabilities_of, job.activation)
        if compiled:
            torch.compiler.reset()  # or it gives up after so many shapes
            mode = "default" if device == "cpu" else "reduce-overhead"
            self._loss, self._probabilities = (
                torch.compile(function, fullgraph=True, dynamic=False, mode=mode)
                for function in (self._loss, self._probabilities)
            )
        torch.manual_seed(0)

    def start(self, *, shuffle: bool, steps: int | None = None) -> None:
        super().start(shuffle=shuffle, steps=steps)
        self._begin()

    def _begin(self) -> None:
        """Have the initial parameters, and an optimizer without a past."""
        self._parameters = [w.clone().requires_grad_() for w in self._initial]
        settings = {"lr": self.job.learning_rate, "fused": True}
        if self.job.optimizer == "adam":  # PyTorch's default betas and epsilon are the job's
            settings["capturable"] = self._captured
            self._optimizer: Any = torch.optim.Adam(self._parameters, **settings)
        else:
            self._optimizer = torch.optim.SGD(self._parameters, **settings)

    def epoch(self) -> float:
        batch, device = self.job.batch, self._inputs.device
        self._total.zero_()
        order = (torch.randperm if self.shuffle else torch.arange)(self.count, device=device)
        for begin in range(0, self.count, batch):
            self._step(order[begin : begin + batch])
        return float(self._total) * batch / self.count

    def _step(self, rows: Any) -> None:
        """Take a step on the examples of rows (batch,), and add its loss to the total."""
        x, labels = self._inputs.index_select(0, rows), self._labels.index_select(0, rows)
        loss = self._loss(self._parameters, x, labels)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._total += loss.detach()

    def predict(self, batches: list[Any]) -> list[Any]:
        with torch.inference_mode():
            parts = [self._probabilities(self._parameters, x) for x in batches]
            return [part.cpu().numpy() for part in parts]


class PyTorchGraph(PyTorch):
    """PyTorch whose training step, with its batch and its update, is a `torch.cuda.CUDAGraph`.

    As its notes on CUDA graphs capture a whole network; the rows of the batch are the only argument
    of the graph.  Predictions are eager.
    """

    _captured = True

    def __init__(self, job: Job, device: str = "cuda") -> None:
        super().__init__(job, device)
        super()._begin()
        self._rows = torch.arange(job.batch, device=device)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                super()._step(self._rows)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            super()._step(self._rows)

    def _begin(self) -> None:
        with torch.no_grad():
            for w, initial in zip(self._parameters, self._initial, strict=True):
                w.copy_(initial)
            for slots in self._optimizer.state.values():
                for array in slots.values():
                    array.zero_()

    def _step(self, rows: Any) -> None:
        self._rows.copy_(rows)
        self._graph.replay()
