"""`compare` on several processes: they agree with one, and what one of them leaves out is seen."""

import numpy as np
import pytest

from pluggable_mlp import MLP, PiecewiseLinear, TabM, get_backend, make_optimizer
from pluggable_mlp.consistency.compare import compare
from tests.distributed.threads import Member, on_threads

RNG = np.random.default_rng(3)
X, Y = RNG.standard_normal((50, 6)), RNG.integers(0, 3, 50)
NETWORK = MLP([6, 8, 3], norm="batch", dropout=0.2, activation="relu")


def reports(arithmetic, lossy=False, network=NETWORK, **settings):
    def compared(communicator):
        if lossy:
            communicator = LeavesOut(communicator)
        backends = [get_backend("numpy")] * 2
        return compare(
            backends, network, X, Y, arithmetic=arithmetic, steps=3,
            optimizer=make_optimizer("adam"), class_weight="balanced",
            communicator=communicator, **{"batch_size": 20, **settings},
        )  # fmt: skip

    return on_threads(3, compared)


class LeavesOut:
    """A communicator whose sums lack the part of the last process."""

    def __init__(self, member: Member) -> None:
        self.rank, self.size, self.all_gather = member.rank, member.size, member.all_gather
        self._member = member

    def all_reduce(self, x, operation, *, backend):
        """Return the sum of the others, of floats."""
        if operation == "sum" and x.dtype.kind == "f" and self.rank == self.size - 1:
            x = x * 0
        return self._member.all_reduce(x, operation, backend=backend)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_native_processes_are_within_the_bounds_around_one(dtype):
    found = reports("native", dtype=dtype)
    assert all(report.passes for report in found)
    assert found[1:] == found[:-1]
    assert found[0].backends == ("numpy", "numpy on 3 processes")
    checks = {(one.check, one.dtype) for one in found[0].agreements}
    assert checks == {("layer by layer", dtype), ("whole step", dtype), ("whole step", "float64")}
    seen = {one.tensor for one in found[0].agreements if one.check == "layer by layer"}
    assert {"layer 1 dW", "layer 2 running_mean", "layer 3 W", "loss", "dz"} <= seen


def test_members_and_embeddings_are_within_the_bounds():
    embedding, ensemble = PiecewiseLinear([[-1.0, 0.0, 1.0]] * 2), TabM(2, own_batches=True)
    network = MLP([6, 5, 3], ensemble=ensemble, embedding=embedding)
    for report in reports("native", network=network, batch_size=49):  # 49 examples, then one
        assert report.passes
        seen = {one.tensor for one in report.agreements}
        assert {"interleaving 1 y", "layer 1 dembedding_V", "layer 2 dr"} <= seen


def test_reproducible_processes_have_the_bits_of_one():
    found = reports("reproducible")
    assert [(report.passes, report.differences) for report in found] == [(True, ())] * 3


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_a_part_that_is_left_out_is_seen(arithmetic):
    assert not any(report.passes for report in reports(arithmetic, lossy=True))
