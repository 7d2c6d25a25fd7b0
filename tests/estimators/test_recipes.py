"""RealMLP as a whole, from a table to parameters after 50 steps, against pytabkit's own."""

from types import SimpleNamespace

import numpy as np
import pytest

from pluggable_mlp import first_state, get_backend, training_step
from pluggable_mlp.data.build import build_dataset
from pluggable_mlp.data.dataset import Source, Split
from pluggable_mlp.data.frame import Frame, Texts
from pluggable_mlp.network.layers import Dropout, Rng
from pluggable_mlp.settings import Settings
from pluggable_mlp.training.recipes import TableForm
from tests.published import import_pytabkit

torch = pytest.importorskip("torch")
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


@pytest.fixture
def pytabkit(monkeypatch):
    return import_pytabkit(monkeypatch)


@pytest.fixture
def dtype(request):
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, request.param))
    yield request.param
    torch.set_default_dtype(before)


def in_pytabkit(pytabkit, recipe, task, dtype):
    """Their model with their defaults, fitted to the table, and their optimizer."""
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
    texts = [
        Texts(tuple("abcdefghij"[:count]), CODES[recipe][:, place].astype(np.int32))
        for place, count in enumerate(CATEGORIES[recipe])
    ]
    frame = Frame(("u", "v", "w", *names), (*NUMBERS.T, *texts))
    split = Split(frame, TARGETS[task])
    scaled = "standard" if task == "regression" else None
    source = Source("example", {"train": split})
    dataset = build_dataset(
        source,
        0,
        task,
        validation=0,
        target_scaling=scaled,
        test_share=0.0,
        recipe=f"realmlp-{recipe}",
    )
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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pytabkit scripts functions
@pytest.mark.parametrize(
    ("recipe", "task", "dtype"),
    [
        ("td-s", "classification", "float64"),
        ("td", "classification", "float64"),
        pytest.param("td-s", "classification", "float32", marks=pytest.mark.slow),
        pytest.param("td-s", "regression", "float64", marks=pytest.mark.slow),
        pytest.param("td-s", "regression", "float32", marks=pytest.mark.slow),
        pytest.param("td", "classification", "float32", marks=pytest.mark.slow),
        pytest.param("td", "regression", "float64", marks=pytest.mark.slow),
        pytest.param("td", "regression", "float32", marks=pytest.mark.slow),
    ],
    indirect=["dtype"],
)
def test_fifty_steps_agree_with_pytabkit(monkeypatch, pytabkit, recipe, task, dtype):
    tolerance = {"float64": 1e-9, "float32": 1e-5}[dtype]
    config, model, encoded, theirs, manager = in_pytabkit(pytabkit, recipe, task, dtype)
    x, y = prepared(recipe, task)
    if recipe == "td-s":
        features = model.tfms[0](encoded.tensors)["x_cont"].numpy()
        signs = np.where(np.sign(features[:, 3]) == np.sign(x[:, 3]), 1, -1)
        x[:, 3] *= signs[0]  # which of two categories is 1 matters to nothing
        np.testing.assert_allclose(x, features, rtol=tolerance, atol=tolerance)
    else:
        x[:, 3] *= -1.0  # the same sign as theirs

    ends = None if task == "classification" else (y.min(), y.max())
    form = TableForm(BLOCKS[recipe], (), 3, (10,) * (recipe == "td"), ends)
    backend, x = get_backend("numpy"), x.astype(dtype)
    y = y if task == "classification" else y.astype(dtype)
    # Of 64 steps the last ones have less dropout and decay; rates grow too fast for float32.
    few = {"epochs": 64 // EPOCH} if (recipe, dtype) == ("td", "float64") else {}
    settings = Settings(task=task, recipe=f"realmlp-{recipe}", batch_size=BATCH, **few)
    mlp = settings.make_mlp(form, 3 if ends is None else 1)
    mlp = settings.scheduled(mlp, EPOCH * BATCH)
    optimizer = settings.make_optimizer(EPOCH * BATCH, mlp)
    total = settings.total_steps(EPOCH * BATCH)
    parameters = mlp.initialize(seed=1, backend=backend, dtype=dtype)
    with torch.no_grad():
        arrays = in_their_order(parameters, recipe)
        for of_theirs, array in zip(model.parameters(), arrays, strict=True):
            of_theirs.copy_(torch.tensor(array).reshape(of_theirs.shape))
    loss_of = pytabkit("training.metrics")
    loss_of = loss_of.cross_entropy if task == "classification" else loss_of.mse
    at = {}
    if recipe == "td":
        with_our_masks(monkeypatch, pytabkit, mlp, at)

    state, found, expected = first_state(mlp, optimizer, parameters), [], []
    for step in range(STEPS):
        at["t"] = step
        rows = slice(step % 4 * BATCH, step % 4 * BATCH + BATCH)
        loss, state = training_step(mlp, optimizer, state, x[rows], y[rows])
        found.append(float(loss))
        progress = SimpleNamespace(get_fit_progress=lambda step=step: step / total)
        manager.update_hypers(SimpleNamespace(progress=progress))
        after = model.train()({name: of[rows] for name, of in encoded.tensors.items()})
        labels = smoothed(after, config) if task == "classification" else after["y"]
        loss = loss_of(after["x_cont"], labels).mean()
        theirs.zero_grad()
        loss.backward()
        theirs.step()
        expected.append(float(loss.detach()))
    assert found == pytest.approx(expected, rel=tolerance, abs=tolerance)
    assert np.mean(expected[-4:]) < np.mean(expected[:4])  # all batches, once each
    arrays = in_their_order(state.parameters, recipe)
    for of_theirs, array in zip(model.parameters(), arrays, strict=True):
        values = of_theirs.detach().numpy().reshape(array.shape)
        np.testing.assert_allclose(array, values, rtol=tolerance, atol=tolerance)
    assert_evaluation_agrees(mlp, state, x, model, encoded, y, tolerance)


def assert_evaluation_agrees(mlp, state, x, model, encoded, y, tolerance):
    """Theirs are in the units of y, and where the recipe clips, clipped."""
    with torch.no_grad():
        theirs = model.eval()(dict(encoded.tensors))["x_cont"].numpy()
    ours = mlp.logits(state.parameters, x)
    if y.ndim > 1:
        target = TARGETS["regression"]
        ours = ours * target.std() + target.mean()
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=10 * tolerance)
