"""What the contract of backends is; that each keeps to it is checked in test_conformance.py."""

import pickle

from pluggable_mlp.backends import Abilities, Backend, BackendUnavailable


def test_the_contract_is_exactly_this():
    members = "asarray device devices name synchronize to_numpy versions xp"
    assert sorted(name for name in vars(Backend) if name[0] != "_") == members.split()
    optional = "compile context missing_dtypes out_of_memory queued run_all traces"
    assert sorted(name for name in vars(Abilities) if name[0] != "_") == optional.split()


def test_unavailable_says_why_and_what_to_do():
    error = BackendUnavailable("cupy", "no GPU", "plug one in")
    assert (error.backend, error.reason, error.remedy) == ("cupy", "no GPU", "plug one in")
    assert str(error) == "backend cupy is not available: no GPU; plug one in"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
