"""RealMLP as a whole, from a table to parameters after 50 steps, against pytabkit's own."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pluggable_mlp import first_state, get_backend, training_step
from pluggable_mlp.data.build import build_dataset
from pluggable_mlp.data.values import Split
from pluggable_mlp.network.layers import Dropout, Rng
from pluggable_mlp.options import DataOptions, Options
from pluggable_mlp.plan import Plan
from pluggable_mlp.training.recipes import TableForm
from pluggable_mlp.training.schedules import FlatCosine, LogCosine
from tests.data.frames import frame_of
from tests.published import import_pytabkit, recorded, summary

STEPS, ROWS, BATCH = 50, 64, 16
EPOCH = 32  # so many steps: as of 8,192 rows
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(ROWS, 3)) * [1.0, 5.0, 0.2] + [0.0, 3.0, 1.0]
NUMBERS[:, 2] = NUMBERS[:, 2] > 1.2  # whose quartiles are equal
CATEGORIES = {"td-s": (2, 4), "td": (2, 10, 4)}  # of which 10 have an embedding
CODES = {
    name: np.stack([RNG.integers(-(size > 2), size, ROWS) for size in sizes], axis=1)
    for name, sizes in CATEGORIES.items()
}
TARGETS = {
    "classification": RNG.integers(0, 3, ROWS),
    "regression": RNG.normal(size=ROWS) * 3.0 + 2.0,
}
BLOCKS = {"td-s": (1, 1, 1, 1, 4), "td": (1, 1, 1, 1, 4, 10)}
# Theirs have the numbers themselves behind the waves of all.
WAVES = [[0, 1, 2, 4, 5, 6, 8, 9, 10, 3, 7, 11]]


def in_pytabkit(pytabkit, recipe, task, dtype):
    """Their model with their defaults, fitted to the table, and their optimizer."""
    import torch

    data, base = pytabkit("data.data"), pytabkit("nn_models.base")
    defaults = pytabkit("sklearn.default_params").DefaultParams
    is_class = task == "classification"
    name = f"RealMLP_{recipe.upper().replace('-', '_')}_{'CLASS' if is_class else 'REG'}"
    config = getattr(defaults, name)
    y = TARGETS[task] if is_class else TARGETS[task].astype(dtype)
    tensors = {"x_cont": NUMBERS.astype(dtype), "x_cat": CODES[recipe] + 1, "y": y[:, None]}
    infos = {
        "x_cont": data.TensorInfo(feat_shape=[3]),
        "x_cat": data.TensorInfo(cat_sizes=[n + 1 for n in CATEGORIES[recipe]]),  # 0: missing
        "y": data.TensorInfo(cat_sizes=[3]) if is_class else data.TensorInfo(feat_shape=[1]),
    }
    table = data.DictDataset({k: torch.tensor(of) for k, of in tensors.items()}, infos)
    manager = pytabkit("training.coord").HyperparamManager(**config)
    factory = pytabkit("nn_models.models").NNFactory(**config)
    with base.set_hp_context(manager):
        fixed, fitted = factory.create(table.tensor_infos).split_off_dynamic()
        _, encoded = fixed.fit_transform(table)
        manager.get_more_info_dict()["trainval_ds"] = encoded
        model, _ = fitted.fit_transform(encoded)
    groups = [{"params": [of]} for of in model.parameters()]
    optimizer = pytabkit("optim.optimizers").AdamOptimizer(groups, manager)
    return config, model, encoded, optimizer, manager


def prepared(recipe, task):
    """The table as our preparation makes it, and the columns of each feature."""
    names = ["sex", "city", "size"][: len(CATEGORIES[recipe])]
    columns = dict(zip("uvw", NUMBERS.T.tolist(), strict=True))
    for place, name in enumerate(names):
        columns[name] = ["abcdefghij"[k] if k >= 0 else None for k in CODES[recipe][:, place]]
    split = Split(frame_of(**columns), TARGETS[task])
    scaled = "standard" if task == "regression" else None
    options = DataOptions(
        task=task,
        validation=0,
        target_scaling=scaled,
        test_share=0.0,
        recipe=f"realmlp-{recipe}",
    )
    dataset = build_dataset({"train": split}, options)
    inputs, targets = dataset.train
    return inputs[:], targets if task == "classification" else targets[:, None]


def in_their_order(parameters, recipe):
    """Our arrays in the order of their parameters, and their features."""
    if recipe == "td-s":
        return [array for layer in parameters for array in layer.values()]
    waves, categories, scaling, first, *others = parameters
    place = [*WAVES[0], *range(12, len(scaling["scale"]))]
    ordered = [waves[f"embedding_{name}"] for name in "wVbc"] + [categories["category_E"]]
    ordered += [scaling["scale"][place], first["W"][place], first["b"]]
    return ordered + [array for layer in others for array in layer.values()]


def smoothed(after, config):
    """Their labels, which they smooth in float32."""
    labels, smoothing = after["y"], config["ls_eps"]
    hard = (labels > 0.5).to(after["x_cont"].dtype)
    return (1.0 - smoothing) * hard + smoothing / labels.shape[1]


def with_our_masks(monkeypatch, pytabkit, mlp, at):
    """Let their dropout drop what ours drops."""
    import torch

    calls = []

    def dropout(x, p, training):
        if not training:
            return x
        stream, t = len(calls) % 3, at["t"]
        rate = mlp.dropout(t)
        assert p == pytest.approx(rate, abs=1e-12)
        ours = Dropout(rate, stream=stream).forward(np, {}, np.ones(x.shape), Rng(0, t))
        calls.append(stream)
        return x * torch.tensor(ours[0], dtype=x.dtype)

    monkeypatch.setattr(pytabkit("nn_models.nn").F, "dropout", dropout)


def steps_of_pytabkit(monkeypatch, recipe, task, dtype, mlp, parameters, total):
    """Their features, losses, parameters and answers, of which each is a `summary`."""
    import torch

    pytabkit = import_pytabkit(monkeypatch)
    default = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    config, model, encoded, optimizer, manager = in_pytabkit(pytabkit, recipe, task, dtype)
    features = {}
    if recipe == "td-s":
        features["features"] = model.tfms[0](encoded.tensors)["x_cont"].numpy()
    with torch.no_grad():
        arrays = in_their_order(parameters, recipe)
        for theirs, array in zip(model.parameters(), arrays, strict=True):
            theirs.copy_(torch.tensor(array).reshape(theirs.shape))
    metrics = pytabkit("training.metrics")
    loss_of = metrics.cross_entropy if task == "classification" else metrics.mse
    at, losses = {}, []
    if recipe == "td":
        with_our_masks(monkeypatch, pytabkit, mlp, at)
    for step in range(STEPS):
        at["t"] = step
        rows = slice(step % 4 * BATCH, step % 4 * BATCH + BATCH)
        progress = SimpleNamespace(get_fit_progress=lambda step=step: step / total)
        manager.update_hypers(SimpleNamespace(progress=progress))
        after = model.train()({name: of[rows] for name, of in encoded.tensors.items()})
        labels = smoothed(after, config) if task == "classification" else after["y"]
        loss = loss_of(after["x_cont"], labels).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        answers = model.eval()(dict(encoded.tensors))["x_cont"].numpy()
    torch.set_default_dtype(default)
    trained = {f"parameter {k}": of.detach().numpy() for k, of in enumerate(model.parameters())}
    found = {**features, **trained, "answers": answers}
    return {"losses": losses, **{name: summary(of) for name, of in found.items()}}


def plan_for(options, form, outputs, rows):
    """The plan for data of which nothing else matters."""
    data = SimpleNamespace(
        form=form, outputs=outputs, examples={"train": rows}, task=options.task, columns=None,
        target_names=None, target_scaling=None, scaling_kind="none", edges=form.edges,
    )  # fmt: skip
    return Plan.of(options, data)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pytabkit scripts functions
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("task", TARGETS)
@pytest.mark.parametrize("recipe", CATEGORIES)
def test_fifty_steps_agree_with_pytabkit(monkeypatch, recipe, task, dtype):
    tolerance = {"float64": 1e-9, "float32": 1e-5}[dtype]
    x, y = prepared(recipe, task)
    x[:, 3] *= -1.0  # which of two categories is 1 matters to nothing
    ends = None if task == "classification" else (y.min(), y.max())
    form = TableForm(BLOCKS[recipe], (), 3, (10,) * (recipe == "td"), ends)
    x = x.astype(dtype)
    y = y if task == "classification" else y.astype(dtype)
    # Of 64 steps the last ones have less dropout and decay; rates grow too fast for float32.
    few = {"epochs": 64 // EPOCH} if (recipe, dtype) == ("td", "float64") else {}
    settings = Options(task=task, recipe=f"realmlp-{recipe}:members=1", batch_size=BATCH, **few)
    plan = plan_for(settings, form, 3 if ends is None else 1, EPOCH * BATCH)
    mlp, optimizer, total = plan.trained_mlp, plan.optimizer, plan.epochs * plan.steps_per_epoch
    parameters = mlp.initialize(seed=1, backend=get_backend("numpy"), dtype=dtype)
    given = monkeypatch, recipe, task, dtype, mlp, parameters, total
    expected = recorded(f"{recipe}, {task}, {dtype}", "pytabkit", lambda: steps_of_pytabkit(*given))

    state, losses = first_state(mlp, optimizer, parameters), []
    for step in range(STEPS):
        rows = slice(step % 4 * BATCH, step % 4 * BATCH + BATCH)
        loss, state = training_step(mlp, optimizer, state, x[rows], y[rows])
        losses.append(float(loss))
    assert np.mean(losses[-4:]) < np.mean(losses[:4])  # all batches, once each
    answers = mlp.logits(state.parameters, x)
    if task == "regression":  # theirs are in the units of y, and where the recipe clips, clipped
        answers = answers * TARGETS[task].std() + TARGETS[task].mean()
    arrays = in_their_order(state.parameters, recipe)
    found = {f"parameter {k}": summary(of) for k, of in enumerate(arrays)}
    found |= {"losses": losses, "answers": summary(answers)}
    if recipe == "td-s":
        found["features"] = summary(x)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        wide = 10 * tolerance if name == "answers" else tolerance
        np.testing.assert_allclose(found[name], values, tolerance, wide, err_msg=name)


def test_the_decay_of_realmlp_has_the_factors_of_the_rates_twice():
    """As in pytabkit; biases have none.  A loss without a gradient leaves the decay alone."""
    x = RNG.normal(size=(48, 5))
    settings = Options(
        task="classification", recipe="realmlp-td:members=1", batch_size=16, epochs=2
    )
    plan = plan_for(settings, TableForm((1, 1, 3), (), 2, (3,)), 3, 48)
    mlp = replace(plan.mlp, loss=lambda xp, z, *_: (xp.sum(z) * 0.0, xp.zeros_like(z)))
    optimizer = plan.optimizer
    first = mlp.initialize(seed=0, backend=get_backend("numpy"), dtype="float64")
    state = first_state(mlp, optimizer, first)
    for _ in range(2):  # the rate of the first step is 0
        _, state = training_step(mlp, optimizer, state, x, x[:, :3])
    rate, decay = LogCosine(0.04, total_steps=6)(1), FlatCosine(0.02, total_steps=6)(1)
    factors = {"W": 1.0, "category_E": 1.0, "scale": 36.0, "a": 0.01, "b": 0.0}
    for before, after in zip(first, state.parameters, strict=True):
        for name, array in after.items():
            factor = factors.get(name, 0.01)  # of the waves
            expected = before[name] * (1.0 - factor * rate * decay)
            np.testing.assert_allclose(array, expected, rtol=1e-12, err_msg=name)
            assert factor == 0.0 or (array != before[name]).all()
