"""One training on two processes, against one process and PyTorch's DistributedDataParallel.

Each process has one thread of BLAS.  All contenders take the same steps, on the same two processes,
one after the other in each round; the median over the rounds counts.  The share of the exchange is
that of the time which a step waits in all-reduces, for the other process, too.

    mpiexec -n 2 python -m benchmarks.scaling QUICK SECONDS    (what `run.py` starts)
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["scaling", "table"]

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
NETWORKS = ((784, 512, 10), (784, 1024, 1024, 10))
BATCHES = (256, 4096)
ARITHMETICS = ("native", "reproducible")
RATE = 0.01
_STEPS = {256: 16, 4096: 2}
_LEAST = 3  # rounds


class Cell(NamedTuple):
    """The network and the batch of a comparison."""

    sizes: tuple[int, ...]
    batch: int


def scaling(backend: str, quick: bool) -> dict[str, Any]:
    """Measure steps on one and two processes of this machine, which have a thread each."""
    del backend  # NumPy
    seconds = 8.0 if quick else 240.0
    mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if mpiexec is None:
        raise FileNotFoundError("there is no mpiexec: pip install mpi4py mpich")
    program = [sys.executable, "-m", "benchmarks.scaling", str(int(quick)), str(seconds)]
    environment = os.environ | dict.fromkeys(THREADS, "1") | {"GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [mpiexec, "-n", "2", *program], env=environment, check=True, stdout=subprocess.PIPE
    )
    return {"cases": json.loads(done.stdout)}


class _Timed:
    """A communicator that counts the bytes and the seconds of its all-reduces."""

    def __init__(self, inner: Any) -> None:
        self._inner, self.rank, self.size = inner, inner.rank, inner.size
        self.bytes, self.seconds, self.all_gather = 0, 0.0, inner.all_gather

    def all_reduce(self, x: Any, operation: Any, *, backend: Any) -> Any:
        """See `Communicator.all_reduce`."""
        begin = time.perf_counter()
        total = self._inner.all_reduce(x, operation, backend=backend)
        self.seconds += time.perf_counter() - begin
        self.bytes += x.nbytes
        return total


class _Ours:
    """Epochs of `train` on NumPy, on all processes or on this one alone."""

    def __init__(self, cell: Cell, arithmetic: str, x: Any, y: Any, communicator: Any) -> None:
        from pluggable_mlp import MLP, SGD, get_backend

        self._communicator = None if communicator is None else _Timed(communicator)
        self._data = MLP(cell.sizes, activation="relu"), x, y
        self._settings = {
            "backend": get_backend("numpy"),
            "optimizer": SGD(RATE),
            "batch_size": cell.batch,
            "arithmetic": arithmetic,
            "communicator": self._communicator,
        }
        self._steps = len(y) // cell.batch

    def round(self) -> dict[str, float]:
        """Return seconds, bytes and share of the exchange of a step, in the last of two epochs."""
        from pluggable_mlp import train

        counted = self._communicator
        before = []
        seconds = []

        def note(epoch: Any) -> None:
            seconds.append(epoch.seconds)
            before.append((0, 0.0) if counted is None else (counted.bytes, counted.seconds))

        train(*self._data, epochs=2, callbacks=[note], **self._settings)
        sent, waited = (after - start for start, after in zip(*before[-2:], strict=True))
        return {
            "seconds": seconds[-1] / self._steps,
            "bytes": sent / self._steps,
            "share": waited / seconds[-1],
        }


class _Torch:
    """Epochs of PyTorch, on all processes by DistributedDataParallel or on this one alone."""

    def __init__(self, cell: Cell, x: Any, y: Any, rank: int, size: int) -> None:
        import torch
        from torch import nn

        layers: list[Any] = []
        for inputs, outputs in zip(cell.sizes, cell.sizes[1:], strict=False):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self._model: Any = nn.Sequential(*layers[:-1])
        if size > 1:
            self._model = nn.parallel.DistributedDataParallel(self._model)
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=RATE)
        self._x, self._y = torch.asarray(x), torch.asarray(y)
        self._batch = cell.batch
        self._own = slice(rank * cell.batch // size, (rank + 1) * cell.batch // size)

    def round(self) -> dict[str, float]:
        """Return the seconds of a step."""
        import torch

        begin = time.perf_counter()
        losses = []
        order = torch.randperm(len(self._y), generator=torch.Generator().manual_seed(0))
        for places in order.split(self._batch):
            mine = places[self._own]
            self._optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(self._model(self._x[mine]), self._y[mine])
            loss.backward()
            self._optimizer.step()
            losses.append(loss.detach())
        float(torch.stack(losses).mean())
        return {"seconds": (time.perf_counter() - begin) / len(losses)}


def _contenders(cell: Cell, communicator: Any) -> dict[str, Callable[[], dict[str, float]]]:
    """Return a round of each, by name; those of "1" are for the first process alone."""
    import numpy as np

    rng = np.random.default_rng(0)
    count = cell.batch * _STEPS[cell.batch]
    x = rng.random((count, cell.sizes[0]), dtype=np.float32)
    y = rng.integers(0, cell.sizes[-1], count)
    rank = communicator.rank
    found: dict[str, Callable[[], dict[str, float]]] = {}
    for arithmetic in ARITHMETICS:
        found[f"{arithmetic} 1"] = _Ours(cell, arithmetic, x, y, None).round
        found[f"{arithmetic} 2"] = _Ours(cell, arithmetic, x, y, communicator).round
    found["torch 1"] = _Torch(cell, x, y, 0, 1).round
    found["torch 2"] = _Torch(cell, x, y, rank, 2).round
    return found


def _measured(cell: Cell, communicator: Any, seconds: float) -> dict[str, Any]:
    """Return the samples of all contenders in a cell, of the first process."""
    rounds = _contenders(cell, communicator)
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in rounds}
    end, going = time.perf_counter() + seconds, True
    while going:
        for name, take in rounds.items():
            communicator.all_gather(None)  # begin together
            if communicator.rank == 0 or name.endswith("2"):
                samples[name].append(take())
        late = time.perf_counter() > end and len(samples["torch 2"]) > _LEAST
        going = not any(communicator.all_gather(late))
    kept = {name: results[1:] for name, results in samples.items()}  # the first warms up
    return {
        "network": "-".join(map(str, cell.sizes)),
        "batch": cell.batch,
        "seconds": {name: [one["seconds"] for one in results] for name, results in kept.items()},
        "bytes": {
            name: results[0]["bytes"]
            for name, results in kept.items()
            if results and "bytes" in results[0]
        },
        "share": {
            name: statistics.median(one["share"] for one in results)
            for name, results in kept.items()
            if results and "share" in results[0]
        },
    }


def table(results: dict[str, dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table."""
    head = ["network", "batch", "", "1 process", "2 processes", "speed-up", "MB a step",
            "exchange", "over DDP"]  # fmt: skip
    rows = []
    for case in results.get("scaling", {}).get("cases", []):
        medians = {name: statistics.median(times) for name, times in case["seconds"].items()}
        for name in (*ARITHMETICS, "torch"):
            one, two = medians[f"{name} 1"], medians[f"{name} 2"]
            ours = name != "torch"
            rows.append([
                case["network"],
                f"{case['batch']:,}",
                name if ours else "PyTorch, DDP",
                f"{one * 1e3:.1f} ms",
                f"{two * 1e3:.1f} ms",
                f"{one / two:.2f}",
                f"{case['bytes'][f'{name} 2'] / 1e6:.1f}" if ours else "",
                f"{case['share'][f'{name} 2']:.0%}" if ours else "",
                f"{two / medians['torch 2']:.2f}" if ours else "",
            ])  # fmt: skip
    return head, rows


def main() -> None:
    """Measure all cells on these processes; the first one prints them."""
    quick, seconds = bool(int(sys.argv[1])), float(sys.argv[2])
    import torch
    from torch import distributed

    from pluggable_mlp import MPI

    communicator = MPI()
    torch.set_num_threads(1)
    port = communicator.all_gather(20000 + os.getpid() % 20000)[0]
    distributed.init_process_group(
        "gloo",
        init_method=f"tcp://127.0.0.1:{port}",
        rank=communicator.rank,
        world_size=communicator.size,
    )
    cells = [Cell(sizes, batch) for sizes in NETWORKS for batch in BATCHES]
    cells = cells[:1] if quick else cells
    cases = [_measured(cell, communicator, seconds / len(cells)) for cell in cells]
    if communicator.rank == 0:
        print(json.dumps(cases))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
