"""Early stopping: when it ends training, and what it keeps."""

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, EarlyStopping, get_backend, train

LOSSES = [3.0, 2.0, 2.5, 1.0, 1.0, 1.5, 2.0, 0.5, 0.1]


def run(backend, callback, epochs=9):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(20, 3)), generator.integers(0, 2, size=20)
    mlp = MLP([3, 4, 2])
    return train(
        mlp, x, y, backend=backend, optimizer=SGD(0.1), epochs=epochs, batch_size=5,
        callbacks=[callback],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("patience", "epochs", "best"), [(1, 3, 2), (2, 6, 4), (3, 7, 4), (4, 9, 9)]
)
def test_it_ends_after_so_many_epochs_without_a_smaller_loss(backend, patience, epochs, best):
    """An equal loss is not smaller; the parameters are those of a run to the best epoch."""
    stopping = EarlyStopping(patience, loss=lambda epoch: LOSSES[epoch.epoch - 1])
    result = run(backend, stopping)
    assert len(result.history) == epochs
    assert (stopping.best_epoch, stopping.best_loss) == (best, LOSSES[best - 1])
    expected = run(backend, lambda epoch: None, epochs=best).parameters
    for own, other in zip(stopping.parameters, expected, strict=True):
        for name, array in own.items():
            assert (backend.to_numpy(array) == backend.to_numpy(other[name])).all()


def test_the_training_loss_is_watched_by_default(backend):
    stopping = EarlyStopping(2)
    result = run(backend, stopping, epochs=4)
    assert stopping.best_loss == min(result.history)


@pytest.mark.parametrize("patience", [0, -1, 1.5, True])
def test_another_patience_is_refused(patience):
    with pytest.raises(ValueError, match="patience is .*, expected an integer of at least 1"):
        EarlyStopping(patience)


def test_a_first_loss_that_is_no_number_is_undercut_by_any():
    stopping = EarlyStopping(5, loss=lambda epoch: [float("nan"), 2.0, 1.0][epoch.epoch - 1])
    run(get_backend("numpy"), stopping, epochs=3)
    assert (stopping.best_epoch, stopping.best_loss) == (3, 1.0)


def test_losses_of_stacked_networks_raise():
    mlp, backend = MLP([3, 2]), get_backend("numpy")
    stacked = [
        {name: np.stack([w, w]) for name, w in of.items()}
        for of in mlp.initialize(seed=0, backend=backend)
    ]
    x, y = np.zeros((4, 3), dtype="float32"), np.zeros(4, dtype=int)
    with pytest.raises(ValueError, match=r"the loss of epoch 1 is \[.*\], one for each network"):
        train(mlp, x, y, backend=backend, parameters=stacked, callbacks=[EarlyStopping(1)])
