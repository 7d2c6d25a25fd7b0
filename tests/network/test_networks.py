"""Networks of one recipe that are trained together: each as by itself, and their mean."""

import numpy as np
import pytest

from pluggable_mlp import LBFGS, MLP, SGD, Adam, Networks, get_backend, make_schedule, sweep, train
from pluggable_mlp.host.randomness import words

KIND = {
    "plain": {"activation": "tanh"},
    "table": {
        "activation": "selu", "parametrization": "ntk", "input_scaling": True, "norm": "batch",
        "initializer": "standard_normal", "parametric_activation": True, "dropout": 0.25,
    },
}  # fmt: skip


def pair(kind, loss):
    of_loss = {"loss": loss, **KIND[kind]}
    outputs = 3 if loss == "softmax_cross_entropy" else 2
    sizes, ensemble = [4, 6, 5, outputs], Networks(3, own_batches=kind == "plain")
    return MLP(sizes, **of_loss), MLP(sizes, ensemble=ensemble, **of_loss)


def at(parameters, place):
    return [{name: array[place] for name, array in layer.items()} for layer in parameters]


@pytest.mark.parametrize("kind", KIND)
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "sigmoid_cross_entropy", "huber"])
def test_each_is_trained_as_by_itself(kind, loss):
    """To rounding: the same sums, in products of other sizes; or in an order of its own."""
    rng, backend = np.random.default_rng(0), get_backend("numpy")
    single, together = pair(kind, loss)
    x, weights = rng.normal(size=(40, 4)), rng.uniform(0.5, 2.0, size=40)
    y = {
        "softmax_cross_entropy": rng.integers(0, 3, 40), "huber": rng.normal(size=(40, 2)),
        "sigmoid_cross_entropy": rng.integers(0, 2, (40, 2)) * 1.0,
    }[loss]  # fmt: skip
    how = {"backend": backend, "optimizer": Adam(0.01), "epochs": 3, "batch_size": 16}
    how |= {"sample_weight": weights, "dtype": "float64"}
    initial = together.initialize(seed=0, backend=backend, dtype="float64")
    result = train(together, x, y, parameters=initial, **how)
    seeds = words(0, "members", 0, 3).tolist() if kind == "plain" else [0] * 3
    alone = [
        train(single, x, y, parameters=at(initial, place), seed=seed, **how)
        for place, seed in enumerate(seeds)
    ]
    assert len({float(one.history[0]) for one in alone}) == 3
    mean = np.mean([one.history for one in alone], axis=0)
    assert result.history == pytest.approx(mean, rel=1e-9)
    for place, one in enumerate(alone):
        for layer, expected in zip(at(result.parameters, place), one.parameters, strict=True):
            for name, array in expected.items():
                np.testing.assert_allclose(layer[name], array, rtol=1e-9, atol=1e-12)
    method = "predict" if loss == "huber" else "predict_proba"
    answers = [getattr(single, method)(one.parameters, x) for one in alone]
    found = getattr(together, method)(result.parameters, x)
    np.testing.assert_allclose(found, np.mean(answers, axis=0), rtol=1e-9)


def test_they_have_no_other_leading_axes_and_a_plateau_follows_their_one_loss():
    mlp, backend = MLP([4, 5, 3], ensemble=Networks(2)), get_backend("numpy")
    x, y = np.random.default_rng(0).normal(size=(6, 4)), [0, 1, 2] * 2
    how = {"backend": backend, "dtype": "float64"}
    with pytest.raises(ValueError, match=r"settings\[0\]: mlp has ensemble Networks"):
        sweep(mlp, x, y, [{"seed": 1}, {"seed": 2}], **how)
    one = mlp.initialize(seed=0, **how)
    two = [{name: np.stack([array] * 2) for name, array in layer.items()} for layer in one]
    with pytest.raises(ValueError, match=r"axes \(2,\), expected none beside Networks"):
        mlp.logits(two, x)
    plateau = SGD(make_schedule("plateau", 0.1))
    assert len(train(mlp, x, y, optimizer=plateau, epochs=2, **how).history) == 2
    with pytest.raises(ValueError, match="lbfgs"):
        train(mlp, x, y, optimizer=LBFGS(), epochs=1, **how)
