"""Without a GPU: everything that training calls is there in CuPy, with these keywords."""

import inspect
from types import FunctionType

import array_api_compat.numpy
import array_api_strict
import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend, train
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.network.activations import ACTIVATIONS
from tests.backends.recording import RecordingNamespace, Use, faults, record_everywhere

cupy = pytest.importorskip("cupy")
cupy_xp = pytest.importorskip("array_api_compat.cupy")


def uses_of(function, xp=array_api_compat.numpy):
    """Return what a function of a namespace uses of it."""
    recording = RecordingNamespace(xp)
    function(recording)
    return recording.uses


def x(xp):
    return xp.asarray([[1.0, 2.0], [3.0, 4.0]])


def softmax(xp):
    z = x(xp)
    e = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def test_uses_are_noted():
    recording = RecordingNamespace(array_api_strict)
    np.testing.assert_allclose(np.asarray(softmax(recording)), softmax(np), rtol=1e-15)
    assert recording.uses == {
        Use("asarray", 1),
        Use("max", 1, ("axis", "keepdims")),
        Use("exp", 1),
        Use("sum", 1, ("axis", "keepdims")),
    }
    assert uses_of(lambda xp: xp.astype(x(xp), xp.float32)) == {
        *(Use("asarray", 1), Use("astype", 2), Use("float32")),
    }
    assert Use("linalg.vector_norm", 1) in uses_of(lambda xp: xp.linalg.vector_norm(x(xp)))


def test_calls_that_cupy_supports_pass():
    assert faults(uses_of(softmax, array_api_strict), cupy_xp) == []


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda xp: xp.spacing(x(xp)), "spacing: array_api_compat.cupy lacks it"),
        (
            lambda xp: xp.linalg.multi_dot([x(xp)] * 2),
            "linalg.multi_dot: array_api_compat.cupy lacks it",
        ),
        (lambda xp: xp.float128, "float128: array_api_compat.cupy lacks it"),
        (lambda xp: xp.sum(x(xp), where=True), "sum: got an unexpected keyword argument 'where'"),
        (lambda xp: xp.take(x(xp), 0, 0, None, "wrap"), "take: too many positional arguments"),
        (lambda xp: xp.zeros(3, like=np.ones(1)), "zeros: {'like': None} not named in"),
        (lambda xp: xp.exp(x(xp), order="C"), "exp: a ufunc takes no keyword order"),
        (lambda xp: xp.add(x(xp), x(xp), x(xp)), "add: 3 arguments for a ufunc of 2"),
        (lambda xp: xp.from_dlpack(x(xp)), "from_dlpack: it has no signature to check"),
    ],
)
def test_calls_that_cupy_lacks_are_found(function, said):
    found = faults(uses_of(function), cupy_xp)
    assert len(found) == 1
    assert found[0].startswith(said)


STANDARD = [
    name
    for name in array_api_strict.__all__
    if isinstance(getattr(array_api_strict, name), FunctionType) and "strict_flags" not in name
]


@pytest.mark.parametrize("name", sorted(set(STANDARD) - {"from_dlpack"}))
def test_every_function_of_the_standard_can_be_checked(name):
    """A call with the required arguments and each of the keywords is valid in CuPy."""
    parameters = inspect.signature(getattr(array_api_strict, name)).parameters.values()
    required = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    keywords = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
    assert faults([Use(name, len(required)), Use(name, len(required), keywords)], cupy_xp) == []


def test_arrays_of_cupy_have_what_the_standard_gives_an_array():
    standard = {name for name in dir(array_api_strict.asarray([1.0])) if not name.startswith("_")}
    lacking = {name for name in standard if not hasattr(cupy.ndarray, name)}
    assert lacking == {"to_device"}, "the project uses array_api_compat.to_device instead"


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_uses_only_what_cupy_has(monkeypatch, arithmetic, dtype):
    backend = get_backend("array_api_strict")
    backend.xp = RecordingNamespace(array_api_strict)
    record_everywhere(backend.xp, monkeypatch)
    settings = {"backend": backend, "epochs": 2, "batch_size": 2, "arithmetic": arithmetic}
    floats, pixels = np.ones((5, 3), dtype=dtype), np.ones((5, 3), dtype="uint8")
    indices, one_hot = np.asarray([0, 1, 1, 0, 1]), np.asarray([[1.0, 0.0]] * 5, dtype=dtype)
    for activation in ACTIVATIONS:
        mlp = MLP([3, 4, 2], activation=activation)
        train(mlp, pixels, indices, scale=1 / 256, dtype=dtype, **settings)
        done = train(mlp, floats, one_hot, dtype=dtype, **settings)
        mlp.predict_proba(done.parameters, backend.asarray(floats), arithmetic=arithmetic)
    names = {use.name for use in backend.xp.uses}
    assert {"take", "sum", "matmul"} <= names, "the recording did not see training"
    assert faults(backend.xp.uses, cupy_xp) == []
