"""PyTorch, on the processor or on any device that the installed build supports."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import array_api_compat.torch
import numpy as np
import torch

from pluggable_mlp.arrays import Array, by_columns
from pluggable_mlp.arrays.shortcuts import offer

from .contract import BackendUnavailable
from .host import keep_freed_blocks, with_free_memory
from .tape import Function
from .torch_compile import CompiledFunction, GraphFunction
from .torch_tracing import TracedTorchFunction
from .transfer import ArrayLibrary

_DENSITY_AT_0 = 1.0 / math.sqrt(2.0 * math.pi)  # of the normal distribution
# In messages of plain RuntimeErrors, from the host's allocator, cuBLAS and CUDA.
_OUT_OF_MEMORY = ("can't allocate memory", "STATUS_ALLOC_FAILED", "CUDA error: out of memory")


def _take_rows(x: Array, indices: Array) -> Array:
    return torch.index_select(x, 0, indices)  # array-api-compat looks for negative indices first


def _rows_from(x: Array, start: int | Array, size: int) -> Array:
    if not isinstance(start, torch.Tensor):
        return x[start : start + size]
    # A slice would read the start's value.
    return torch.index_select(x, 0, start + torch.arange(size, device=x.device))


def _affine(x: Array, W: Array, b: Array) -> Array:
    if x.ndim > 2 or W.ndim > 2:
        return torch.matmul(x, W).add_(b if b.ndim == 1 else b.unsqueeze(-2))
    return torch.addmm(b, x, W)


def _zero_below(x: Array, threshold: float) -> Array:
    # All magnitudes up to the number before the threshold become +0, in one operation.
    before = np.nextafter(np.asarray(threshold, str(x.dtype).removeprefix("torch.")), 0.0)
    return torch.nn.functional.hardshrink(x, float(before))


def _transposed_times(a: Array, b: Array) -> Array:
    if a.is_cpu and by_columns(*b.shape[-2:]):  # the transpose takes down to a third of the time
        return torch.matmul(b.mT, a).mT.contiguous()
    return torch.matmul(a.mT, b)


class TorchBackend(ArrayLibrary):
    """PyTorch tensors on "cpu" (the default), "cuda", "cuda:1" or another device of PyTorch.

    Its automatic differentiation is not used.
    """

    name = "torch"
    xp = array_api_compat.torch
    _traced_function = TracedTorchFunction

    def __init__(self, device: str | None = None) -> None:
        try:
            requested = torch.device("cpu" if device is None else device)
        except RuntimeError as error:
            raise ValueError(f"device is {device!r}: {_first_sentence(error)}") from error
        if requested.type == "cuda":
            self._require_cuda(requested.index or 0)
        try:
            self._device = torch.empty(0, device=requested).device  # with its index
        except (AssertionError, NotImplementedError, RuntimeError) as error:
            raise BackendUnavailable(
                self.name,
                f"{requested} does not work with PyTorch {torch.__version__}: "
                f"{_first_sentence(error)}",
                f"choose one of {', '.join(self.devices())}",
            ) from error
        if self.device == "cpu":
            keep_freed_blocks()

    def _require_cuda(self, index: int) -> None:
        """Raise unless CUDA works and has a device of this index; quote PyTorch's message."""
        try:
            torch.cuda.init()
        except (AssertionError, RuntimeError) as error:
            raise BackendUnavailable(
                self.name,
                f"PyTorch {torch.__version__} cannot use CUDA: {_first_sentence(error)}",
                "install an NVIDIA driver and a build of PyTorch for its CUDA version "
                "(https://pytorch.org/get-started/locally), or choose torch:cpu",
            ) from error
        if index >= torch.cuda.device_count():
            raise BackendUnavailable(
                self.name,
                f"there is no CUDA device {index}: PyTorch finds {torch.cuda.device_count()}",
                f"choose one of {', '.join(self.devices())}",
            )

    @property
    def queued(self) -> bool:
        """See `Abilities.queued`: true for all devices except the processor."""
        return bool(self._device.type != "cpu")

    @property
    def missing_dtypes(self) -> tuple[str, ...]:
        """See `Abilities.missing_dtypes`: Apple's GPUs lack float64, and some of Intel's."""
        has_float64 = self._device.type != "mps"
        if self._device.type == "xpu":
            has_float64 = torch.xpu.get_device_properties(self._device).has_fp64
        return () if has_float64 else ("float64", "complex128")

    def _upload(self, host: Array) -> Array:
        # PyTorch takes no negative strides, and warns of memory that is not writable.
        return torch.asarray(np.require(host, requirements=["C", "W"]), device=self._device)

    def _download(self, array: Array) -> Array:
        return array.numpy(force=True)

    def synchronize(self) -> None:
        """Wait for the device; on the CPU, operations are complete when they return."""
        if self._device.type != "cpu":
            torch.accelerator.synchronize(self._device)

    def compile(
        self,
        function: Function,
        used_up: tuple[int, ...] = (),
        *,
        exact: bool = False,
        most: int = 1,
    ) -> Function | None:
        """See `Abilities.compile`: functions are traced, which changes no bit.

        Training steps, which use up their state, are compiled by `torch.compile` on devices other
        than the processor, where it would save some 80 microseconds a step and take 5 seconds or
        more to start for each shape of a batch.  On CUDA, PyTorch repeats them by graphs.
        """
        if most > 1 or exact or not used_up or self.device == "cpu":
            return super().compile(function, used_up, exact=exact, most=most)
        if self._device.type == "cuda":
            return GraphFunction(function, used_up)
        return CompiledFunction(function)

    def versions(self) -> dict[str, str]:
        """See `Backend.versions`."""
        cuda = {} if torch.version.cuda is None else {"cuda": torch.version.cuda}
        return {"torch": torch.__version__, **cuda}

    @classmethod
    def out_of_memory(cls, error: Exception) -> str | None:
        """See `Abilities.out_of_memory`: on a GPU PyTorch itself reports the free memory."""
        message = str(error)
        if isinstance(error, torch.OutOfMemoryError):
            return ". ".join(message.split(". ")[:3])  # the rest is advice on fragments
        if isinstance(error, RuntimeError) and any(words in message for words in _OUT_OF_MEMORY):
            return with_free_memory(message.splitlines()[0].rpartition("DefaultCPUAllocator: ")[2])
        return None

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """Return "cpu" and the devices of the kind that PyTorch was built for, as "cuda:0"."""
        kind = torch.accelerator.current_accelerator()
        count = 0 if kind is None else torch.get_device_module(kind).device_count()
        return ("cpu", *(f"{kind}:{index}" for index in range(count)))


def _update(rule: Any, *columns: Sequence[Array], in_place: bool) -> Sequence[Sequence[Array]]:
    """See the `updater` of `shortcuts.offer`: PyTorch's fused Adam, which writes in place."""
    if rule.kernel != "adam" or not columns[0]:
        return rule.each_array(*columns)
    # It walks through memory: an element's place there must be the same in all four.
    w, g, m, v = ([array.contiguous() for array in column] for column in columns)
    if not in_place:
        w, m, v = ([array.clone() for array in column] for column in (w, m, v))
    for array, decay in zip(w, rule.decay, strict=True):
        if decay is not None:
            array.mul_(decay)
    # The kernel of `torch.optim.Adam(fused=True)`, which takes the corrections of the bias from
    # the count of updates; they are in the rule's rate and epsilon, and at infinity they are 1.
    counts = [torch.tensor(math.inf, device=w[0].device)] * len(w)
    torch._fused_adam_(
        w,
        g,
        m,
        v,
        [],
        counts,
        lr=rule.numbers["rate"],
        beta1=rule.numbers["beta1"],
        beta2=rule.numbers["beta2"],
        weight_decay=0.0,
        eps=rule.numbers["epsilon"],
        amsgrad=False,
        maximize=False,
    )
    return w, m, v


def _first_sentence(error: Exception) -> str:
    """Return the first sentence of PyTorch's message, without the advice that follows."""
    return str(error).splitlines()[0].split(". ")[0]


def _elu(x: Array, alpha: float, scale: float) -> tuple[Array, Function]:
    y = torch._C._nn.elu(x, alpha, scale)  # that of torch.nn.functional, which has no scale
    return y, lambda dy: torch.ops.aten.elu_backward(dy, alpha, scale, 1.0, False, x)


# Not torch's gelu and its gradient: on the processor they are oneDNN's, whose error function is off
# by 4 units in the last place of 1, beyond the bounds of `compare`.
def _gelu(x: Array) -> tuple[Array, Function]:
    # (1 + erf) / 2 in one operation
    distribution = torch.rsub(torch.erf(x * math.sqrt(0.5)), 0.5, alpha=-0.5)

    def backward(dy: Array) -> Array:
        density = torch.exp(x * x * -0.5)
        return torch.addcmul(distribution, x, density, value=_DENSITY_AT_0) * dy

    return x * distribution, backward


# Not torch.relu, since libraries differ in the sign of the maximum of 0 and -0.
def _relu(x: Array) -> tuple[Array, Function]:
    y = torch.threshold(x, 0.0, 0.0)
    return y, lambda dy: torch.ops.aten.threshold_backward(dy, y, 0.0)


def _leaky_relu(x: Array, slope: float) -> tuple[Array, Function]:
    backward = torch.ops.aten.leaky_relu_backward
    return torch.nn.functional.leaky_relu(x, slope), lambda dy: backward(dy, x, slope, False)


# array-api-compat's matmul promotes first, which takes three times as long as a small product.
offer(
    array_api_compat.torch,
    backend_at=TorchBackend._at,
    affine=_affine,
    elu=_elu,
    erf=torch.erf,
    gelu=_gelu,
    leaky_relu=_leaky_relu,
    matmul=torch.matmul,
    mean=torch.mean,
    relu=_relu,
    take_rows=_take_rows,
    rows_from=_rows_from,
    rsqrt=torch.rsqrt,
    sigmoid=torch.sigmoid,
    softmax=partial(torch.softmax, dim=-1),
    transposed_times=_transposed_times,
    updater=lambda w: _update if w.is_cpu else None,  # on other devices, whole steps are compiled
    # That of array-api-compat is a product of matrices, in nine operations.
    vecdot=torch.linalg.vecdot,
    zero_below=_zero_below,
)
