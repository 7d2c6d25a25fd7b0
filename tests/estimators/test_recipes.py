"""RealMLP-TD-S as a whole, from a table to parameters after 50 steps, against pytabkit's own."""

import numpy as np
import pytest

from pluggable_mlp import first_state, get_backend, training_step
from pluggable_mlp.data.build import build_dataset
from pluggable_mlp.data.dataset import Source, Split
from pluggable_mlp.data.frame import Frame, Texts
from pluggable_mlp.settings import Settings
from pluggable_mlp.training.recipes import TableForm
from tests.published import import_pytabkit

torch = pytest.importorskip("torch")
RECIPE = "realmlp-td-s"
STEPS, ROWS, BATCH = 50, 64, 16
EPOCH = 32  # so many steps: the rate rises as for 8,192 rows
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(ROWS, 3)) * [1.0, 5.0, 0.2] + [0.0, 3.0, 1.0]
NUMBERS[:, 2] = NUMBERS[:, 2] > 1.2  # whose quartiles are equal
CODES = np.stack([RNG.integers(0, 2, ROWS), RNG.integers(-1, 4, ROWS)], axis=1)
TARGETS = {
    "classification": RNG.integers(0, 3, ROWS),
    "regression": RNG.normal(size=ROWS) * 3.0 + 2.0,
}
FORM = TableForm((1, 1, 1, 1, 4))


@pytest.fixture
def pytabkit(monkeypatch):
    return import_pytabkit(monkeypatch)


@pytest.fixture
def dtype(request):
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, request.param))
    yield request.param
    torch.set_default_dtype(before)


def in_pytabkit(pytabkit, task, dtype):
    """Their model with their defaults, fitted to the table; and the table as it takes it."""
    data, base = pytabkit("data.data"), pytabkit("nn_models.base")
    defaults = pytabkit("sklearn.default_params").DefaultParams
    is_class = task == "classification"
    config = defaults.RealMLP_TD_S_CLASS if is_class else defaults.RealMLP_TD_S_REG
    y = TARGETS[task] if is_class else TARGETS[task].astype(dtype)
    tensors = {"x_cont": NUMBERS.astype(dtype), "x_cat": CODES + 1, "y": y[:, None]}
    infos = {
        "x_cont": data.TensorInfo(feat_shape=[3]),
        "x_cat": data.TensorInfo(cat_sizes=[3, 5]),  # 0 is a missing one
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
    return config, model, encoded


def prepared(task):
    """The table as our preparation makes it."""
    sex, city = (
        Texts(tuple("abcd"[:count]), CODES[:, place].astype(np.int32))
        for place, count in enumerate((2, 4))
    )
    frame = Frame(("u", "v", "w", "sex", "city"), (*NUMBERS.T, sex, city))
    split = Split(frame, TARGETS[task])
    scaled = "standard" if task == "regression" else None
    source = Source("example", {"train": split})
    dataset = build_dataset(
        source, 0, task, validation=0, target_scaling=scaled, test_share=0.0, recipe=RECIPE
    )
    inputs, targets = dataset.train
    return inputs[:], targets if task == "classification" else targets[:, None]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pytabkit scripts functions
@pytest.mark.parametrize(
    ("task", "dtype"),
    [
        ("classification", "float64"),
        pytest.param("classification", "float32", marks=pytest.mark.slow),
        pytest.param("regression", "float64", marks=pytest.mark.slow),
        pytest.param("regression", "float32", marks=pytest.mark.slow),
    ],
    indirect=["dtype"],
)
def test_fifty_steps_agree_with_pytabkit(pytabkit, task, dtype):
    tolerance = {"float64": 1e-9, "float32": 1e-5}[dtype]
    config, model, encoded = in_pytabkit(pytabkit, task, dtype)
    x, y = prepared(task)
    theirs = model.tfms[0](encoded.tensors)["x_cont"].numpy()
    signs = np.where(np.sign(theirs[:, 3]) == np.sign(x[:, 3]), 1, -1)
    x[:, 3] *= signs[0]  # which of two categories is 1 matters to nothing
    np.testing.assert_allclose(x, theirs, rtol=tolerance, atol=tolerance)

    settings = Settings(task=task, recipe=RECIPE, batch_size=BATCH)
    backend, x = get_backend("numpy"), x.astype(dtype)
    y = y if task == "classification" else y.astype(dtype)
    mlp = settings.make_mlp(FORM, 3 if task == "classification" else 1)
    optimizer = settings.make_optimizer(EPOCH * BATCH)
    parameters = mlp.initialize(seed=1, backend=backend, dtype=dtype)
    ours = [array for layer in parameters for array in layer.values()]
    with torch.no_grad():
        for theirs, array in zip(model.parameters(), ours, strict=True):
            theirs.copy_(torch.tensor(array).reshape(theirs.shape))
    groups = [{"params": [of], "factor": of.hyper_factors["lr"]} for of in model.parameters()]
    adam = torch.optim.Adam(groups, lr=1.0, betas=(0.9, config["sq_mom"]))
    rate = pytabkit("training.scheduling").get_schedule(config["lr_sched"])
    loss_of = pytabkit("training.metrics")
    loss_of = loss_of.cross_entropy if task == "classification" else loss_of.mse

    state, found, expected = first_state(mlp, optimizer, parameters), [], []
    for step in range(STEPS):
        rows = slice(step % 4 * BATCH, step % 4 * BATCH + BATCH)
        loss, state = training_step(mlp, optimizer, state, x[rows], y[rows])
        found.append(float(loss))
        after = model.train()({name: of[rows] for name, of in encoded.tensors.items()})
        labels = after["y"]
        if task == "classification":  # theirs are smoothed in float32
            smoothing, classes = config["ls_eps"], labels.shape[1]
            labels = (1.0 - smoothing) * (labels > 0.5).to(after["x_cont"].dtype)
            labels = labels + smoothing / classes
        loss = loss_of(after["x_cont"], labels).mean()
        adam.zero_grad()
        loss.backward()
        for group in adam.param_groups:
            now = rate.f(step / (config["n_epochs"] * EPOCH))
            group["lr"] = config["lr"] * now * group["factor"]
        adam.step()
        expected.append(float(loss.detach()))
    assert found == pytest.approx(expected, rel=tolerance, abs=tolerance)
    assert np.mean(expected[-4:]) < np.mean(expected[:4])  # all batches, once each
    ours = [array for layer in state.parameters for array in layer.values()]
    for theirs, array in zip(model.parameters(), ours, strict=True):
        values = theirs.detach().numpy().reshape(array.shape)
        np.testing.assert_allclose(array, values, rtol=tolerance, atol=tolerance)
