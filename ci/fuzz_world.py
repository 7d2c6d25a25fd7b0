"""The files that `fuzz.py` changes, and the commands that read them."""

import gzip
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars

Command = tuple[tuple[str, ...], str]
"""Its arguments, and a file that it writes where that is its effect instead of what it prints."""

EVALUATE: Command = (("evaluate", "--json", "run"), "")
PREDICT: Command = (("predict", "run", "new.npy"), "")
VERIFY: Command = (("verify", "run"), "")
RESUME: Command = (("train", "--quiet", "--resume", "run", "--epochs", "3"), "run/certificate.json")
REPORT: Command = (("report", "run", "--output", "report.html"), "")
TABLES = ("text", "gzipped text", "feather", "parquet")
SHORT = ("train", "--quiet", "--epochs", "1", "--hidden", "2")
OPTIONS = (*SHORT, "--data", "data.npz", "--config", "config.toml")


class Target(NamedTuple):
    """A file, what may be done to it, and who reads it.

    Parameters
    ----------
    name : str
    path : str
        A pattern that one file fits.
    kinds : tuple of str
        Of changes; names of `fuzz_changes.KINDS`.
    commands : tuple of commands
    weight : float
        How often it is drawn.
    is_ours : bool
        Whether the program wrote it: what changed is refused, or has no effect.
    """

    name: str
    path: str
    kinds: tuple[str, ...]
    commands: tuple[Command, ...]
    weight: float = 1.0
    is_ours: bool = False


def _ours(name: str, path: str, kinds: tuple[str, ...], *commands: Command) -> Target:
    return Target(name, path, kinds, commands, weight=2.0, is_ours=True)


def _predicted(path: str, kind: str) -> Target:
    run = "table" if kind in TABLES else "pixels" if "idx" in path else "run"
    return Target(f"data to predict: {path}", path, (kind,), ((("predict", run, path), ""),))


def _trained(spec: str, kind: str, path: str = "") -> Target:
    command = (*SHORT, "--data", spec)
    return Target(f"data to train on: {path or spec}", path or spec, (kind,), ((command, ""),))


_CHECKPOINT = "run/checkpoints/0*18[.-]*safetensors"
TARGETS = [
    _ours("config", "run/config.json", ("json",), EVALUATE, PREDICT, VERIFY, RESUME),
    _ours("config", "table/config.json", ("json",), (("predict", "table", "new.csv"), "")),
    _ours("summary", "run/summary.json", ("json",), EVALUATE, RESUME, VERIFY),
    _ours("metrics", "run/metrics.jsonl", ("json lines",), VERIFY, RESUME),
    _ours("certificate", "run/certificate.json", ("json", "forged"), VERIFY),
    _ours("model", "run/model.safetensors", ("safetensors",), EVALUATE, PREDICT, VERIFY),
    _ours("checkpoint", _CHECKPOINT, ("safetensors",), RESUME),
    _ours("estimator", "estimator.safetensors", ("safetensors",), (("estimator",), "")),
    Target("report", "run/summary.json", ("json",), (REPORT,), 0.05),
    Target("report", "run/metrics.jsonl", ("json lines",), (REPORT,), 0.05),
    Target("report", "run/certificate.json", ("json",), (REPORT,), 0.05),
    _predicted("new.npy", "npy"),
    _predicted("new.npz", "npz"),
    _predicted("new.csv", "text"),
    _predicted("new.csv.gz", "gzipped text"),
    _predicted("new.parquet", "parquet"),
    _predicted("new.feather", "feather"),
    _predicted("new-idx", "binary"),
    _predicted("new-idx.gz", "gzip"),
    _trained("data.npz", "npz"),
    _trained("data.csv", "text"),
    _trained("data.tsv", "text"),
    _trained("data.parquet", "parquet"),
    _trained("data.feather", "feather"),
    _trained("data.pkl", "binary"),
    _trained("data.pkl.gz", "gzip"),
    _trained("arrays", "npy", "arrays/X.npy"),
    _trained("arrays", "npy", "arrays/y.npy"),
    _trained("images", "binary", "images/train-images-idx3-ubyte"),
    _trained("images", "binary", "images/train-labels-idx1-ubyte"),
    Target("options", "config.toml", ("text",), ((OPTIONS, ""),)),
]  # fmt: skip


def make_world(folder: Path) -> Path:
    """Make the files in a new folder: data, three runs, an estimator, options; return it."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    X = random.normal(size=(93, 5)).round(2)
    y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)
    np.savez(folder / "data.npz", X=X, y=y)
    np.save(folder / "new.npy", X[:7])
    np.savez(folder / "new.npz", X=X[:7])
    (folder / "arrays").mkdir()
    np.save(folder / "arrays/X.npy", X)
    np.save(folder / "arrays/y.npy", y)
    _write_tables(folder, X, y)
    _write_images(folder, random)
    made = (X[:, :4].astype(np.float32) % 1, y)
    pickled = pickle.dumps((made, made, made), protocol=3)
    (folder / "data.pkl").write_bytes(pickled)
    (folder / "data.pkl.gz").write_bytes(gzip.compress(pickled, mtime=0))
    (folder / "config.toml").write_text(
        'optimizer = "adam:beta1=0.8"\nactivation = "tanh"\nbatch-size = 8\nlearning-rate = 0.01\n'
        'seed = 5\ndropout = 0.1\nvalidation = 0.2\nschedule = "cosine"\nquiet = true\n'
        'dtype = "float64"\nhidden = [3, 4]\nnorm = "layer"\n'
    )
    _train(folder)
    return folder


def _write_tables(folder: Path, X: np.ndarray, y: np.ndarray) -> None:
    rows = [
        f"{a},{b},{'red' if c > 0 else 'blue'},{'' if d > 1.5 else d},{'yes' if label else 'no'}"
        for (a, b, c, d, _), label in zip(X, y, strict=True)
    ]
    table = "\n".join(["width,height,colour,weight,class", *rows]) + "\n"
    new = "\n".join(line.rpartition(",")[0] for line in table.splitlines()[:8]) + "\n"
    (folder / "data.csv").write_text(table)
    (folder / "data.tsv").write_text(table.replace(",", "\t"))
    (folder / "new.csv").write_text(new)
    (folder / "new.csv.gz").write_bytes(gzip.compress(new.encode(), mtime=0))
    for name in ("data", "new"):
        columns = polars.read_csv(folder / f"{name}.csv")
        columns.write_parquet(folder / f"{name}.parquet")
        columns.write_ipc(folder / f"{name}.feather", compression="lz4")


def _write_images(folder: Path, random: np.random.Generator) -> None:
    (folder / "images").mkdir()
    images = random.integers(0, 256, (40, 3, 3), dtype=np.uint8)
    labels = (images[:, 1, 1] > 100).astype(np.uint8)
    content = struct.pack(">IIII", 0x803, *images.shape) + images.tobytes()
    for part in ("train", "t10k"):
        (folder / f"images/{part}-images-idx3-ubyte").write_bytes(content)
        (folder / f"images/{part}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 0x801, len(labels)) + labels.tobytes()
        )
    (folder / "new-idx").write_bytes(content)
    (folder / "new-idx.gz").write_bytes(gzip.compress(content, mtime=0))


def _train(folder: Path) -> None:
    """Train the runs, of which one has a checkpoint after each epoch, and save an estimator."""
    common = ("train", "--quiet", "--epochs", "2", "--hidden", "3", "--batch-size", "8", "--data")
    for arguments in (
        ("data.npz", "--output", "run", "--validation", "0.1", "--checkpoint-minutes", "0"),
        ("data.csv", "--output", "table"),
        ("images", "--output", "pixels"),
    ):
        command = [sys.executable, "-m", "pluggable_mlp", *common, *arguments]
        subprocess.run(command, cwd=folder, check=True)
    from pluggable_mlp import MLPClassifier

    with np.load(folder / "data.npz") as data:
        classifier = MLPClassifier((3,), random_state=0, norm="batch", tol=10.0)  # soon over
        classifier.fit(data["X"], data["y"]).save(folder / "estimator.safetensors")
