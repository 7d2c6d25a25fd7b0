"""Transforms that multiply the rate or the decay of some parameters, chosen by name.

`AdamW`, Lion and Muon have their own decay, one number for all matrices W.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from pluggable_mlp.arrays import Array
from pluggable_mlp.fields import NonNegative, convert, refuse_unknown
from pluggable_mlp.network.parameters import Tree
from pluggable_mlp.training.optimizer import (
    Coefficients,
    GradientDescent,
    Slots,
    UpdateArguments,
    as_decay,
    beside,
    scheduled_rate,
)
from pluggable_mlp.training.schedules import LearningRate
from pluggable_mlp.training.transforms import Transform

_DECAY = "decay by name"


class FactorsByName(Transform):
    """Base of transforms that have a factor for some parameters, by their names."""

    factors: Mapping[str, float] | tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.factors, Mapping | tuple):
            raise TypeError(f'factors is {self.factors!r}, expected a dict such as {{"b": 0.1}}')
        items = dict(self.factors).items()
        checked = [(name, convert(f"factors[{name!r}]", f, NonNegative)) for name, f in items]
        object.__setattr__(self, "factors", tuple(checked))  # which can be hashed

    @cached_property
    def by_name(self) -> dict[str, float]:
        """The factors."""
        return dict(self.factors)

    def initial_slots(self, parameters: Tree) -> Slots:
        """Return the inner optimizer's slots."""
        if parameters:  # called without parameters for the names of the slots
            self.refuse_unknown(parameters)
        return super().initial_slots(parameters)

    def refuse_unknown(self, parameters: Tree) -> None:
        """Raise a ValueError if no parameter has one of the names."""
        refuse_unknown("factors", self.by_name, dict.fromkeys(chain.from_iterable(parameters)))


@dataclass(frozen=True)
class RateFactors(FactorsByName):
    """Multiply the learning rate of some parameters, chosen by name, by a factor.

    The factor applies to a decoupled weight decay, too, as in parameter groups of torch.optim.

    Parameters
    ----------
    optimizer : Optimizer
        One with a learning rate.  Other transforms go around this one.
    factors : dict of float
        Factors of at least 0 by parameter name, such as {"scale": 6.0, "b": 0.1}.  All other
        parameters have the factor 1.

    Raises
    ------
    TypeError
        If the optimizer has no learning rate, or the factors are not a dict.
    ValueError
        If a factor is out of its range, or, when training begins, no parameter has the name.

    See Also
    --------
    torch.optim.Optimizer : Its parameter groups.

    Examples
    --------
    >>> from pluggable_mlp import MLP, SGD, RateFactors, get_backend, train
    >>> x, targets = [[0.0], [1.0]], [0, 1]
    >>> optimizer = RateFactors(SGD(0.1), {"b": 0.1})
    >>> backend = get_backend("numpy")
    >>> result = train(MLP([1, 4, 2]), x, targets, backend=backend, optimizer=optimizer)
    >>> result.history[-1] < result.history[0]
    True
    """

    optimizer: GradientDescent
    factors: Mapping[str, float] | tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.optimizer, GradientDescent):
            raise TypeError(
                f"optimizer is {self.optimizer!r}, expected one with a learning rate, such as "
                "Adam(); put transforms around RateFactors"
            )

    @cached_property
    def _of_groups(self) -> list[float]:
        """The factor of each group of parameters."""
        return [*dict.fromkeys((1.0, *self.by_name.values()))]

    def coefficients_at(self, t: int) -> Coefficients:
        """Return the coefficients of each group, by its factor."""
        rate = scheduled_rate(self.optimizer.learning_rate, t)
        return {
            str(factor): self.optimizer.coefficients(t, rate * factor) for factor in self._of_groups
        }

    def update(self, before: UpdateArguments) -> tuple[Tree, Slots]:
        """Return the parameters and the slots after the update of each group."""
        self.refuse_unknown(before.parameters)
        names = self.optimizer.initial_slots([])  # transforms around this one have slots, too
        trees = [before.parameters, *[before.slots[name] for name in names]]
        groups = zip(*map(self._groups, (before.gradients, *trees)), strict=True)
        after = [[*map(dict, tree)] for tree in trees]  # with all names, in their order
        for factor, (gradients, parameters, *slots) in zip(self._of_groups, groups, strict=True):
            group = before._replace(
                c=before.c[str(factor)],
                parameters=parameters,
                gradients=gradients,
                slots=dict(zip(names, slots, strict=True)),
            )
            updated, moved = self.optimizer.update(group)
            for tree, part in zip(after, [updated, *map(moved.__getitem__, names)], strict=True):
                for layer, arrays in zip(tree, part, strict=True):
                    layer.update(arrays)
        return after[0], dict(zip(names, after[1:], strict=True))

    def _groups(self, tree: Tree) -> list[Tree]:
        """Return a tree for each factor, of the arrays with this factor."""
        groups: dict[float, Tree] = {factor: [{} for _ in tree] for factor in self._of_groups}
        for index, layer in enumerate(tree):
            for name, array in layer.items():
                groups[self.by_name.get(name, 1.0)][index][name] = array
        return [*groups.values()]


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
        Factors of at least 0 by parameter name, such as {"W": 1.0, "scale": 36.0}.  All other
        parameters do not decay.

    Raises
    ------
    TypeError
        If the optimizer has no learning rate, or the factors are not a dict.
    ValueError
        If a value is out of its range, or, when training begins, no parameter has the name.

    See Also
    --------
    AdamW : The same decay, one number for all matrices W.
    torch.optim.AdamW : Each parameter group has its own decay.

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
        object.__setattr__(self, "weight_decay", as_decay(self.weight_decay))

    def coefficients_at(self, t: int) -> Coefficients:
        """Return the inner optimizer's, and 1 - f rate weight_decay for each name."""
        inner = self.optimizer
        innermost = inner.optimizer if isinstance(inner, RateFactors) else inner
        decay = scheduled_rate(self.weight_decay, t, "weight_decay")
        product = scheduled_rate(innermost.learning_rate, t) * decay
        by_name = {name: 1.0 - factor * product for name, factor in self.by_name.items()}
        return {**inner.coefficients_at(t), _DECAY: by_name}

    def update(self, before: UpdateArguments) -> tuple[Tree, Slots]:
        """Return the inner optimizer's update of the decayed parameters."""
        self.refuse_unknown(before.parameters)  # the slots may be those of another optimizer
        inner = {**before.c}
        numbers = inner.pop(_DECAY)  # not a coefficient of a rule

        def decayed(name: str, w: Array) -> Array:
            return w * beside(numbers[name], w) if name in numbers else w

        parameters = [
            {name: decayed(name, w) for name, w in layer.items()} for layer in before.parameters
        ]
        return self.optimizer.update(before._replace(c=inner, parameters=parameters))
