"""The best epoch of a training, and a callback that stops training when it is long ago."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from pluggable_mlp.fields import PositiveCount, convert
from pluggable_mlp.network.parameters import Parameters

if TYPE_CHECKING:
    from pluggable_mlp.training.loop import Epoch


class BestEpoch:
    """Finds the best epoch so far, and whether it is too long ago.

    Parameters
    ----------
    patience : int, optional
        How many epochs in a row may be no better; by default any number.

    Attributes
    ----------
    best_epoch : int
        0 before the first.
    best_loss : float
    """

    def __init__(self, patience: int | None = None) -> None:
        self.patience: int | None = patience
        self.best_epoch: int = 0
        self.best_loss: float = math.inf
        self._epoch = 0
        self._losses: tuple[float, ...] = ()

    def is_best(self, epoch: int, *losses: float) -> bool:
        """Note an epoch, and return whether it is the best so far, by the first loss to differ."""
        losses = tuple(math.inf if math.isnan(loss) else loss for loss in losses)
        self._epoch = epoch
        best = not self.best_epoch or losses < self._losses
        if best:
            self.best_epoch, self.best_loss, self._losses = epoch, losses[0], losses
        return best

    @property
    def is_over(self) -> bool:
        """Whether `patience` epochs have passed since the best one."""
        return self.patience is not None and self._epoch - self.best_epoch >= self.patience


class EarlyStopping(BestEpoch):
    """Stop training when a loss has not decreased for some epochs, and keep the best parameters.

    One instance serves one training of one network.

    Parameters
    ----------
    patience : int
        How many epochs in a row may bring no smaller loss, at least 1.
    loss : callable, optional
        Returns the loss to watch for an `Epoch`, such as that of a validation part; by default its
        training loss.

    Attributes
    ----------
    best_epoch : int
        The epoch with the smallest loss; 0 before the first.
    best_loss : float
    parameters : list of dict of arrays or None
        Those of the best epoch.

    See Also
    --------
    keras.callbacks.EarlyStopping

    Examples
    --------
    >>> from pluggable_mlp import MLP, SGD, EarlyStopping, get_backend, train
    >>> stopping = EarlyStopping(patience=2)
    >>> result = train(
    ...     MLP([1, 2]), [[0.0], [1.0]], [0, 1], backend=get_backend("numpy"),
    ...     optimizer=SGD(0.0), callbacks=[stopping],
    ... )
    >>> stopping.best_epoch, len(result.history)  # a rate of 0 improves nothing
    (1, 3)
    """

    def __init__(self, patience: int, loss: "Callable[[Epoch], float] | None" = None) -> None:
        super().__init__(convert("patience", patience, PositiveCount))
        self._loss = loss
        self.parameters: Parameters | None = None

    def __call__(self, epoch: "Epoch") -> bool:
        """Return whether training is to stop after this epoch."""
        loss = epoch.train_loss if self._loss is None else self._loss(epoch)
        if isinstance(loss, list):
            raise ValueError(
                f"the loss of epoch {epoch.epoch} is {loss}, one for each network, expected a "
                "number: train each network alone, or watch their mean by loss="
            )
        if self.is_best(epoch.epoch, loss):
            self.parameters = epoch.parameters
        return self.is_over
