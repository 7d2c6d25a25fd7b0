"""Features of tables whose categories are codes until rows are taken."""

import numpy as np
import pytest

from pluggable_mlp.data.encoded import Block, EncodedArray
from pluggable_mlp.data.scaling import fit_scaling

GENERATOR = np.random.default_rng(0)
N = 41
CODES = GENERATOR.integers(-1, 4, N)
CODES[CODES == 2] = 3  # a category that no row has
BLOCKS = [
    Block(["x"], is_number=True, values=GENERATOR.normal(size=N)),
    Block([*"abcd"], categories=4, values=CODES),
    Block(["x missing"], values=GENERATOR.random(N) < 0.2),
    Block(["e"], categories=1, values=np.zeros(N, np.int64)),  # a category that all rows have
]


@pytest.mark.parametrize("chosen", [None, [True, False, True, True, False, True, True]])
def test_ordered_features_are_the_sorted_columns(chosen):
    encoded = EncodedArray(BLOCKS)
    features = None if chosen is None else np.asarray(chosen)
    ordered = encoded.ordered(features)
    expected = np.sort(encoded[:] if features is None else encoded[:][:, features], axis=0)
    assert ordered.shape == expected.shape
    for place in (*range(N), -1):
        np.testing.assert_array_equal(ordered[place], expected[place])
    assert (ordered.min(), ordered.max()) == (expected.min(), expected.max())


def test_the_smooth_clip_is_fitted_to_them_as_to_a_matrix():
    encoded = EncodedArray(BLOCKS)
    of_matrix = fit_scaling("X", "smooth_clip", encoded[:])
    assert fit_scaling("X", "smooth_clip", encoded.ordered()) == of_matrix
