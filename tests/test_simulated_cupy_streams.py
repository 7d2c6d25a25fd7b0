"""Streams and graphs of the simulated CuPy: what a capture does not allow, and what it forgets."""

import numpy as np
import pytest

from tests.simulated_cupy import counting, cupy, xp

pytestmark = pytest.mark.simulated_cupy

REFUSED = {
    "float()": (lambda x: float(x[0, 0]), "not permitted when stream is capturing"),
    "item()": (lambda x: x[0, 0].item(), "not permitted when stream is capturing"),
    "get()": (lambda x: x.get(), "not permitted when stream is capturing"),
    "a mask": (lambda x: x[x > 0.0], "not permitted when stream is capturing"),
    "synchronize()": (lambda x: cupy.cuda.Device().synchronize(), "not permitted"),
    "host data": (lambda x: cupy.asarray(np.ones(2)), "pinned memory"),
    "set()": (lambda x: x.set(np.ones((2, 2))), "pageable memory"),
    "cuBLAS": (lambda x: cupy.matmul(x, x), "calling cuBLAS API during stream capture"),
    "pointers": (lambda x: cupy.concatenate([x] * 9), "pointers"),
}


def captured(work):
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        kept = work()
        return stream.end_capture(), kept


@pytest.mark.parametrize("what", REFUSED)
def test_what_waits_or_comes_from_the_host_spoils_a_capture(what):
    refused, message = REFUSED[what]
    x, stream = cupy.asarray(np.eye(2)), cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        with pytest.raises((RuntimeError, NotImplementedError), match=message):
            refused(x)
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="Invalidated"):
            stream.end_capture()
        refused(x)  # afterwards it is allowed


def test_the_default_stream_cannot_be_captured():
    with pytest.raises(RuntimeError, match="default"):
        cupy.cuda.Stream.null.begin_capture()


def test_what_is_captured_is_not_done_and_a_graph_does_it_with_the_same_numbers_and_memory():
    x, total, rate = cupy.asarray(np.ones(2)), cupy.zeros(2), 2.0

    def work():
        y = x * rate
        total.__iadd__(y)
        return y

    with counting() as counts:
        graph, y = captured(work)
    assert not counts.launches
    assert np.isnan(y.get()).all()  # no value yet
    assert total.get().tolist() == [0.0, 0.0]
    rate = 5.0
    for count in (1, 2):
        with counting() as counts:
            graph.launch()
        assert counts.launches == {"graph": 1}
        assert total.get().tolist() == [2.0 * count] * 2
    x += 1.0
    graph.launch()
    assert y.get().tolist() == [4.0, 4.0]


def test_a_graph_does_not_keep_memory():
    x = cupy.asarray(np.ones(2))
    graph, kept = captured(lambda: (x * 2.0) + 1.0)
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="given back"):
        graph.launch()  # x * 2.0 was somewhere
    blocks = []

    def keep(size):
        blocks.append(cupy.cuda.MemoryPool().malloc(size))
        return blocks[-1]

    with cupy.cuda.using_allocator(keep):
        graph, kept = captured(lambda: (x * 2.0) + 1.0)
    graph.launch()
    assert kept.get().tolist() == [3.0, 3.0]
    assert xp.zeros(2).get().tolist() == [0.0, 0.0]
