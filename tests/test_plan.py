"""Plans: what they hold says what is used, and is the same plan again."""

import pytest

from pluggable_mlp import load_dataset
from pluggable_mlp.options import Options
from pluggable_mlp.plan import Plan


@pytest.mark.parametrize(
    ("given", "rate", "decay", "clip"),
    [
        ({"optimizer": "sgd"}, 0.1, None, None),
        ({"optimizer": "rmsprop"}, 0.001, None, None),
        ({"optimizer": "adam", "weight_decay": 0.5}, 0.001, 0.5, None),
        ({"optimizer": "adamw"}, 0.001, 0.01, None),
        ({"optimizer": "lion"}, 0.0001, 0.0, None),
        ({"optimizer": "muon", "clip_norm": 2.0}, 0.001, 0.1, 2.0),
        ({"optimizer": "lbfgs"}, None, None, None),
        ({"optimizer": "sgd:learning_rate=0.5,clip_norm=1"}, 0.5, None, 1),
        ({"optimizer": "adamw:weight_decay=0.2", "learning_rate": 0.3}, 0.3, 0.2, None),
        ({"optimizer": "adam", "schedule": "cosine", "warmup": 3}, 0.001, None, None),
    ],
)
def test_a_plan_holds_the_values_used(given, rate, decay, clip):
    """By the optimizers' documented defaults; None is for what is not used."""
    dataset = load_dataset("digits")
    plan = Plan.for_dataset(Options(**given), dataset)
    kept = plan.to_dict()
    names = "learning_rate", "weight_decay", "clip_norm"
    assert tuple(map(kept.get, names)) == (rate, decay, clip)
    assert None not in kept.values()
    assert Plan.read(Options(**kept), dataset.preparation) == plan


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 3.0}, "epochs is 3.0, expected an integer of at least 1"),
        ({"hidden": [4, "5"]}, r"hidden is \[4, '5'\], expected a sequence of integers"),
        ({"seed": 2**64}, r"seed is 18446744073709551616, expected an integer from 0 to 2\*\*64"),
    ],
)
def test_what_is_no_value_of_an_option_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        Options(**change)
