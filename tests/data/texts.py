"""Columns of texts."""

import numpy as np

from pluggable_mlp.data.frame import Texts


def texts_of(values):
    """A column of these texts; None is a missing one."""
    distinct = sorted({text for text in values if text is not None})
    codes = [-1 if text is None else distinct.index(text) for text in values]
    return Texts(tuple(distinct), np.array(codes, np.int32))
