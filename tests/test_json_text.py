"""JSON for any reader: what is not finite is null, at every depth."""

import json
import math

import pytest

from pluggable_mlp.json_text import to_json

CONTENT = {"a": [1.5, math.nan, {"b": -math.inf}], "c": (math.inf, True, None), "d": "é", "e": 3}


@pytest.mark.parametrize("indent", [None, 2])
def test_what_is_not_finite_is_null(indent):
    read = json.loads(to_json(CONTENT, indent), parse_constant=pytest.fail)
    assert read == {"a": [1.5, None, {"b": None}], "c": [None, True, None], "d": "é", "e": 3}
