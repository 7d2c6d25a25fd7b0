"""The CuPy backend, for NVIDIA GPUs; it can be imported without a GPU."""

import os
import re
from contextlib import AbstractContextManager
from functools import partial

import array_api_compat.cupy
import cupy
from cupyx.scipy import special

from pluggable_mlp.arrays import Array
from pluggable_mlp.arrays.shortcuts import offer

from .contract import BackendUnavailable
from .cupy_kernels import tree_sum
from .cupy_tracing import in_one_kernel, zero_below
from .host import in_words
from .transfer import ArrayLibrary

_OUT_OF_MEMORY = "out.of.memory|alloc_failed"
_MOST_STAGED = 2**26  # bytes


class CupyBackend(ArrayLibrary):
    """CuPy arrays on the CUDA device "0" (the default), "1" or "cuda:1".

    CuPy computes on the *current* device of the calling thread, wherever the operands are: if they
    are on another, elementwise operations fail or warn, and matrix products fail inside CUDA
    (cupy issue 1389).  The backend's context makes its device the current one.
    """

    name = "cupy"
    traces = False  # untried on a GPU
    xp = array_api_compat.cupy
    queued = True

    def __init__(self, device: str | None = None) -> None:
        match = re.fullmatch(r"(?:cuda:)?([0-9]+)", device or "0")
        if match is None:
            raise ValueError(f"device is {device!r}: expected the number of a GPU, as '0'")
        index, devices = int(match[1]), self.devices()
        if index >= len(devices):
            raise BackendUnavailable(
                self.name,
                f"there is no CUDA device {index}: this machine has {len(devices)}",
                f"choose one of {', '.join(devices)}",
            )
        self._device = cupy.cuda.Device(index)
        try:
            with self._device:  # which creates CUDA's context and takes memory
                pass
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise BackendUnavailable(
                self.name,
                f"{self.device} cannot be used: CUDA says {error}",
                "it may be full, or in exclusive mode and in use: nvidia-smi shows both",
            ) from None

    @property
    def device(self) -> str:
        """See `Backend.device`."""
        return f"cuda:{self._device.id}"

    def context(self) -> AbstractContextManager[object]:
        """See `Abilities.context`: the device is the thread's current one."""
        device: AbstractContextManager[object] = self._device
        return device

    def _upload(self, host: Array) -> Array:
        with self._device:
            return self._uploaded(host)

    def _uploaded(self, host: Array) -> Array:
        # `cupy.asarray` copies by way of pinned memory: it does not wait, but takes a power of two
        # of bytes, which are never given back.
        if host.nbytes <= _MOST_STAGED:
            return cupy.asarray(host)
        by_columns = host.flags.f_contiguous and not host.flags.c_contiguous
        array = cupy.empty(host.shape, host.dtype, order="F" if by_columns else "C")
        array.set(host)
        return array

    def _download(self, array: Array) -> Array:
        with self._device:  # first gathers a non-contiguous array in a kernel
            return cupy.asnumpy(array)

    def synchronize(self) -> None:
        """Wait for every stream of this device."""
        self._device.synchronize()

    def versions(self) -> dict[str, str]:
        """Return the versions of CuPy and CUDA.

        The runtime is the one within CuPy; NVRTC, which compiles its kernels, and cuBLAS are the
        installed ones.
        """
        runtime = cupy.cuda.runtime
        numbers = {"cuda": runtime.runtimeGetVersion(), "cuda driver": runtime.driverGetVersion()}
        cuda = {name: f"{n // 1000}.{n % 1000 // 10}" for name, n in numbers.items()}
        with self._device:
            n = cupy.cuda.cublas.getVersion(cupy.cuda.device.get_cublas_handle())
        return {
            "cupy": cupy.__version__,
            **cuda,
            "nvrtc": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
            "cublas": f"{n // 10000}.{n % 10000 // 100}.{n % 100}",
        }

    @classmethod
    def out_of_memory(cls, error: Exception) -> str | None:
        """See `Abilities.out_of_memory`; the free memory is that of the current device."""
        runtime = cupy.cuda.runtime
        ours = type(error).__module__.startswith("cupy")  # and cupy_backends: CUDA's and cuBLAS's
        if not (ours and re.search(_OUT_OF_MEMORY, str(error), re.IGNORECASE)):
            return None
        try:
            free, total = runtime.memGetInfo()
        except runtime.CUDARuntimeError:
            return str(error)
        return (
            f"{str(error).rstrip('.')}; {in_words(free)} of {in_words(total)} on the GPU are free"
        )

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """See `Backend.devices`."""
        _refuse_shared_memory()
        try:
            count = cupy.cuda.runtime.getDeviceCount()
            reason = "CUDA finds no GPU"
        except cupy.cuda.runtime.CUDARuntimeError as error:
            count, reason = 0, f"CUDA says {error}"
        if not count:
            raise BackendUnavailable(
                cls.name,
                f"CuPy {cupy.__version__} finds no GPU that it can use: {reason}",
                "it takes an NVIDIA GPU and a driver at least as new as CuPy's CUDA "
                "(nvidia-smi shows both); or choose another backend, such as numpy",
            )
        _need_libraries()
        return tuple(f"cuda:{index}" for index in range(count))


def _refuse_shared_memory() -> None:
    """Raise BackendUnavailable if arrays share the host's memory, as in cupy/_core/core.pyx."""
    value = os.environ.get("CUPY_ENABLE_UMP", "0")
    if value != "0":
        raise BackendUnavailable(
            CupyBackend.name,
            f"CUPY_ENABLE_UMP={value} makes arrays of CuPy share their memory with the host's",
            "unset it before Python starts",
        )


def _need_libraries() -> None:
    """Raise BackendUnavailable if CuPy, whose wheels lack CUDA's libraries, does not find them."""
    try:
        cupy.cuda.nvrtc.getVersion()
        _ = cupy.cuda.cublas  # which loads it
    except (ImportError, RuntimeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BackendUnavailable(
            CupyBackend.name,
            f"CuPy {cupy.__version__} does not find CUDA's libraries: {first}",
            "python -m pip install 'cupy-cuda13x[ctk]', or cupy-cuda12x[ctk]",
        ) from None


def _affine(x: Array, W: Array, b: Array) -> Array:
    y = cupy.matmul(x, W)
    y += b if b.ndim == 1 else b[..., None, :]
    return y


# One kernel each, and NaN stays: `_clip` in cupy/_core/_routines_math.pyx, `sign` in _math/misc.py.
offer(
    array_api_compat.cupy,
    affine=_affine,
    backend_at=CupyBackend._at,
    clip=cupy.clip,
    entries=cupy.take,
    erf=special.erf,
    in_one_kernel=in_one_kernel,
    mean=cupy.mean,
    sign=cupy.sign,
    tree_sum=tree_sum,
    zero_below=partial(in_one_kernel, zero_below),
)
