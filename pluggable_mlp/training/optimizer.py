"""The interface of an optimizer, the base class of those with a learning rate, and helpers.

An optimizer is a frozen set of hyperparameters without a state: its slots, trees of arrays
structured like the parameters, are part of the `TrainState`, and its coefficients, Python floats,
are a function of t, the count of previous updates.  Formulas belong in `optimizers.py`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, NamedTuple, Self, TypeAlias, TypeVar

from pluggable_mlp.arrays import Array, Namespace, Nested, array_namespace
from pluggable_mlp.arrays.shortcuts import own
from pluggable_mlp.fields import Component, NonNegative, convert
from pluggable_mlp.host.elementary import numpy_array
from pluggable_mlp.network.layers import Layer
from pluggable_mlp.network.parameters import Tree, first_array, map_arrays, with_leaves
from pluggable_mlp.training.schedules import LearningRate, Schedule

Arrays: TypeAlias = tuple[Array, ...]
Slots: TypeAlias = dict[str, Tree]
Coefficient: TypeAlias = float | Array
"""A float; on the device perhaps a number of each network (…), an array or `DeviceScalar`."""

Coefficients: TypeAlias = dict[str, Nested]
"""Each a `Coefficient`, by name; those of an optimizer within another are a dict of their own."""

Function = TypeVar("Function", bound=Callable[..., object])


class Rule(NamedTuple):
    """An optimizer's rule at one update, which an `Update` applies.

    Attributes
    ----------
    function : callable
        (w, g, *slots) -> (w, *slots), for arrays of one shape.
    kernel : str or None
        Its name if libraries have it as one operation, else ""; None if it is not the same for
        each element.  "adam", with slots m and v and the numbers rate, epsilon, beta1 and beta2: m
        becomes beta1 m + (1 - beta1) g, v becomes beta2 v + (1 - beta2) g^2, and w becomes
        w - rate m / (sqrt(v) + epsilon).
    numbers : dict of float or array
        The arguments of such an operation.
    decay : sequence of float, array or None
        For each array, the number that multiplies it first, if any.
    """

    function: Callable[..., tuple[Array, ...]]
    kernel: str | None
    numbers: Coefficients
    decay: Sequence[Coefficient | None]

    def each_array(
        self, parameters: Sequence[Array], *others: Sequence[Array]
    ) -> Sequence[Sequence[Array]]:
        """Return (parameters, *slots) after the rule, array by array: pure, on every library."""
        decayed = [
            w if decay is None else w * decay
            for w, decay in zip(parameters, self.decay, strict=True)
        ]
        results = [self.function(*arrays) for arrays in zip(decayed, *others, strict=True)]
        return [*zip(*results, strict=True)] or [()] * len(others)


Update: TypeAlias = Callable[..., Sequence[Sequence[Array]] | None]
"""(rule, parameters, gradients, *slots) -> (parameters, *slots), each a sequence of arrays.

It returns None if it has written them over the old ones."""

each_array: Update = Rule.each_array


class UpdateArguments(NamedTuple):
    """The arguments of `Optimizer.update`.

    Attributes
    ----------
    xp
        The namespace of the arrays.
    c : dict
        The coefficients of the update.
    parameters, gradients : list of dict of arrays
    slots : dict of lists of dicts of arrays
    layers : sequence of Layer
        The layer of each dict of the parameters, which says what its arrays are.
    apply : callable
        Applies rules that are the same for each element.  It may overwrite all arrays, and returns
        None if the old ones hold the results.
    """

    xp: Namespace
    c: Coefficients
    parameters: Tree
    gradients: Tree
    slots: Slots
    layers: Sequence[Layer]
    apply: Update = each_array


def elementwise(kernel: str = "") -> Callable[[Function], Function]:
    """Mark a rule, or coefficients, that do the same to each element, whatever array holds it.

    Parameters
    ----------
    kernel : str, default ""
        Its name in `Rule`, if libraries have it as one operation.
    """

    def mark(rule: Function) -> Function:
        vars(rule)["elementwise"] = rule, kernel  # `functools.wraps` copies it: of this rule alone
        return rule

    return mark


def kernel_of(rule: Callable[..., object]) -> str | None:
    """Return the kernel of a rule that is itself marked by `elementwise`; None for others."""
    owner, kernel = getattr(rule, "elementwise", (None, None))
    return kernel if owner is rule else None


def beside(number: Array, x: Array) -> Array:
    """Return numbers of networks (…) with the axes of x (…, *core); a single one unchanged."""
    axes = getattr(number, "ndim", 0)
    return number[(..., *[None] * (x.ndim - axes))] if axes else number


class Optimizer(Component, ABC):
    """The interface of an optimizer that makes one update from the gradients of one batch.

    Parameters, gradients and slots are lists with one dict of arrays per layer; arrays have leading
    axes for independent networks.

    See Also
    --------
    make_optimizer : Makes one by its name.

    Examples
    --------
    >>> from pluggable_mlp import LBFGS, Adam, Optimizer
    >>> isinstance(Adam(), Optimizer), isinstance(LBFGS(), Optimizer)  # not from one batch
    (True, False)
    """

    @property
    def follows_losses(self) -> bool:
        """Whether the learning rate depends on the losses of previous epochs."""
        return self.after(()) is not self

    def after(self, losses: Sequence[float]) -> "Optimizer":
        """Return the optimizer for the epoch that follows epochs with these mean losses.

        If the learning rate depends on losses, it is a new object, even without losses.
        """
        return self

    @abstractmethod
    def coefficients_at(self, t: int) -> Coefficients:
        """Return the numbers of the update after t others."""

    def coefficients_of(self, counts: range) -> Coefficients:
        """Return `coefficients_at` for at least one count: a list for each coefficient."""
        return columns([self.coefficients_at(t) for t in counts])

    def gradient_scale(self, c: Coefficients) -> Coefficient | None:
        """Return s if the update is w + s g without slots, otherwise None.

        The training step then multiplies the gradient of the loss by s.  As the backward pass is
        linear, this saves a pass over all parameters.
        """
        return None

    @abstractmethod
    def initial_slots(self, parameters: Tree) -> Slots:
        """Return the slots before the first update."""

    @abstractmethod
    def update(self, before: UpdateArguments) -> tuple[Tree, Slots]:
        """Return the parameters and the slots after the update.

        It consists of array operations without branches on values, so that it can be compiled.
        """


class GradientDescent(Optimizer):
    """Base of optimizers that update each array by a rule, with learning rate, slots and decay."""

    learning_rate: LearningRate
    slots: ClassVar[tuple[str, ...]] = ()
    """The names of what the rule remembers of each array, zeros at first."""

    def __post_init__(self) -> None:
        rate = as_rate("learning_rate", self.learning_rate)
        object.__setattr__(self, "learning_rate", rate)
        super().__post_init__()

    def after(self, losses: Sequence[float]) -> Self:
        """Return the optimizer with its schedule for the epoch after these mean losses."""
        schedule = self.learning_rate
        following = schedule.after(losses) if isinstance(schedule, Schedule) else schedule
        return self if following is schedule else self.replaced(learning_rate=following)

    def coefficients_at(self, t: int) -> Coefficients:
        """Return `coefficients` with the learning rate of the update that follows t others."""
        return self.coefficients(t, scheduled_rate(self.learning_rate, t))

    def coefficients_of(self, counts: range) -> Coefficients:
        """See `Optimizer.coefficients_of`: computed at once if `coefficients` takes arrays."""
        kind = type(self)
        by_count = kernel_of(kind.coefficients) is None
        if by_count or kind.coefficients_at is not GradientDescent.coefficients_at:
            return super().coefficients_of(counts)
        rates = [scheduled_rate(self.learning_rate, t) for t in counts]
        at_once = self.coefficients(numpy_array(counts), numpy_array(rates))
        return {name: numbers.tolist() for name, numbers in at_once.items()}

    @elementwise()
    def coefficients(self, t: int, rate: float) -> Coefficients:
        """Return the coefficients of the rule for the update that follows t others.

        Powers are computed by `integer_power`, since pow differs between machines.  "decay", if
        present, multiplies the layers' `weights` before the rule (Loshchilov and Hutter, "Decoupled
        weight decay regularization", 2019).  One marked by `elementwise` takes NumPy arrays of t
        and rate, too, and returns arrays.
        """
        return {"rate": rate}

    @abstractmethod
    def rule(self, xp: Namespace, c: Coefficients, w: Array, g: Array, *slots: Array) -> Arrays:
        """Return (w, *slots) after the update of one parameter w by its gradient g.

        All arrays have the shape of w.  The rule must not change its arguments.  One that does the
        same to each element is marked by `elementwise`, so that it may be applied to many arrays
        at once.
        """

    def initial_slots(self, parameters: Tree) -> Slots:
        """Return zeros for each slot."""
        with_arrays = [*filter(None, parameters)]
        if not with_arrays:  # called for the names of the slots
            return {slot: [*map(dict, parameters)] for slot in self.slots}
        xp = array_namespace(first_array(with_arrays))
        zeros_like = own(xp, "zeros_like")
        return {slot: map_arrays(zeros_like, parameters) for slot in self.slots}

    def kernel_numbers(self, c: Coefficients) -> Coefficients:
        """Return the numbers of the rule's kernel, if it has one."""
        return c

    def update(self, before: UpdateArguments) -> tuple[Tree, Slots]:
        """Return the parameters and the slots after applying the rule to each array."""
        parameters = before.parameters
        # Every step passes here: hence no call for each tree.
        places = [(index, name) for index, layer in enumerate(parameters) for name in layer]
        trees = [parameters, before.gradients, *[before.slots[slot] for slot in self.slots]]
        arrays = [[tree[index][name] for index, name in places] for tree in trees]
        rule = self._rule_at(before)
        apply = each_array if rule.kernel is None else before.apply
        results = apply(rule, *arrays)
        if results is None:
            return parameters, {slot: before.slots[slot] for slot in self.slots}
        updated, *moved = [with_leaves(parameters, column) for column in results]
        return updated, dict(zip(self.slots, moved, strict=True))

    def _rule_at(self, before: UpdateArguments) -> Rule:
        """Return the rule of an update."""
        xp, c = before.xp, before.c
        decay, kernel = c.get("decay"), kernel_of(type(self).rule)
        function = partial(self.rule, xp, c)
        if any(getattr(number, "ndim", 0) for number in c.values()):  # of each network
            function, kernel = partial(self._rule_of_networks, xp, c), None
        elif kernel is not None and (at_once := own(xp, "in_one_kernel")) is not None:
            function = partial(at_once, _OfCoefficients(self.rule, tuple(c)), *c.values())
        decays = [
            beside(decay, w) if decay is not None and name in layer.weights else None
            for layer, arrays in zip(before.layers, before.parameters, strict=True)
            for name, w in arrays.items()
        ]
        return Rule(function, kernel, self.kernel_numbers(c), decays)

    def _rule_of_networks(self, xp: Namespace, c: Coefficients, w: Array, *others: Array) -> Arrays:
        """Return the result of the rule, whose coefficients may differ by network."""
        return self.rule(xp, {name: beside(number, w) for name, number in c.items()}, w, *others)


def as_single_steps(optimizer: object) -> Optimizer:
    """Return the optimizer if it uses a single batch at a time.

    Raises
    ------
    TypeError
        If it is not an optimizer, or is lbfgs.
    ValueError
        If it has the schedule plateau.
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer is {optimizer!r}, expected one such as SGD(0.1); lbfgs looks at all "
            "examples at every step: use train"
        )
    if optimizer.follows_losses:
        raise ValueError("the schedule plateau follows the loss of whole epochs: use train")
    return optimizer


def columns(
    rows: Sequence[Coefficients], as_column: Callable[[list[Array]], Array] = list
) -> Coefficients:
    """Return a column for each coefficient; rows that lack the decay get 1."""
    return {
        name: columns([row[name] for row in rows], as_column)
        if isinstance(rows[0].get(name), dict)
        else as_column([row.get(name, 1.0) for row in rows])
        for name in dict.fromkeys(name for row in rows for name in row)
    }


class _OfCoefficients(NamedTuple):
    """A rule as a function of its coefficients, one by one, and of arrays."""

    rule: Callable[..., Arrays]
    names: tuple[str, ...]

    def __call__(self, xp: Namespace, *operands: Array) -> Arrays:
        """Return what the rule returns."""
        c = dict(zip(self.names, operands, strict=False))
        return self.rule(xp, c, *operands[len(self.names) :])


def as_rate(name: str, rate: LearningRate) -> LearningRate:
    """Return a finite number of at least 0 as a Python float, and a function of t unchanged.

    Raises
    ------
    ValueError
        The message names the argument, its value and what was expected.
    """
    if callable(rate) and not isinstance(rate, type):
        return rate
    return convert(name, rate, NonNegative)


def as_decay(decay: LearningRate) -> LearningRate:
    """Return a weight decay as `as_rate` does; it must not follow the losses.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    decay = as_rate("weight_decay", decay)
    if isinstance(decay, Schedule) and decay.follows_losses:
        raise ValueError(
            f"weight_decay is {decay!r}, expected a number or a function of t; only a "
            "learning_rate can follow the losses"
        )
    return decay


def scheduled_rate(scheduled: LearningRate, t: int, name: str = "learning_rate") -> float:
    """Return the learning rate, or another number by schedule, of the update that follows t others.

    Raises
    ------
    ValueError
        If a function of t returns anything but a finite number of at least 0; the message gives
        its name.
    """
    if not callable(scheduled):
        return scheduled
    returned = scheduled(t)
    try:  # numpy.float64 would make arrays of float32 ones of float64
        rate = float(returned)
    except (TypeError, ValueError):
        rate = math.nan
    if not 0.0 <= rate < math.inf:
        raise ValueError(
            f"{name} returned {returned!r} for t={t}, expected a finite number of at least 0"
        )
    return rate


def moving_average(mean: Array, new: Array, decay: float) -> Array:
    """Return decay * mean + (1 - decay) * new, all of one shape.

    Squares that underflow become 0; their roots are negligible compared with epsilon.
    """
    mean = mean * decay
    mean += new * (1.0 - decay)
    return mean
