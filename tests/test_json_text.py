"""JSON for any reader: what is not finite is null, at every depth."""

import hashlib
import json
import math

import pytest

from pluggable_mlp.json_text import json_sha256, to_json

CONTENT = {"a": [1.5, math.nan, {"b": -math.inf}], "c": (math.inf, True, None), "d": "é", "e": 3}


@pytest.mark.parametrize("indent", [None, 2])
def test_what_is_not_finite_is_null(indent):
    read = json.loads(to_json(CONTENT, indent), parse_constant=pytest.fail)
    assert read == {"a": [1.5, None, {"b": None}], "c": [None, True, None], "d": "é", "e": 3}


def test_the_hash_is_of_what_json_says_not_of_its_layout():
    content = {"ü": "b", "a": [1.5, math.nan]}
    canonical = b'{"a":[1.5,null],"\\u00fc":"b"}'
    assert json_sha256(content) == hashlib.sha256(canonical).hexdigest()
    assert json_sha256(json.loads(to_json(content, indent=2))) == json_sha256(content)
