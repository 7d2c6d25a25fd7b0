"""The exponential moving average of the parameters, kept beside those that are trained."""

from dataclasses import dataclass

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.registry import keep_number
from pluggable_mlp.training.optimizers.contract import GradientSteps, Numbers, State, Trees
from pluggable_mlp.training.optimizers.transforms import Transform
from pluggable_mlp.training.trees import Tree, map_arrays

__all__ = ["AverageParameters", "averaged_parameters"]

_AVERAGE = "average"


def averaged_parameters(state: State, parameters: Tree) -> Tree:
    """Return the parameters to measure and keep: their average, where the state has one."""
    return state.trees.get(_AVERAGE, parameters)


@dataclass(frozen=True)
class AverageParameters(Transform):
    """After update t, the average a of a parameter w becomes a + c (w - a), with

        c = (1 - decay) / (1 - decay^t)

    which is the moving average decay a + (1 - decay) w from 0, divided by 1 - decay^t: the
    correction of the bias that Adam has, as in optax.ema.  torch's AveragedModel and Keras have
    c = 1 - decay, and so a long memory of the first parameters.  The training itself does not
    change.

    Parameters
    ----------
    optimizer : GradientSteps
        What takes the steps.
    average : float
        The decay, at least 0 and below 1: 0.999 averages over about the last 1000 updates.
    """

    optimizer: GradientSteps
    average: float

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "average", at_least=0.0, below=1.0)

    def initial_numbers(self) -> Numbers:
        """Return the inner optimizer's, and the decay's running product."""
        return {**self.optimizer.initial_numbers(), "average_power": 1.0}

    def initial_trees(self, parameters: Tree) -> Trees:
        """Return the inner optimizer's, and the parameters as the first average."""
        return {**self.optimizer.initial_trees(parameters), _AVERAGE: parameters}

    def advance(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """Return the coefficients of the next update, and the numbers after it."""
        coefficients, numbers = self.optimizer.advance(numbers)
        power = numbers["average_power"] * self.average
        coefficients = {**coefficients, "average_weight": (1.0 - self.average) / (1.0 - power)}
        return coefficients, {**numbers, "average_power": power}

    def apply_scaled(
        self,
        xp: Namespace,
        coefficients: Numbers,
        gradients: Tree,
        trees: Trees,
        parameters: Tree,
    ) -> tuple[Tree, Trees]:
        """Return the inner optimizer's update, and the average after it."""
        weight = coefficients["average_weight"]
        parameters, own = self.optimizer.apply(xp, coefficients, gradients, trees, parameters)

        def approach(a: Array, w: Array) -> Array:
            change = (w - a) * weight
            change += a
            return change

        return parameters, {**own, _AVERAGE: map_arrays(approach, trees[_AVERAGE], parameters)}
