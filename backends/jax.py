"""JAX, on the processor, a GPU or a TPU; operation by operation, or compiled on request."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from importlib.metadata import version
from operator import attrgetter

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import special

from pluggable_mlp.arrays import device_of
from pluggable_mlp.arrays.shortcuts import offer

from .contract import BackendUnavailable
from .host import in_words, keep_freed_blocks, with_free_memory
from .jax_compile import CompiledFunction, RecognizingFunction, compiled_loop, settings_context
from .jax_exact import exact_jit, is_exact_on
from .tape import Function, Tree
from .transfer import ArrayLibrary, HostArray


def _zeros_like(x: jax.Array) -> jax.Array:
    # On a given device, jnp.zeros_like takes 0.2 ms; without its operand, the device is another.
    # Arrays on several devices have a sharding, and those of a function being compiled have none.
    is_single = isinstance(device_of(x), jax.Device)
    return _compiled_zeros_like(x) if is_single else jnp.zeros_like(x)


_compiled_zeros_like = jax.jit(jnp.zeros_like, keep_unused=True)


_SETTINGS: tuple[tuple[str, Callable[[object], bool], object, str], ...] = (
    ("jax_enable_x64", bool, True, "JAX makes float32 of float64"),
    (
        "jax_default_matmul_precision",
        lambda value: value not in jax.lax.DotAlgorithmPreset.__members__,
        "highest",
        "such an algorithm rounds the entries of products, of float64, too",
    ),
    (
        "jax_numpy_dtype_promotion",
        lambda value: value == "standard",
        "standard",
        "JAX then refuses what the array API standard promotes",
    ),
    (
        "jax_numpy_rank_promotion",
        lambda value: value != "raise",
        "allow",
        "JAX then refuses what the array API standard broadcasts",
    ),
)
"""The settings: name, test of a value, a value that passes, and what JAX does under others."""

_settings_of = attrgetter(*(name for name, *_ in _SETTINGS))


def require_settings() -> None:
    """Raise unless all settings fit, in this process and in this context.

    Raises
    ------
    BackendUnavailable
        The message names the setting, its value and how to set it.
    """
    for (name, fits, fitting, reason), setting in zip(
        _SETTINGS, _settings_of(jax.config), strict=True
    ):
        value = getattr(setting, "value", setting)  # some are members of an Enum
        if not fits(value):
            raise BackendUnavailable(
                "jax",
                f"{name} is {value!r}, and {reason}",
                f"set it by jax.config.update({name!r}, {fitting!r})",
            )


_OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"  # XLA's code
_INSTALL = "install JAX for your device (https://docs.jax.dev/en/latest/installation.html)"


class JaxBackend(ArrayLibrary):
    """JAX arrays on "cpu", "gpu", "cuda:1" or the like; by default on JAX's first device.

    Its context sets two settings of JAX for the calling thread:

    - `jax_enable_x64` is on.  JAX would otherwise convert every float64 array to float32 and every
      int64 array to int32.
    - `jax_default_matmul_precision` is "highest" if it is not set.  JAX would otherwise round the
      entries of float32 products to TF32 on NVIDIA GPUs since Ampere, and to bfloat16 on TPUs.  On
      the processor it changes nothing.

    `require_settings` refuses other settings that change results or prevent them.
    """

    name = "jax"
    traces = False  # it compiles
    xp = jnp
    queued = True

    def __init__(self, device: str | None = None) -> None:
        with self.context():
            require_settings()
        platform, _, index = (device or "").partition(":")
        if not (index or "0").isdecimal():
            raise ValueError(f"device is {device!r}: expected a platform and a number, as 'gpu:0'")
        remedy = f"choose one of {', '.join(self.devices())}, or {_INSTALL}"
        try:
            devices = jax.devices(platform or None)
        except RuntimeError as error:
            raise BackendUnavailable(self.name, f"no {device}: {error}", remedy) from error
        if int(index or 0) >= len(devices):
            reason = f"there is no {device}: JAX finds {len(devices)} of that platform"
            raise BackendUnavailable(self.name, reason, remedy)
        self._device = devices[int(index or 0)]
        if self._device.platform == "cpu":
            keep_freed_blocks()

    @property
    def device(self) -> str:
        """See `Backend.device`."""
        return _text(self._device)

    def context(self) -> AbstractContextManager[object]:
        """See `Abilities.context`: 64-bit types, and products that are not rounded before."""
        return settings_context()

    def _upload(self, host: HostArray) -> jax.Array:
        with self.context():
            return jax.device_put(host, self._device)

    def _download(self, array: jax.Array) -> HostArray:
        return np.asarray(array)

    def synchronize(self) -> None:
        """Wait for every live array on this platform, since JAX can only wait for arrays."""
        jax.block_until_ready(jax.live_arrays(self._device.platform))

    def compile(
        self,
        function: Function,
        used_up: tuple[int, ...] = (),
        *,
        exact: bool = False,
        most: int = 1,
    ) -> Function | None:
        """See `Abilities.compile`: XLA combines many calls of some microseconds into one.

        Loops are `jax.lax.fori_loop`, compiled once for all counts.  The result is None, after a
        warning, if a trial on this device shows that exact compilation changes bits.
        """
        if exact:
            is_single = isinstance(self._device, jax.Device)  # arrays on several have a sharding
            with self.context():
                possible = most == 1 and is_single and is_exact_on(self._device)
            return CompiledFunction(function, used_up, exact_jit) if possible else None
        if most > 1:
            return compiled_loop(function, used_up, most)
        if used_up:
            return CompiledFunction(function, used_up)
        # Other arguments, such as the parameters of predictions, may come again.
        return RecognizingFunction(partial(_with_settings_checked, function))

    def versions(self) -> dict[str, str]:
        """See `Backend.versions`."""
        return {"jax": jax.__version__, "jaxlib": version("jaxlib")}

    @classmethod
    def out_of_memory(cls, error: Exception) -> str | None:
        """See `Abilities.out_of_memory`; the free memory is that of JAX's first device."""
        message = str(error)
        if not (isinstance(error, jax.errors.JaxRuntimeError) and _OUT_OF_MEMORY in message):
            return None
        first = message.splitlines()[0].rstrip(".")
        statistics = jax.devices()[0].memory_stats()  # None on the processor
        if statistics is None:
            return with_free_memory(first)
        total, used = statistics["bytes_limit"], statistics["bytes_in_use"]
        return f"{first}; {in_words(total - used)} of {in_words(total)} on the device are free"

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """Return the devices of JAX's default platform, and the processor."""
        try:
            devices = jax.devices()
        except RuntimeError as error:
            raise BackendUnavailable(cls.name, str(error), _INSTALL) from error
        with suppress(RuntimeError):  # JAX_PLATFORMS may leave the processor out
            devices = [*devices, *jax.devices("cpu")]
        return tuple(dict.fromkeys(map(_text, devices)))


def _text(device: jax.Device) -> str:
    """Return the text of a JAX device that `JaxBackend` takes: "cpu:0"."""
    return f"{device.platform}:{device.id}"


def _with_settings_checked(function: Function, *arguments: Tree) -> Tree:
    require_settings()  # whenever it is traced: JAX traces anew if one of them changes
    return function(*arguments)


offer(
    jnp,
    backend_at=JaxBackend._at,
    check_process=require_settings,
    compiles_operations=True,
    erf=special.erf,
    mean=jnp.mean,
    rows_from=jax.lax.dynamic_slice_in_dim,  # even if the start is traced
    sigmoid=jax.nn.sigmoid,  # which XLA joins to the product before it
    # by default it also asks whether indices are out of range
    take_rows=partial(jnp.take, axis=0, mode="clip"),
    times_transposed=partial(jnp.einsum, "...ik,...jk->...ij"),
    # Three calls, not five.
    zero_below=lambda x, threshold: jnp.where(jnp.abs(x) < threshold, 0.0, x),
    zeros_like=_zeros_like,
)
