"""Idiomatic PyTorch: tensors on the device, fused optimizers, no loader; also as a CUDA graph.

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

__all__ = ["PyTorch", "PyTorchGraph"]

_WARM_UP = 3  # steps before a capture, as PyTorch's notes on CUDA graphs have it


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

    _captured = False

    def __init__(self, job: Job, device: str, compiled: bool = False) -> None:
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
        self._begin()

    def _begin(self) -> None:
        """Have the initial parameters, and an optimizer without a past."""
        job = self.job
        self._parameters = [w.clone().requires_grad_() for w in self._initial]
        if job.optimizer == "sgd":
            self._optimizer: Any = torch.optim.SGD(
                self._parameters, lr=job.learning_rate, fused=True
            )
        else:
            betas = (ADAM["beta1"], ADAM["beta2"])
            self._optimizer = torch.optim.Adam(
                self._parameters,
                job.learning_rate,
                betas,
                ADAM["epsilon"],
                fused=True,
                capturable=self._captured,
            )

    def epoch(self) -> float:
        batch, device = self.job.batch, self._inputs.device
        total = torch.zeros((), device=device)
        order = torch.randperm(self.count, device=device) if self.shuffle else None
        for begin in range(0, self.count, batch):
            if order is None:
                x, labels = (a[begin : begin + batch] for a in (self._inputs, self._labels))
            else:
                x, labels = self._gathered(order[begin : begin + batch])
            total += self._step(x, labels)
        return float(total) * batch / self.count

    def _gathered(self, rows: Any) -> tuple[Any, Any]:
        """Return the inputs and the labels of rows (batch,)."""
        return self._inputs.index_select(0, rows), self._labels.index_select(0, rows)

    def _step(self, x: Any, labels: Any) -> Any:
        """Take a step, and return the loss before it."""
        loss = self._loss(self._parameters, x, labels)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        return loss.detach()

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
        self._total = torch.zeros((), device=device)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                self._whole_step()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._whole_step()

    def _whole_step(self) -> None:
        self._total += self._step(*self._gathered(self._rows))

    def _begin(self) -> None:
        with torch.no_grad():
            for w, initial in zip(self._parameters, self._initial, strict=True):
                w.copy_(initial)
            for slots in self._optimizer.state.values():
                for array in slots.values():
                    array.zero_()

    def epoch(self) -> float:
        batch, device = self.job.batch, self._inputs.device
        self._total.zero_()
        order = (torch.randperm if self.shuffle else torch.arange)(self.count, device=device)
        for begin in range(0, self.count, batch):
            self._rows.copy_(order[begin : begin + batch])
            self._graph.replay()
        return float(self._total) * batch / self.count
