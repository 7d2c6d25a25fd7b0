"""Blocks of examples: each example once per epoch, the same order everywhere, read ahead."""

import threading
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, TabM, get_backend, train
from pluggable_mlp.arrays import map_nested
from pluggable_mlp.host.lazy import StoredArray
from pluggable_mlp.host.randomness import permutation
from pluggable_mlp.training import streaming as module
from pluggable_mlp.training.evaluation import evaluate
from pluggable_mlp.training.examples import make_examples
from pluggable_mlp.training.loop import epochs_of
from pluggable_mlp.training.streaming import blocks_in_order, seeded_order
from tests.distributed.threads import on_threads
from tests.training.loops import training

NUMPY = get_backend("numpy")
COUNT, BATCH, BLOCK = 300, 4, 80
MLP_OF_NUMBERS = MLP([2, 1], loss="squared_error")


def numbered(count=COUNT):
    """Inputs that say which example they are, and the same as targets."""
    x = np.stack([np.arange(count), -np.arange(count)], axis=1).astype(np.float64)
    return x, np.arange(count, dtype=np.float64)


def streamed(backend, count=COUNT, block_size=BLOCK, **settings):
    settings |= {"backend": backend, "dtype": "float64", "block_size": block_size}
    return make_examples(MLP_OF_NUMBERS, *numbered(count), **settings)


def order_of(backend, examples, epochs=1, first=(1, 0), shuffle=True, seed=3):
    """The examples of each block in the order of their visit, of all epochs."""
    found = []
    order = seeded_order(seed if shuffle else None)
    for drawn in order(examples, first, epochs, BATCH):
        block = replace(drawn, order=map_nested(backend.asarray, drawn.order))
        batches = (block.batch(backend.xp, start, BATCH) for start in range(0, len(block), BATCH))
        parts = [(backend.to_numpy(x), backend.to_numpy(y)) for x, y, _ in batches]
        for x, y in parts:  # inputs stay with their targets
            assert x[:, 0].tolist() == y.ravel().tolist() == (-x[:, 1]).tolist()
        found.append([int(n) for x, _ in parts for n in x[:, 0]])
    return found


def test_every_example_is_visited_once_per_epoch_in_a_new_order(backend):
    blocks = order_of(backend, streamed(backend), epochs=3)
    assert [len(block) for block in blocks] == [80, 80, 80, 60] * 3
    epochs = [[*chain(*blocks[k : k + 4])] for k in (0, 4, 8)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    # Drawn on the host: the same on every backend, and by another seed another.
    assert blocks == order_of(NUMPY, streamed(NUMPY), epochs=3)
    assert blocks != order_of(NUMPY, streamed(NUMPY), epochs=3, seed=4)


def test_blocks_are_made_from_all_of_the_set_and_shuffled():
    """Runs of 3 = ceil(80 / 32) neighbours in a drawn order, cut into blocks, each shuffled.

    How the draws are addressed is a promise: old seeds must give old results.
    """
    first, second = (order_of(NUMPY, streamed(NUMPY), epochs=2)[k : k + 4] for k in (0, 4))
    assert all(min(block) < COUNT // 4 and max(block) > 3 * COUNT // 4 for block in first)
    for epoch, blocks in ((1, first), (2, second)):
        rows = np.arange(COUNT).reshape(-1, 3)[permutation(3, "runs", epoch, 100)].ravel()
        for number, block in enumerate(blocks):
            own = rows[80 * number : 80 * number + 80]
            drawn = permutation(3, "blocks", 4 * epoch + number, len(own))
            assert block == own[drawn].tolist()


def test_the_next_block_is_read_while_one_is_used():
    """And no more than that one."""
    read = []

    class Slow:
        shape, dtype, ndim = (COUNT, 2), np.dtype("float64"), 2

        def __getitem__(self, rows):
            read.append((threading.current_thread().name, rows.start))
            return numbered()[0][rows]

    settings = {"backend": NUMPY, "dtype": "float64", "block_size": BLOCK}
    examples = make_examples(MLP_OF_NUMBERS, Slow(), numbered()[1], **settings)
    read.clear()
    blocks = seeded_order(None)(examples, (1, 0), 1, BATCH)
    next(blocks)
    for thread in threading.enumerate():  # they end when they have read
        if thread.name == "reader":
            thread.join()
    assert [start for _, start in read] == [0, 80]
    assert all("reader" in thread for thread, _ in read)


def test_an_abandoned_visit_waits_for_no_read():
    """The garbage collector may close it in any thread, which may hold a lock that others want."""
    reading, go_on, ended = threading.Event(), threading.Event(), []

    def read(place):
        if place:
            reading.set()
            go_on.wait(600)  # which ends where close() waits for this
            ended.append(place)
        return place

    blocks = module.read_ahead(read, range(3))
    assert next(blocks) == 0
    assert reading.wait(timeout=600)
    blocks.close()
    assert not ended
    go_on.set()


def test_an_error_of_a_reader_reaches_the_caller():
    def read(place):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        next(module.read_ahead(read, range(3)))


def run(backend, examples, arithmetic="native", **changes):
    mlp = MLP([2, 3, 1], loss="squared_error", dropout=0.25)
    return training(
        mlp,
        mlp.initialize(seed=1, backend=backend, dtype="float32"),
        examples,
        backend=backend,
        optimizer=SGD(0.01, momentum=0.9),
        arithmetic=arithmetic,
        epochs=2,
        batch_size=BATCH,
        seed=7,
        **changes,
    )


def test_a_last_block_smaller_than_a_batch_is_left_out_of_whole_batches():
    """Of 82 examples; the next epoch begins with its own first block."""
    done = [p.done for p in run(NUMPY, streamed(NUMPY, 82), whole_batches=True) if not p.ended]
    assert done == [*range(BATCH, BLOCK + 1, BATCH)] * 2


def small(backend, arithmetic, block_size):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 2)).astype("float32"), rng.normal(size=50).astype("float32")
    return make_examples(
        MLP([2, 3, 1], loss="squared_error"),
        x,
        y,
        block_size=block_size,
        backend=backend,
        dtype="float32",
        arithmetic=arithmetic,
        sample_weight=rng.uniform(0.5, 1.0, 50).astype("float32"),
    )


def bits(backend, training):
    return [
        (epoch.train_loss, [[backend.to_numpy(w).tolist() for w in layer.values()] for layer in of])
        for epoch in epochs_of(training)
        for of in [epoch.parameters]
    ]


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_training_in_blocks_goes_on_from_any_step_with_the_same_bits(arithmetic):
    positions = []
    examples, settings = small(NUMPY, arithmetic, 16), {"arithmetic": arithmetic}

    def kept(training):
        for progress in training:  # the next steps may write over the state
            positions.append(map_nested(np.copy, progress.position()))
            yield progress

    whole = bits(NUMPY, kept(run(NUMPY, examples, **settings)))
    assert len(positions) == 2 * (13 + 1)  # with the ends of epochs
    for position in positions:
        on = bits(NUMPY, run(NUMPY, examples, start=position, **settings))
        assert on == whole[position.epoch - 1 :]


def test_evaluation_in_blocks_is_that_of_all(backend):
    mlp, rng = MLP([2, 1], loss="squared_error"), np.random.default_rng(2)
    x, y = rng.normal(size=(COUNT, 2)), rng.normal(size=COUNT)
    parameters = mlp.initialize(seed=0, backend=backend, dtype="float64")
    settings = {"backend": backend, "dtype": "float64"}
    found = [
        evaluate(
            mlp,
            parameters,
            make_examples(mlp, x, y, block_size=size, **settings),
            backend=backend,
            arithmetic="native",
        )
        for size in (None, 80)
    ]
    assert found[1] == pytest.approx(found[0], rel=1e-12)


@pytest.mark.parametrize(("batch_size", "lengths"), [(4, [28, 28, 24]), (40, [40, 40])])
def test_what_is_visited_once_is_cut_into_whole_batches(monkeypatch, batch_size, lengths):
    """Of as many rows as have so many bytes, here 30 of 16."""
    monkeypatch.setattr(module, "_BYTES_AT_ONCE", 30 * 16)
    found = [len(block) for block in blocks_in_order(streamed(NUMPY, 160), batch_size)]
    assert found == lengths * 2


def test_a_memory_map_is_read_block_by_block(tmp_path):
    x = np.random.default_rng(0).normal(size=(COUNT, 2))
    np.save(tmp_path / "X.npy", x)
    stored = np.load(tmp_path / "X.npy", mmap_mode="r")
    y = np.arange(COUNT) % 2
    mlp = MLP([2, 2], ensemble=TabM(2, own_batches=True))
    settings = {"backend": NUMPY, "batch_size": BATCH, "epochs": 2, "arithmetic": "reproducible"}
    moved = {"backend": NUMPY, "dtype": "float64", "block_size": BLOCK}
    examples = make_examples(mlp, stored, y, **moved)
    assert isinstance(examples.inputs, StoredArray)
    assert np.concatenate([b.inputs for b in blocks_in_order(examples)]).tolist() == x.tolist()
    results = [train(mlp, of, y, block_size=BLOCK, **settings) for of in (stored, x)]
    assert results[0].history == results[1].history
    assert results[0].history != train(mlp, x, y, **settings).history
    settings |= {"block_size": BLOCK}
    parts = on_threads(2, lambda each: train(mlp, stored, y, communicator=each, **settings))
    assert results[0].history == parts[0].history == parts[1].history


def test_what_is_wrong_is_refused_before_training():
    mlp, (x, _) = MLP([2, 2]), numbered()
    y = np.zeros(COUNT, dtype=int)
    settings = {"backend": NUMPY, "batch_size": BATCH}
    with pytest.raises(ValueError, match="block_size is 3, expected at least a batch, 4"):
        train(mlp, x, y, block_size=3, **settings)
    with pytest.raises(ValueError, match="block_size is 0, expected"):
        train(mlp, x, y, block_size=0, **settings)
    with pytest.raises(ValueError, match=r"inputs has shape \(80, 2\), expected \(examples, 3\)"):
        train(MLP([3, 2]), x, y, block_size=BLOCK, **settings)
    with pytest.raises(ValueError, match="299"):
        train(mlp, x, y[1:], block_size=BLOCK, **settings)
    x[-1, 0] = np.nan  # in the last block
    with pytest.raises(ValueError, match="inputs hold NaN"):
        train(mlp, x, y, block_size=BLOCK, **settings)


@pytest.mark.parametrize("block_size", [81, 83])
def test_a_block_that_is_no_multiple_of_the_batch(block_size):
    """Its batches are full, as those of 80: 75 in an epoch of 300, and the same bits."""
    x, y = np.random.default_rng(0).normal(size=(COUNT, 2)), np.arange(COUNT) % 2
    settings = {"backend": NUMPY, "batch_size": BATCH, "epochs": 2, "arithmetic": "reproducible"}
    found, expected = (
        train(MLP([2, 2]), x, y, block_size=size, **settings) for size in (block_size, BLOCK)
    )
    assert found.history == expected.history
    assert found.parameters[0]["W"].tolist() == expected.parameters[0]["W"].tolist()
