"""Features of tables whose categories are codes until rows are taken."""

import numpy as np
import pytest

from pluggable_mlp.data.columns import Block, EncodedArray
from pluggable_mlp.data.scaling import fit_scaling

GENERATOR = np.random.default_rng(0)
N = 41
CODES = GENERATOR.integers(-1, 4, N)
CODES[CODES == 2] = 3  # a category that no row has
PAIRS = [
    (Block("number", ("x",)), GENERATOR.normal(size=N)),
    (Block("categories", tuple("abcd")), CODES),
    (Block("missing", ("x missing",)), GENERATOR.random(N) < 0.2),
    (Block("categories", ("e",)), np.zeros(N, np.int64)),  # that all rows have
]


@pytest.mark.parametrize("kinds", [{"number"}, {"categories", "missing"}, {"sign"}])
def test_only_the_chosen_blocks_are_left(kinds):
    encoded = EncodedArray(PAIRS)
    left, chosen = encoded.only(lambda block: block.kind in kinds)
    np.testing.assert_array_equal(left[:], encoded[:][:, chosen])
    assert chosen.sum() == {"number": 1, "categories": 6, "sign": 0}[min(kinds)]


def test_the_smooth_clip_is_fitted_to_them_as_to_a_matrix():
    encoded = EncodedArray(PAIRS)
    of_matrix = fit_scaling("X", "smooth_clip", encoded[:])
    assert fit_scaling("X", "smooth_clip", encoded) == of_matrix
