"""Times of networks for tables: fits, epochs and predictions, beside the authors' packages.

    PLUGGABLE_MLP_DATA=FOLDER python benchmarks/table_times.py --output table_times.json

FOLDER/tables has adult-train.csv.gz.  Beside RealMLP-TD-S are pytabkit's estimator, which is left
out where Lightning is not installed, and its layers and optimizer in a plain loop; beside TabM-mini
the layers of the package tabm: all on PyTorch's CPU build, with the same threads.

An epoch includes the error of the validation part.  Estimators fit and predict from the frame, and
the seconds of their fits are those of --epochs and one more; ours print a line after each epoch,
whose times are taken.  Plain loops have the matrix that our preparation makes of the frame.
Contenders take turns in one process; the least and the median of each are printed.
"""

import argparse
import contextlib
import io
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # to find the package

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from benchmarks.data_folder import table_file
from benchmarks.packages import BATCH, predict_all, pytabkit, realmlp, tabm
from pluggable_mlp import TableClassifier, load_dataset

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Now = Callable[[], float]
Turn = Callable[[], dict[str, list[float]]]
"""Of a contender: returns the seconds of what it does in a turn."""
RECIPES = ("realmlp-td-s", "tabm-mini")
OURS = ("numpy", "torch")


class Job(NamedTuple):
    """The table, X and y, the rows to predict, how many epochs are timed, and by which clock."""

    recipe: str
    table: tuple[pd.DataFrame, pd.Series]
    many: pd.DataFrame
    epochs: int
    now: Now


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


def of_estimator(job: Job, model: Any) -> dict[str, list[float]]:
    """Return the seconds of a fit and of predictions, both from frames, and of ours of epochs."""
    begin, clock = job.now(), _Clock(job.now)
    with contextlib.redirect_stdout(clock):
        model.fit(*job.table)
    between = job.now()
    model.predict_proba(job.many)
    predictions = [job.now() - between]
    epochs = np.diff(clock.times).tolist()
    return {"fit": [between - begin], "epoch": epochs, "predictions": predictions}


def plain_loop(job: Job) -> Turn:
    """Return a turn of a package's network, after an epoch that is not timed."""
    X, y = job.table
    dataset = load_dataset(X.assign(y=y), target="y", recipe=job.recipe, test_share=0.0)
    (x, labels), (x_validation, _) = (
        (torch.tensor(part.inputs[:].astype(np.float32)), torch.tensor(part.targets))
        for part in (dataset.splits["train"], dataset.splits["validation"])
    )
    is_tabm, form = job.recipe == "tabm-mini", dataset.preparation.form
    network = tabm(y.nunique(), form) if is_tabm else realmlp(x, labels)
    many = x[np.resize(np.arange(len(x)), len(job.many))]

    def epoch() -> None:
        for rows in torch.randperm(len(x)).split(BATCH):
            if is_tabm or len(rows) == BATCH:  # as the recipes have it
                network.step(x[rows], labels[rows])
        predict_all(network, x_validation)

    def turn() -> dict[str, list[float]]:
        times = [job.now()]
        for _ in range(job.epochs):
            epoch()
            times.append(job.now())
        predict_all(network, many)
        return {"epoch": np.diff(times).tolist(), "predictions": [job.now() - times[-1]]}

    epoch()
    return turn


def contenders(job: Job) -> Iterator[tuple[str, Turn]]:
    """Yield the names and the turns of ours and of the packages."""
    settings = {"max_iter": job.epochs + 1, "random_state": 0, "verbose": True}
    for backend in OURS:
        model: Any = TableClassifier(job.recipe, backend=backend, **settings)
        yield backend, partial(of_estimator, job, model)
    package = "tabm" if job.recipe == "tabm-mini" else "pytabkit"
    yield f"{package}, plain loop", plain_loop(job)
    if package == "pytabkit" and hasattr(pytabkit(), "RealMLP_TD_S_Classifier"):
        settings = {"n_epochs": job.epochs + 1, "n_threads": torch.get_num_threads()}
        model = pytabkit().RealMLP_TD_S_Classifier(device="cpu", random_state=0, **settings)
        yield package, partial(of_estimator, job, model)


def measure(job: Job, turns: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of fits, of epochs and of predictions of each contender."""
    seconds: dict[str, dict[str, list[float]]] = {"fit": {}, "epoch": {}, "predictions": {}}
    threads, by_name = torch.get_num_threads(), dict(contenders(job))
    for _ in range(turns):
        for name, turn in by_name.items():
            torch.set_num_threads(threads)  # pytabkit may have changed it
            with threadpool_limits(threads), warnings.catch_warnings(action="ignore"):
                taken = turn()
            for what, samples in taken.items():
                if samples:
                    seconds[what].setdefault(name, []).extend(samples)
    return seconds


def main() -> None:
    """Measure what is asked for, write it, and print the least and the median."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--recipes", nargs="+", default=RECIPES, choices=RECIPES)
    parser.add_argument("--rows", type=int, help="of the table; by default all")
    parser.add_argument("--predictions", type=int, default=100_000, help="so many rows")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("table_times.json"))
    words = "cpu: the time of the process, on a busy machine, with one thread"
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help=words)
    options = parser.parse_args()
    data = pd.read_csv(table_file("adult-train")).iloc[: options.rows]
    torch.set_num_threads(options.threads)
    table = data.drop(columns="income"), data["income"]
    many = table[0].iloc[np.resize(np.arange(len(data)), options.predictions)]
    found = {}
    for recipe in options.recipes:
        job = Job(recipe, table, many, options.epochs, CLOCKS[options.clock])
        found[recipe] = measure(job, options.turns)
        for what, by_name in found[recipe].items():
            for name, taken in by_name.items():
                least, median = min(taken), statistics.median(taken)
                print(f"{recipe}, {what}, {name}: {least:.3f} s, median {median:.3f} s", flush=True)
    options.output.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
