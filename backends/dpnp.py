"""dpnp, Intel's array library for SYCL devices: its GPUs, and processors by its OpenCL runtime.

An array belongs to a queue of its device, and dpnp refuses operations on arrays of two queues: the
backend's arrays belong to the queue that dpnp itself takes for the device.

On a processor, MKL's functions wait for earlier operations while they hold Python's lock, for which
SYCL's threads wait when they let go of the arrays of these operations: dpnp 0.20 hangs within
seconds unless there are threads enough.  Pull request 2850 of IntelPython/dpnp mends one such call.
"""

import os
import re
from collections.abc import Callable
from functools import partial

import dpctl
import dpctl.utils
import dpnp
from dpnp.exceptions import USMAllocationError
from dpnp.scipy import special

from pluggable_mlp.arrays import Array
from pluggable_mlp.arrays.shortcuts import offer

from .contract import BackendUnavailable
from .host import in_words, with_free_memory
from .transfer import ArrayLibrary

_THREADS = "SYCL_QUEUE_THREAD_POOL_SIZE"
_ENOUGH = 64
_INSTALL = (
    "install Intel's driver of the GPU, or, to compute on the processor, pip install "
    "'pluggable-mlp[dpnp-cpu]' and set OCL_ICD_FILENAMES to lib/libintelocl.so in this environment "
    f"and {_THREADS} to {_ENOUGH}"
)


class DpnpBackend(ArrayLibrary):
    """dpnp arrays on a SYCL device: "gpu", "gpu:1", "cpu", "level_zero:gpu:0" or the like.

    By default it is the device that SYCL ranks first, a GPU if there is one.  Devices without
    float64, such as Arc and integrated GPUs, train natively in float32.
    """

    name = "dpnp"
    xp = dpnp
    queued = True

    def __init__(self, device: str | None = None) -> None:
        if not re.fullmatch(r"(?:[a-z_]+:)?(?:cpu|gpu|accelerator)(?::\d+)?", device or "cpu"):
            raise ValueError(
                f"device is {device!r}: expected a kind of SYCL device and a number, as 'gpu:0'"
            )
        devices = self.devices()
        try:
            self._device = dpnp.empty(0, device=device).device
        except dpctl.SyclDeviceCreationError:
            raise BackendUnavailable(
                self.name,
                f"there is no SYCL device {device}: dpnp finds {', '.join(devices)}",
                f"choose one of these, or {_INSTALL}",
            ) from None
        threads = os.environ.get(_THREADS, "")
        enough = threads.isdecimal() and int(threads) >= _ENOUGH
        if self._device.sycl_device.is_cpu and not enough:
            raise BackendUnavailable(
                self.name,
                f"on a processor, dpnp {dpnp.__version__} hangs where SYCL has few threads: "
                f"{_THREADS} is {threads!r}",
                f"set it to {_ENOUGH} before dpnp computes",
            )

    @property
    def device(self) -> str:
        """See `Backend.device`: the name that SYCL's device selectors take."""
        return str(self._device.sycl_device.filter_string)

    @property
    def missing_dtypes(self) -> tuple[str, ...]:
        """See `Abilities.missing_dtypes`."""
        return () if self._device.sycl_device.has_aspect_fp64 else ("float64", "complex128")

    def _upload(self, host: Array) -> Array:
        return dpnp.asarray(host, device=self._device)

    def _download(self, array: Array) -> Array:
        return dpnp.asnumpy(array)

    def synchronize(self) -> None:
        """Wait for the device's queue."""
        self._device.wait()

    def versions(self) -> dict[str, str]:
        """Return the versions of dpnp and of the device's driver, which compiles its kernels."""
        return {"dpnp": dpnp.__version__, "driver": self._device.sycl_device.driver_version}

    @classmethod
    def out_of_memory(cls, error: Exception) -> str | None:
        """See `Abilities.out_of_memory`; the free memory is that of the default device."""
        if not isinstance(error, USMAllocationError):
            return None
        device = dpctl.select_default_device()
        if device.is_cpu:
            return with_free_memory(error)
        free = dpctl.utils.intel_device_info(device).get("free_memory")
        known = "an unknown part" if free is None else in_words(free)
        return f"{error}; {known} of {in_words(device.global_mem_size)} on the device are free"

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """See `Backend.devices`."""
        found = tuple(device.filter_string for device in dpctl.get_devices())
        if not found:
            reason = f"dpnp {dpnp.__version__} finds no SYCL device"
            raise BackendUnavailable(cls.name, reason, _INSTALL)
        return found


_WITHOUT_VIEWS_BACKWARDS: dict[str, Callable[..., Array]] = {
    "asarray": partial(dpnp.asarray, order="C"),
    "flip": lambda x, **axis: dpnp.asarray(dpnp.flip(x, **axis), order="C"),
}
"""`dpnp.where` of a mask, a view with negative strides and a number reads other memory (0.20)."""


def _zero_below(x: Array, threshold: float) -> Array:
    # Three launches in place of five.
    return dpnp.where(dpnp.abs(x) < threshold, 0.0, x)


def _standard_function(name: str) -> Callable[..., Array]:
    return _WITHOUT_VIEWS_BACKWARDS.get(name) or getattr(dpnp, name)


offer(
    dpnp,
    backend_at=DpnpBackend._at,
    erf=special.erf,
    standard_function=_standard_function,
    zero_below=_zero_below,
)
