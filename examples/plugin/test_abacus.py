"""The backend does what its contract says: a test for each check of the conformance kit."""

from pluggable_mlp import get_backend
from pluggable_mlp.testing import parametrize_with_checks


@parametrize_with_checks([get_backend("abacus")])
def test_the_contract(backend, check):
    """Make one check."""
    check(backend)
