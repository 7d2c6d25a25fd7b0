"""Networks for tables, alone and as members: the same bits everywhere, saved and exported."""

import numpy as np
import pytest

from pluggable_mlp import TableClassifier, TableRegressor, get_backend, load_dataset
from pluggable_mlp.options import Options
from pluggable_mlp.plan import Plan
from pluggable_mlp.runs.run import Run
from tests.distributed.threads import on_threads
from tests.estimators.tables import COLUMNS, LABELS, pl

pytestmark = pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")
X = pl.DataFrame(COLUMNS)
CITIES = X.with_columns(pl.Series("town", [f"t{row % 11}" for row in range(len(X))]))
RECIPES = "realmlp-td-s", "realmlp-td"
MEMBERS = [
    "realmlp-td:members=1",
    "realmlp-td:members=3",
    *(f"{name}:members=3,own_batches=true" for name in ("realmlp-td-s", "tabm", "tabm-mini")),
]
ON_JAX = MEMBERS[1], MEMBERS[-1]  # embeddings of both kinds; batches in common, and of their own
QUICK = {"hidden": (8, 8), "batch_size": 16, "arithmetic": "reproducible"}


def sha256(recipe, backend, communicator=None):
    """The parameters, with embeddings of numbers and categories."""
    settings = Options(recipe=recipe, epochs=2, **QUICK)
    data = load_dataset(CITIES.with_columns(pl.Series("y", LABELS)), recipe=settings.recipe)
    run = Run(Plan.for_dataset(settings, data), data, backend, communicator)
    return [*run.train()] and run.history[-1]["parameters_sha256"]


@pytest.mark.parametrize("recipe", MEMBERS)
def test_networks_have_the_same_bits_on_all_libraries(recipe, backend):
    if backend.name == "jax" and recipe not in ON_JAX:
        pytest.skip("JAX compiles each operation: the other libraries have all")
    assert sha256(recipe, backend) == sha256(recipe, get_backend("numpy"))


@pytest.mark.parametrize("recipe", MEMBERS)
def test_networks_have_the_same_bits_on_three_processes(recipe):
    host = get_backend("numpy")
    expected = sha256(recipe, host)
    assert on_threads(3, lambda communicator: sha256(recipe, host, communicator)) == [expected] * 3


@pytest.mark.parametrize("recipe", MEMBERS[2:])
def test_batches_of_their_own_are_other_batches(recipe):
    host = get_backend("numpy")
    assert sha256(recipe, host) != sha256(recipe.removesuffix(",own_batches=true"), host)


@pytest.mark.parametrize(
    ("kind", "recipe"), [(TableClassifier, "realmlp-td-s"), (TableRegressor, "realmlp-td")]
)
def test_members_are_saved_and_exported_and_counted(tmp_path, recipe, kind):
    numbers = np.random.default_rng(0).normal(size=(60, 3))
    y = numbers[:, 0] if kind is TableRegressor else (numbers[:, 0] > 0).astype(int)
    parameters = {"max_iter": 30, "random_state": 0, "hidden": (8,)}
    if kind is TableClassifier:
        parameters["calibrate"] = True  # exported, too
    one, alone, model = (
        kind(name, n_members=n, **parameters).fit(numbers, y)
        for name, n in ((f"{recipe}:own_batches=true", 1), (recipe, 1), (recipe, None))
    )
    answer = "predict_proba" if kind is TableClassifier else "predict"
    expected = getattr(model, answer)(numbers)
    assert np.array_equal(getattr(one, answer)(numbers), getattr(alone, answer)(numbers))
    assert not np.allclose(getattr(one, answer)(numbers), expected, rtol=1e-3)
    model.save(tmp_path / "model")
    assert np.array_equal(getattr(kind.load(tmp_path / "model"), answer)(numbers), expected)
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("ndonnx")
    for saved, outputs in ((one, getattr(one, answer)(numbers)), (model, expected)):
        saved.to_onnx(tmp_path / "model.onnx")
        session = runtime.InferenceSession(tmp_path / "model.onnx")
        *_, found = session.run(None, {"X": numbers})
        np.testing.assert_allclose(np.squeeze(found), np.squeeze(outputs), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("recipe", RECIPES)
def test_there_are_eight_up_to_1024_rows_for_training(recipe):
    """By themselves, or beside rows for validation; more only if they are asked for."""
    x = np.random.default_rng(0).normal(size=(1281, 2))
    parameters = {"max_iter": 1, "random_state": 0, "hidden": (4,)}
    for rows, share, members in ((1024, 0.0, 8), (1025, 0.0, 1), (1280, 0.2, 8), (1281, 0.2, 1)):
        model = TableRegressor(recipe, validation_fraction=share, **parameters)
        ensemble = model.fit(x[:rows], x[:rows, 0]).network_.ensemble
        assert (1 if ensemble is None else ensemble.members) == members
    assert model.set_params(n_members=2).fit(x, x[:, 0]).network_.ensemble.members == 2
    model.set_params(n_members=None, optimizer="lbfgs:history=3", dropout=0.0)
    assert model.fit(x[:60], x[:60, 0]).network_.ensemble is None  # as for one loss


def test_their_number_is_checked():
    with pytest.raises(ValueError, match="n_members"):
        TableClassifier(n_members=0).fit(X, LABELS)
    with pytest.raises(ValueError, match=r"members is 0, expected an integer of at least 1"):
        Options(recipe="realmlp-td-s:members=0")
