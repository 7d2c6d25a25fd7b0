"""Networks for tables by their authors' packages, pytabkit and tabm, on our matrices of tables."""

import importlib
import sys
from collections.abc import Callable
from copy import deepcopy
from importlib.metadata import distribution
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.metrics import accuracy_score, r2_score

from pluggable_mlp import load_dataset
from pluggable_mlp.data.load import load_inputs

__all__ = ["BATCH", "Network", "TabM", "predict_all", "pytabkit", "realmlp", "tabm"]

BATCH, AT_ONCE, PATIENCE = 256, 1024, 16


class Network(NamedTuple):
    """A model of PyTorch, what it predicts of rows, and its training step."""

    model: Any
    predict: Callable[[Any], Any]
    step: Callable[[Any, Any], None]


def pytabkit() -> Any:
    """Return the package; without its __init__ where Lightning, which that needs, is not there."""
    try:
        return importlib.import_module("pytabkit")
    except ImportError:
        package = ModuleType("pytabkit")
        package.__path__ = [str(distribution("pytabkit").locate_file("pytabkit"))]
        sys.modules["pytabkit"] = package
        return package


def realmlp(x: Any, y: Any) -> Network:
    """Return pytabkit's network for a prepared matrix and classes."""
    pytabkit()

    def modules(name: str) -> Any:
        return importlib.import_module(f"pytabkit.models.{name}")

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
    groups = [{"params": [parameter]} for parameter in model.parameters()]
    optimizer = modules("optim.optimizers").AdamOptimizer(groups, manager)
    loss_of = modules("training.metrics").cross_entropy

    def step(x: Any, y: Any) -> None:
        after = model.train()({"x_cont": x, "y": y[:, None]})
        loss = loss_of(after["x_cont"], after["y"]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return Network(model, lambda x: model.eval()({"x_cont": x})["x_cont"], step)


def tabm(outputs: int, form: Any, *, is_regression: bool = False) -> Network:
    """Return the layers of `tabm.TabM` on the features of a prepared matrix, which has numbers."""
    import tabm
    from rtdl_num_embeddings import PiecewiseLinearEmbeddings

    numbers, k, size = form.numbers, 32, 16
    bins = [torch.tensor(edges, dtype=torch.float32) for edges in form.edges]
    embeddings = PiecewiseLinearEmbeddings(bins, size, activation=False, version="B")
    widths = [size] * numbers + [*form.blocks[numbers:]]
    settings = {"n_blocks": 2, "d_block": 512, "dropout": 0.1, "arch_type": "tabm-mini", "k": k}
    settings |= {"start_scaling_init": "normal", "start_scaling_init_chunks": widths}
    layers = torch.nn.Sequential(
        tabm.EnsembleView(k=k),
        tabm.make_tabm_backbone(d_in=sum(widths), **settings),
        tabm.LinearEnsemble(512, outputs, k=k),
    )
    model = torch.nn.ModuleList([embeddings, layers])

    def of_members(x: Any) -> Any:
        embedded = embeddings(x[:, :numbers]).flatten(1)
        return layers(torch.column_stack([embedded, x[:, numbers:]]))

    def mean(x: Any) -> Any:
        model.eval()
        z = of_members(x)
        return (z if is_regression else z.softmax(-1)).mean(1)

    functional = torch.nn.functional
    loss_of = functional.mse_loss if is_regression else functional.cross_entropy
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=3e-4)

    def step(x: Any, y: Any) -> None:
        model.train()
        loss = loss_of(of_members(x).flatten(0, 1), y.repeat_interleave(k, 0))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return Network(model, mean, step)


def predict_all(network: Network, x: Any) -> Any:
    """Return what a network predicts of all rows, some at a time."""
    with torch.no_grad():
        return torch.cat([network.predict(rows) for rows in x.split(AT_ONCE)])


class TabM:
    """The package tabm with its defaults in the loop of its authors' example, an estimator.

    The preparation, and the rows by which the best epoch is found, are those of our recipe.
    """

    def __init__(self, is_regression: bool, seed: int) -> None:
        self._is_regression, self._seed = is_regression, seed

    def fit(self, X: Any, y: Any) -> "TabM":
        """Train until 16 epochs in a row were not better; keep the best one."""
        torch.manual_seed(self._seed)
        task = "regression" if self._is_regression else "classification"
        scaled = "standard" if self._is_regression else None
        dataset = load_dataset(
            X.assign(target=y), self._seed, task, target="target", target_scaling=scaled,
            recipe="tabm-mini", test_share=0.0,
        )  # fmt: skip
        self._preparation = dataset.preparation
        parts = (dataset.splits[name] for name in ("train", "validation"))
        (x, t), (x_validation, t_validation) = (
            (torch.tensor(part.inputs[:].astype(np.float32)), self._targets(part)) for part in parts
        )
        outputs = 1 if self._is_regression else len(self._preparation.class_labels)
        form = self._preparation.form
        self._network = tabm(outputs, form, is_regression=self._is_regression)
        least, kept, waited = float("inf"), {}, 0
        while waited < PATIENCE:
            for rows in torch.randperm(len(x)).split(BATCH):
                self._network.step(x[rows], t[rows])
            error = self._error(predict_all(self._network, x_validation), t_validation)
            waited += 1
            if error < least:
                least, kept, waited = error, deepcopy(self._network.model.state_dict()), 0
        self._network.model.load_state_dict(kept)
        return self

    def predict(self, X: Any) -> Any:
        """Return labels, or numbers in their own units."""
        preparation = self._preparation
        x = preparation.inputs("later", load_inputs(X, preparation))[:]
        z = predict_all(self._network, torch.tensor(x.astype(np.float32))).numpy()
        if self._is_regression:
            return preparation.in_own_units(z.astype(np.float64))[:, 0]
        return np.asarray(preparation.class_labels)[z.argmax(1)]

    def score(self, X: Any, y: Any) -> float:
        """Return the accuracy, or R²."""
        metric = r2_score if self._is_regression else accuracy_score
        return float(metric(y, self.predict(X)))

    def _targets(self, split: Any) -> Any:
        if self._is_regression:
            return torch.tensor(split.targets.reshape(-1, 1).astype(np.float32))
        return torch.tensor(split.targets)

    def _error(self, z: Any, t: Any) -> float:
        """Return the squared error, or the share of wrong classes."""
        if self._is_regression:
            return float(((z - t) ** 2).mean())
        return float((z.argmax(1) != t).double().mean())
