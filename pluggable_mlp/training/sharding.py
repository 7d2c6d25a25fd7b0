"""Examples split by rows over the processes of a communicator, and what all must agree on.

Each batch is divided evenly.  Order and results are those of one process; see
`namespaces/sharded`.  Every process reads only its own rows of a block.

Shapes: as in `examples.py`.
"""

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pluggable_mlp.arrays import Array, map_nested
from pluggable_mlp.backends import Backend
from pluggable_mlp.distributed.communicators import Communicator, check_moves
from pluggable_mlp.host.lazy import places_of, rows_at, rows_on_host, sha256_of_rows
from pluggable_mlp.host.randomness import words
from pluggable_mlp.namespaces.sharded.array import Layout
from pluggable_mlp.namespaces.sharded.namespace import ShardedNamespace
from pluggable_mlp.training import streaming
from pluggable_mlp.training.examples import AnyExamples, Batch, Examples, Streamed
from pluggable_mlp.training.streaming import Order, Seeds

if TYPE_CHECKING:
    from pluggable_mlp.training.steps import Steps

_ROWS = ("inputs", "targets", "sample_weight")
_OF_PROCESS = ("backend", "callbacks", "communicator", "device", "verbose")
"""Arguments that may differ between processes."""
_SHORT = 40
"""The most characters of a value in a message; a hash has more."""


def check_count(name: str, count: int, communicator: Communicator) -> None:
    """Raise a ValueError if there are fewer examples than processes."""
    if count < communicator.size:
        raise ValueError(
            f"{name} has {count} examples for {communicator.size} processes, expected at least one "
            "for each; start fewer processes"
        )


def order_of_steps(steps: "Steps", seed: int | None) -> Order:
    """Return `seeded_order`; each of several processes has its part of every micro-batch.

    Members with batches of their own have an order each.  If the seed is None, examples come in
    sequence.
    """
    seeds: Seeds = seed
    if steps.mlp.own_batches and seed is not None:
        seeds = words(seed, "members", 0, steps.mlp.own_batches).tolist()
    if not isinstance(steps.xp, ShardedNamespace):
        return streaming.seeded_order(seeds)
    return partial(blocks_of_process, seeds, steps.xp, steps.micro_batch)


def blocks_of_process(
    seed: Seeds,
    xp: ShardedNamespace,
    micro_batch: int | None,
    examples: AnyExamples,
    first: tuple[int, int],
    epochs: int | None,
    batch_size: int,
) -> Iterator[Examples]:
    """See `Order`."""
    assert isinstance(examples, Streamed)
    count, size = len(examples), examples.block_size
    seed = None if batch_size >= count else seed  # a single batch needs no order

    def read(place: tuple[int, int]) -> tuple[Layout, Batch]:
        epoch, block = place
        rows = streaming.rows_of_block(count, size, block, seed, epoch)
        edges = _edges(len(rows), batch_size, micro_batch)
        layout = Layout(edges, xp.communicator.rank, xp.communicator.size)
        places = rows[places_of(layout.ranges(layout.rank))]
        arrays = examples.inputs, examples.targets, examples.sample_weight
        return layout, map_nested(lambda rows: rows_at(rows, places), arrays)

    for layout, block in streaming.read_ahead(
        read, streaming.places_in_order(count, size, first, epochs)
    ):
        part = map_nested(partial(_cut, xp, layout), examples.moved(*block))
        yield examples.kind.with_arrays((*part, None))


def _cut(xp: ShardedNamespace, layout: Layout, rows: Array) -> Array:
    return xp.cut(rows, -rows.ndim, layout)


def _edges(count: int, batch_size: int, micro_batch: int | None) -> tuple[int, ...]:
    """Return where the micro-batches of all batches begin, and where the last one ends."""
    starts = range(0, count, batch_size)
    batches = (
        range(start, min(start + batch_size, count), micro_batch or batch_size) for start in starts
    )
    return (*itertools.chain(*batches), count)


def check_agreement(
    communicator: Communicator | None, backend: Backend, arguments: Mapping[str, object]
) -> None:
    """Compare the arguments of a training or comparison on all processes, and the library's code.

    Components are compared by their `repr`, which tells little of users' functions and objects:
    those are trusted.  Without a communicator, nothing is compared.

    Raises
    ------
    ValueError
        On all processes, if the arguments of one differ from those of process 0; or if the
        communicator cannot move the backend's arrays.
    """
    if communicator is None:
        return
    check_moves(communicator, backend)
    values = {"the code of pluggable_mlp": _code_sha256()}
    for name, value in arguments.items():
        if name in _ROWS:
            values[name] = "" if value is None else _hash(value, backend)
        elif name not in _OF_PROCESS:
            values[name] = _described(value, backend)
    if arguments["arithmetic"] == "native":  # its bits differ, and each process updates
        values["libraries"] = repr((backend.name, backend.versions()))
    check_same(communicator, values)


def check_same(communicator: Communicator, values: Mapping[str, str]) -> None:
    """Raise a ValueError on all processes if the values of one differ from those of process 0."""
    expected, *others = communicator.all_gather(values)
    for rank, other in enumerate(others, 1):
        names = {**expected, **other}
        different = [name for name in names if other.get(name) != expected.get(name)]
        if different:
            words = [
                f"{name} of process {rank} {_difference(other.get(name), expected.get(name))}"
                for name in different
            ]
            advice = "start all processes with the same program, settings and data"
            raise ValueError("; ".join([*words, advice]))


def _difference(value: str | None, expected: str | None) -> str:
    if value and expected and max(len(value), len(expected)) <= _SHORT:
        return f"is {value}, expected {expected} as on process 0"
    return "differs from that of process 0"


def _code_sha256() -> str:
    """Return the SHA-256 of this library's modules."""
    sha, root = hashlib.sha256(), Path(__file__).parents[1]
    folders = [root, *(path for path in root.iterdir() if path.is_dir())]  # one may be a link
    paths = {
        str(path.relative_to(root)): path for folder in folders for path in folder.rglob("*.py")
    }
    for name in sorted(paths):
        sha.update(name.encode() + paths[name].read_bytes())
    return sha.hexdigest()


def _hash(values: Array, backend: Backend) -> str:
    return sha256_of_rows(rows_on_host(values, backend))


def _described(value: object, backend: Backend) -> str:
    """Return the `repr` of a value, with hashes for arrays, and without addresses."""

    def described(x: object) -> object:
        return _hash(x, backend) if getattr(x, "ndim", 0) else x

    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(map_nested(described, value, object)))
