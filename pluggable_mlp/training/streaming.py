"""Streaming: the blocks of successive epochs, one at a time, with the next one read ahead.

A set on the device is a single block.  `Streamed` examples, which stay on the host or in a file,
are moved to the device some at a time: rows are moved in runs of neighbours, the runs in a new
order in each epoch; the rows of the runs that form a block are then shuffled.  All blocks but the
last of an epoch have the same size, a multiple of the batch's, so the number of batches is the
same as without blocks.

Shapes: as in `examples.py`.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from threading import Thread
from typing import Generic, TypeAlias, TypeVar

from pluggable_mlp.arrays import Array
from pluggable_mlp.fields import PositiveCount, convert
from pluggable_mlp.host.lazy import Places, Range, places_of, rows_within
from pluggable_mlp.host.randomness import permutation
from pluggable_mlp.training.examples import AnyExamples, Examples

_BYTES_AT_ONCE = 2**24  # bytes of inputs that are visited once

_RUNS_PER_BLOCK = 32

FEW_EXAMPLES = 2**13
"""An order of at most this many examples is drawn on the same thread and moved by the same call.

A thread that draws it, or a call of its own that moves it, would take longer.
"""

Seeds: TypeAlias = int | Sequence[int] | None
"""The seed of the order of examples, one for each network or member, or None for no shuffle."""

Place = TypeVar("Place")
Block = TypeVar("Block")


def in_whole_batches(block_size: int, batch_size: int) -> int:
    """Return the size of a block rounded down to a multiple of the batch's, at least 1.

    Raises
    ------
    ValueError
        If a block is less than a batch.
    """
    block_size = convert("block_size", block_size, PositiveCount)
    if block_size < batch_size:
        raise ValueError(
            f"block_size is {block_size}, expected at least a batch, {batch_size} examples"
        )
    return block_size - block_size % batch_size


def blocks_in_order(examples: AnyExamples, batch_size: int = 1) -> Iterator[Examples]:
    """Yield all examples once, as they come, on the device: streamed ones some at a time.

    These are whole batches; the last one of a block may be smaller.
    """
    if isinstance(examples, Examples):
        yield examples
        return
    count, size = len(examples), examples.block_size
    rows = rows_within(_BYTES_AT_ONCE, examples.inputs.shape, examples.inputs.dtype)
    at_once = max(1, rows // batch_size) * batch_size
    ranges = [
        [(start, min(start + at_once, block + size, count))]
        for block in range(0, count, size)
        for start in range(block, min(block + size, count), at_once)
    ]
    for arrays in read_ahead(examples.read, ranges):
        yield examples.on_device(arrays)


Order: TypeAlias = Callable[[AnyExamples, tuple[int, int], int | None, int], Iterator[Examples]]
"""(examples, first, epochs, batch_size): the blocks of successive epochs in the order of visits.

`first` is the epoch, from 1, and how many of its examples have been visited: the first block is
that of the next one.  `epochs` is the last epoch, or None for no end.  A block is on the device,
with inputs (examples, in), or (examples, members, in) of several processes if members have orders
of their own.  Its `order`, on the host, is (examples,), (examples, members) or None: see
`Steps.placed`.
"""


def seeded_order(seed: Seeds) -> Order:
    """Return the order drawn from a seed in each epoch; with None, examples come in sequence.

    With several seeds, each network or member has its own order of the examples in a block.
    """
    return partial(_blocks_of_epochs, seed)


def _blocks_of_epochs(
    seed: Seeds,
    examples: AnyExamples,
    first: tuple[int, int],
    epochs: int | None,
    batch_size: int,
) -> Iterator[Examples]:
    """See `Order`."""
    count, size = len(examples), examples.block_size
    if batch_size >= count:  # a single batch needs no order
        seed = None

    def read(place: tuple[int, int]) -> tuple[Array, Array]:
        epoch, block = place
        drawn = _shuffle(count, size, block, seed, epoch)
        if isinstance(examples, Examples):
            return None, drawn
        return examples.read(_ranges(count, size, block, seed, epoch)), drawn

    places = places_in_order(count, size, first, epochs)
    at_once = isinstance(examples, Examples) and (seed is None or count <= FEW_EXAMPLES)
    # Only the host's part is done ahead: some libraries have a current device per thread.
    for rows, order in map(read, places) if at_once else read_ahead(read, places):
        if isinstance(examples, Examples):
            yield replace(examples, order=order)
        else:
            yield examples.on_device(rows, order)


def places_in_order(
    count: int, size: int, first: tuple[int, int], epochs: int | None
) -> Iterator[tuple[int, int]]:
    """Yield the epoch and the number of each block of `size` examples: see `Order`."""
    blocks = -(-count // size)
    numbers = itertools.count(first[0]) if epochs is None else range(first[0], epochs + 1)
    for epoch in numbers:
        for block in range(first[1] // size if epoch == first[0] else 0, blocks):
            yield epoch, block


def rows_of_block(count: int, size: int, block: int, seed: Seeds, epoch: int) -> Places:
    """Return the places of a block's examples, in the order of their visits: see `_shuffle`."""
    whole = size == count
    ranges = [(0, count)] if whole else _ranges(count, size, block, seed, epoch)
    return places_of(ranges, _shuffle(count, size, block, seed, epoch))


def _shuffle(count: int, size: int, block: int, seed: Seeds, epoch: int) -> Places | None:
    """Return the order of the examples within a block, (rows,) or (rows, seeds), or None."""
    if seed is None:
        return None
    if size == count:
        return permutation(seed, "shuffle", epoch, count)
    blocks, rows = -(-count // size), min(size, count - block * size)
    return permutation(seed, "blocks", epoch * blocks + block, rows)


def _ranges(count: int, size: int, block: int, seed: Seeds, epoch: int) -> Iterator[Range]:
    """Yield the ranges of rows that make a block, in the order of the epoch, by the first seed."""
    begin, end = block * size, min(block * size + size, count)
    if seed is None:
        yield begin, end
        return
    seed = seed[0] if isinstance(seed, Sequence) else seed
    length = -(-size // _RUNS_PER_BLOCK)
    starts = range(0, count, length)
    runs = [starts[place] for place in permutation(seed, "runs", epoch, len(starts)).tolist()]
    stops = itertools.accumulate(min(length, count - run) for run in runs)
    for run, stop in zip(runs, stops, strict=True):
        start = stop - min(length, count - run)  # of the epoch's examples
        low, high = max(start, begin), min(stop, end)
        if low < high:
            yield run + low - start, run + high - start


class _Reading(Thread, Generic[Block]):
    """read(place), begun at once on a thread of its own.

    It needs no executor that must be shut down: if an iterator of blocks is abandoned, the garbage
    collector may run in any thread, inside any lock, and must wait for none.
    """

    def __init__(self, read: Callable[[Place], Block], place: Place) -> None:
        super().__init__(name="reader")
        self._found: list[Block] = []
        self._error: BaseException | None = None
        self._read = partial(read, place)
        self.start()

    def run(self) -> None:
        """Read, and keep the result or the error."""
        try:
            self._found.append(self._read())
        except BaseException as error:
            self._error = error

    def result(self) -> Block:
        """Wait, and return the result, once, or raise the error."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._found.pop()


def read_ahead(read: Callable[[Place], Block], places: Iterable[Place]) -> Iterator[Block]:
    """Yield read(place) for each place, reading the next one while the caller uses one."""
    coming = None
    for place in places:
        following = _Reading(read, place)
        if coming is not None:
            yield coming.result()
        coming = following
    if coming is not None:
        yield coming.result()
