"""The devices of the simulated CuPy: which is current, who may compute there, and their memory."""

import copy
import pickle
import threading

import numpy as np
import pytest

from pluggable_mlp.backends import get_backend
from tests.simulated_cupy import SimulatedCupyBackend, counting, cupy, xp

pytestmark = pytest.mark.simulated_cupy

CUPY = SimulatedCupyBackend()
POOL = cupy.get_default_memory_pool()


def array(data, dtype="float32"):
    return CUPY.asarray(data, dtype=dtype)


def on_the_second(data):
    second = get_backend("cupy:1")
    x = second.asarray(data)
    CUPY.asarray(0.0)  # the first is current again
    return x


@pytest.mark.parametrize(
    "kernel",
    [
        lambda x: x + 1.0,
        lambda x: -x,
        xp.sum,
        lambda x: xp.matmul(x, x),
        lambda x: x @ x,
        lambda x: xp.take(x, x, axis=0),
        lambda x: xp.concat([x, x]),
        lambda x: xp.where(x > 0, x, 0.0),
        lambda x: xp.astype(x, xp.int8),
        lambda x: x.__setitem__(0, 1.0),
        xp.unique_values,
    ],
)
def test_kernels_refuse_arrays_of_another_device_than_the_current_one(kernel):
    x = on_the_second([[1.0]])
    with pytest.raises(ValueError, match="array device = 1 while current = 0"):
        kernel(x)
    with x.device:
        kernel(xp.astype(x, xp.int64))


def test_views_and_reads_are_on_the_device_of_their_array():
    x = on_the_second([[1.0, 2.0]])
    for view in (x.T, x.mT, x[0], xp.reshape(x, (2, 1)), xp.expand_dims(x, axis=0)):
        assert view.device.id == 1
    assert float(x[0, 0]) == 1.0
    assert x.device != CUPY.asarray([1.0]).device


def test_each_thread_has_a_current_device():
    get_backend("cupy:1")
    devices = []
    thread = threading.Thread(target=lambda: devices.append(xp.zeros(1).device.id))
    thread.start()
    thread.join()
    assert devices == [0]
    assert xp.zeros(1).device.id == 1


def test_host_data_go_through_pinned_memory_of_the_next_power_of_two():
    with counting() as counts:
        xp.asarray(np.zeros(1000, "uint8"))
    assert counts.pinned == 1024
    with counting() as counts:
        xp.empty((1000,), dtype=xp.uint8).set(np.zeros(1000, "uint8"))
    assert counts.pinned == 0


def test_memory_is_that_of_the_arrays_that_live_in_blocks_of_512_bytes():
    before = POOL.used_bytes()
    x = array(np.zeros(129))
    view = x[:1]
    assert POOL.used_bytes() - before == 1024
    del x
    assert POOL.used_bytes() - before == 1024
    del view
    assert POOL.used_bytes() == before
    there = on_the_second([1.0])
    assert there.device.id == 1
    assert POOL.used_bytes() == before
    with there.device:
        assert POOL.used_bytes() >= 512


def test_more_than_the_limit_is_an_error_and_leaves_what_there_was():
    x = array(np.zeros(256))
    before = POOL.used_bytes()
    POOL.set_limit(before + 1024)
    y = x + 1.0
    with pytest.raises(cupy.cuda.memory.OutOfMemoryError) as caught:
        y + 1.0
    assert str(caught.value) == (
        f"Out of memory allocating 1,024 bytes (allocated so far: {before + 1024:,} bytes, "
        f"limit set to: {before + 1024:,} bytes)."
    )
    del y, caught
    assert (x + 1.0).shape == (256,)
    with cupy.cuda.Device(1):
        xp.zeros(2**20)  # of the other device
    with pytest.raises(cupy.cuda.memory.OutOfMemoryError, match="80,000,000,000,000,000 bytes"):
        xp.zeros((10**8, 10**8))


def test_what_is_read_is_gathered_on_the_device_first():
    x = array(np.ones((256, 2)))
    POOL.set_limit(POOL.used_bytes())
    assert x.get().shape == (256, 2)
    with pytest.raises(cupy.cuda.memory.OutOfMemoryError):
        x.mT.get()


def test_copies_are_made_on_the_current_device_and_deep_ones_where_the_array_is():
    x = on_the_second([[1.0, 2.0], [3.0, 4.0]])
    assert x.copy().device.id == copy.copy(x).device.id == 0
    assert copy.deepcopy(x).device.id == 1
    loaded = pickle.loads(pickle.dumps(x))
    assert (loaded.device.id, loaded.get().tolist()) == (0, x.get().tolist())
    assert x.mT.copy().strides == (16, 8)
