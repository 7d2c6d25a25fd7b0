"""Callbacks of `train`, which are called after each epoch and may stop training."""

import math
from collections.abc import Callable

from pluggable_mlp.fields import PositiveCount, convert
from pluggable_mlp.network.parameters import Parameters
from pluggable_mlp.training.loop import Epoch


class BestEpoch:
    """Finds the best epoch so far, and whether it is too long ago.

    Parameters
    ----------
    patience : int, optional
        How many epochs in a row may be no better; by default any number.
    last : bool, default False
        Whether the last of equal epochs is the best, rather than the first.

    Attributes
    ----------
    best_epoch : int
        0 before the first.
    best_loss : float
    """

    def __init__(self, patience: int | None = None, *, last: bool = False) -> None:
        self.patience, self._last = patience, last
        self._epoch, self.best_epoch, self.best_loss = 0, 0, math.inf

    def is_best(self, epoch: int, loss: float) -> bool:
        """Note the loss of an epoch, and return whether it is the best so far."""
        self._epoch = epoch
        better = loss <= self.best_loss if self._last else loss < self.best_loss
        best = better or not self.best_epoch
        if best:
            # NaN would never be undercut: the first epoch counts as best, its loss as infinite.
            self.best_epoch, self.best_loss = epoch, math.inf if math.isnan(loss) else loss
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

    def __init__(self, patience: int, loss: Callable[[Epoch], float] | None = None) -> None:
        super().__init__(convert("patience", patience, PositiveCount))
        self._loss = loss
        self.parameters: Parameters | None = None

    def __call__(self, epoch: Epoch) -> bool:
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
