"""Times of networks for tables: an epoch and predictions, beside the authors' packages, by turns.

    PLUGGABLE_MLP_DATA=FOLDER python benchmarks/table_times.py --output table_times.json

FOLDER/tables has adult-train.csv.gz.  RealMLP-TD-S is beside pytabkit's layers and optimizer in a
plain loop (its own, by Lightning, adds to that), TabM-mini beside the package tabm, both on
PyTorch's CPU build, with the same threads.  An epoch includes the error of the validation part.
Contenders take turns in one process; of each the least and the median are told.  Theirs get a
prepared matrix; ours are timed in `fit`, by the lines that it prints.
"""

import argparse
import contextlib
import importlib
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # to find the package

import numpy as np
import pandas as pd
import torch

from pluggable_mlp import TableClassifier
from pluggable_mlp.data.quantiles import bin_edges

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Now = Callable[[], float]
BATCH, AT_ONCE, ROWS = 256, 1024, 100_000
RECIPES = ("realmlp-td-s", "tabm-mini")
OURS = ("numpy", "torch")


class _Clock(io.StringIO):
    """Notes the time of each line that a fit prints: of each epoch."""

    def __init__(self, now: Now) -> None:
        super().__init__()
        self.times: list[float] = []
        self._now = now

    def write(self, text: str) -> int:
        """Note the time."""
        if text.startswith("Epoch"):
            self.times.append(self._now())
        return len(text)


def fitted(recipe: str, backend: str, table: Any, epochs: int, now: Now) -> tuple[Any, list[float]]:
    """Return our model after some epochs, and the seconds of each but the first."""
    X, y = table
    model = TableClassifier(recipe, backend=backend, max_iter=epochs, random_state=0, verbose=True)
    clock = _Clock(now)
    with contextlib.redirect_stdout(clock):
        model.fit(X, y)
    return model, np.diff(clock.times).tolist()


def pytabkit() -> Callable[[str], ModuleType]:
    """Return what imports its modules, without its __init__, which needs Lightning."""
    package = ModuleType("pytabkit")
    package.__path__ = [str(distribution("pytabkit").locate_file("pytabkit"))]
    sys.modules["pytabkit"] = package
    return lambda name: importlib.import_module(f"pytabkit.models.{name}")


def realmlp(x: Any, y: Any) -> tuple[Any, Callable[[Any, Any], None]]:
    """Return pytabkit's network for a prepared matrix, and its training step."""
    modules = pytabkit()
    data, base = modules("data.data"), modules("nn_models.base")
    config = {**modules("sklearn.default_params").DefaultParams.RealMLP_TD_S_CLASS, "tfms": []}
    infos = {
        "x_cont": data.TensorInfo(feat_shape=[x.shape[1]]),
        "y": data.TensorInfo(cat_sizes=[int(y.max()) + 1]),
    }
    table = data.DictDataset({"x_cont": x, "y": y[:, None]}, infos)
    manager = modules("training.coord").HyperparamManager(**config)
    with base.set_hp_context(manager):
        factory = modules("nn_models.models").NNFactory(**config)
        model, _ = factory.create(table.tensor_infos).fit_transform(table)
    groups = [{"params": [of]} for of in model.parameters()]
    optimizer = modules("optim.optimizers").AdamOptimizer(groups, manager)
    loss_of = modules("training.metrics").cross_entropy

    def step(x: Any, y: Any) -> None:
        after = model.train()({"x_cont": x, "y": y[:, None]})
        loss = loss_of(after["x_cont"], after["y"]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return (lambda x: model.eval()({"x_cont": x})["x_cont"]), step


def tabm(x: Any, y: Any, numbers: int) -> tuple[Any, Callable[[Any, Any], None]]:
    """Return the package's network for a prepared matrix, and its training step."""
    from rtdl_num_embeddings import PiecewiseLinearEmbeddings
    from tabm import TabM

    edges = bin_edges(x[:, :numbers].numpy(), 48)
    bins = [torch.tensor(of, dtype=torch.float32) for of in edges]
    embeddings = PiecewiseLinearEmbeddings(bins, 16, activation=False, version="B")
    model = TabM.make(
        n_num_features=numbers,
        cat_cardinalities=[2] * 0,
        d_out=int(y.max()) + 1,
        num_embeddings=embeddings,
        arch_type="tabm-mini",
        n_blocks=2,
        d_block=512,
        dropout=0.1,
        k=32,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=3e-4)

    def step(x: Any, y: Any) -> None:
        z = model.train()(x[:, :numbers])
        loss = torch.nn.functional.cross_entropy(z.flatten(0, 1), y.repeat_interleave(z.shape[1]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return (lambda x: model.eval()(x[:, :numbers]).softmax(-1).mean(1)), step


def epochs_of(network: Any, step: Any, train: Any, validation: Any, now: Now) -> Iterator[float]:
    """Return the seconds of one epoch after the other, validation included."""
    x, y = train
    while True:
        begin = now()
        order = torch.randperm(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            step(x[rows], y[rows])
        predict(network, validation[0])
        yield now() - begin


def predict(network: Any, x: Any) -> None:
    """Compute the outputs of all rows, some at a time."""
    with torch.no_grad():
        for start in range(0, len(x), AT_ONCE):
            network(x[start : start + AT_ONCE])


def measure(
    recipe: str, table: Any, turns: int, epochs: int, now: Now
) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of epochs and of predictions of each contender."""
    seconds: dict[str, dict[str, list[float]]] = {"epoch": {}, "predictions": {}}
    X, y = table
    ours, _ = fitted(recipe, "numpy", table, 1, now)
    used = ours.preparation_.used_columns
    numbers = sum(column.kind == "number" for column in used)
    matrix = ours.preparation_.inputs("X", _frame(ours, X), "float32")[:]
    x = torch.tensor(matrix.astype(np.float32))
    if recipe == "tabm-mini":  # the others would be embedded by both as they are: numbers alone
        X = X.select_dtypes("number")
        table, x = (X, y), x[:, :numbers]
    labels = torch.tensor(np.unique(y, return_inverse=True)[1])
    cut = len(x) * 4 // 5
    made = realmlp(x[:cut], labels[:cut]) if recipe != "tabm-mini" else None
    network, step = made or tabm(x[:cut], labels[:cut], numbers)
    theirs = "pytabkit" if made else "tabm"
    own = epochs_of(network, step, (x[:cut], labels[:cut]), (x[cut:], labels[cut:]), now)
    rows = np.resize(np.arange(len(X)), ROWS)
    many, of_theirs = X.iloc[rows], x[rows]
    for turn in range(turns):
        for backend in OURS:
            model, taken = fitted(recipe, backend, table, epochs + 1, now)
            seconds["epoch"].setdefault(backend, []).extend(taken)
            begin = now()
            model.predict_proba(many)
            seconds["predictions"].setdefault(backend, []).append(now() - begin)
        taken = [next(own) for _ in range(epochs + (turn == 0))][turn == 0 :]
        seconds["epoch"].setdefault(theirs, []).extend(taken)
        begin = now()
        predict(network, of_theirs)
        seconds["predictions"].setdefault(theirs, []).append(now() - begin)
    return seconds


def _frame(model: Any, X: Any) -> Any:
    from pluggable_mlp.estimators.table_inputs import frame_of, kind_of

    kinds = [(of.name, kind_of(of) if of.is_used else None) for of in model._columns]
    return frame_of(model, X, kinds=kinds)


def main() -> None:
    """Measure what is asked for, write it, and tell the least and the median."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--recipes", nargs="+", default=RECIPES, choices=RECIPES)
    parser.add_argument("--rows", type=int, help="of the table; by default all")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("table_times.json"))
    words = "cpu: the time of the process, on a busy machine, with one thread"
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help=words)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    path = Path(os.environ["PLUGGABLE_MLP_DATA"], "tables", "adult-train.csv.gz")
    data = pd.read_csv(path).iloc[: options.rows]
    table = data.drop(columns="income"), data["income"]
    found = {}
    for recipe in options.recipes:
        found[recipe] = measure(recipe, table, options.turns, options.epochs, CLOCKS[options.clock])
        for what, by_name in found[recipe].items():
            for name, taken in by_name.items():
                least, median = min(taken), statistics.median(taken)
                print(f"{recipe}, {what}, {name}: {least:.3f} s, median {median:.3f} s", flush=True)
    options.output.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
