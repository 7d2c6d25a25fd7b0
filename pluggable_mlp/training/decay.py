"""Decay of parameters by their names, as RealMLP has it: decoupled, by schedule, not of W alone.

The decay of `AdamW`, Lion and Muon is theirs: of matrices W, by one number.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pluggable_mlp.arrays import Array
from pluggable_mlp.training.optimizer import (
    Coefficients,
    GradientDescent,
    Slots,
    UpdateArguments,
    as_rate,
    beside,
    scheduled_rate,
)
from pluggable_mlp.training.schedules import LearningRate, Schedule
from pluggable_mlp.training.transforms import FactorsByName, RateFactors
from pluggable_mlp.training.trees import Tree

__all__ = ["DecayFactors"]

_DECAY = "decay factor "  # before the factor, in the names of coefficients


@dataclass(frozen=True)
class DecayFactors(FactorsByName):
    """Decoupled weight decay of chosen parameters: w becomes (1 - f rate weight_decay) w, first.

    f is the factor of the parameter's name, and the rate the optimizer's, without the factors of
    `RateFactors`.

    Parameters
    ----------
    optimizer : Optimizer
        One with a learning rate, or `RateFactors` around one.
    weight_decay : float, Schedule or callable
        At least 0; a schedule must not follow the losses, as `Plateau` does.
    factors : dict of float
        By the names of parameters, such as {"W": 1.0, "scale": 36.0}: at least 0.  All others do
        not decay.

    Raises
    ------
    TypeError
        If the optimizer has no learning rate, or the factors are not a dict.
    ValueError
        If a value is out of its range, or, where training begins, no parameter has the name.

    See Also
    --------
    AdamW : The same decay of matrices W alone, by one number.
    torch.optim.AdamW : Its parameter groups have a decay each.

    Examples
    --------
    An input of 0 leaves W without gradients: a step multiplies it by 1 - 0.1 * 0.5.

    >>> from pluggable_mlp import MLP, SGD, DecayFactors, get_backend, train
    >>> mlp, backend = MLP([1, 2]), get_backend("numpy")
    >>> W = mlp.initialize(seed=0, backend=backend)[0]["W"]
    >>> optimizer = DecayFactors(SGD(0.1), 0.5, {"W": 1.0})
    >>> result = train(mlp, [[0.0]], [1], backend=backend, optimizer=optimizer, epochs=1)
    >>> result.parameters[0]["W"] / W
    array([[0.95, 0.95]], dtype=float32)
    """

    optimizer: GradientDescent | RateFactors
    weight_decay: LearningRate
    factors: Mapping[str, float] | tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.optimizer, GradientDescent | RateFactors):
            raise TypeError(
                f"optimizer is {self.optimizer!r}, expected one with a learning rate, or "
                "RateFactors around one; put other transforms around DecayFactors"
            )
        decay = as_rate("weight_decay", self.weight_decay)
        if isinstance(decay, Schedule) and decay.follows_losses:
            raise ValueError(f"weight_decay is {decay!r}, expected a number or a function of t")
        object.__setattr__(self, "weight_decay", decay)

    def coefficients_at(self, t: int) -> Coefficients:
        """Return the inner optimizer's, and 1 - f rate weight_decay for each factor f."""
        inner = self.optimizer
        own = inner.optimizer if isinstance(inner, RateFactors) else inner
        decay = scheduled_rate(self.weight_decay, t, "weight_decay")
        product = scheduled_rate(own.learning_rate, t) * decay
        own_names = {f"{_DECAY}{f}": 1.0 - f * product for f in self.by_name.values()}
        return {**inner.coefficients_at(t), **own_names}

    def _update(self, before: UpdateArguments) -> tuple[Tree, Slots]:
        """Return the inner optimizer's update of the decayed parameters."""
        self.refuse_unknown(before.parameters)  # the slots may be those of another optimizer
        numbers = {name: before.c[f"{_DECAY}{f}"] for name, f in self.by_name.items()}

        def decayed(name: str, w: Array) -> Array:
            return w * beside(numbers[name], w) if name in numbers else w

        parameters = [
            {name: decayed(name, w) for name, w in layer.items()} for layer in before.parameters
        ]
        return self.optimizer.update(*before._replace(parameters=parameters))
