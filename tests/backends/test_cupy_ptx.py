"""What NVRTC makes of the fused kernels of CuPy, for sm_90 and without a GPU: it contracts nothing.

NVRTC comes from pip (nvidia-cuda-nvrtc).  The PTX says how each operation rounds; what it computes
is checked in test_cupy_fusing.py.
"""

import ctypes
import re
from collections import Counter
from functools import cache, partial
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend, make_optimizer, reproducible, train
from pluggable_mlp.backends.cupy_kernels import Argument, Input, Kernel, Line, erf, is_supported
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.losses import LOSSES
from tests.backends.fused_sources import cuda_program, kernel_calls
from tests.simulated_cupy import installed, xp

# As CuPy gives them (`cupy/cuda/compiler.py`), and the kernels' own.
OPTIONS = (
    "--gpu-architecture=compute_90",
    "-ftz=true",
    "--std=c++17",
    "--device-as-default-execution-space",
)
INEXACT = re.compile(r"\b(exp|expm1|log|log1p|tanh|erf)\(")


def nvidia():
    """Return the folders of the libraries that pip installs."""
    package = find_spec("nvidia")
    return [] if package is None else [Path(of) for of in package.submodule_search_locations]


@cache
def nvrtc():
    """Return NVRTC, or the reason why there is none."""
    found = [file for folder in nvidia() for file in folder.glob("**/libnvrtc.so.1?")]
    return ctypes.CDLL(str(found[0])) if found else "NVRTC is not installed"


@pytest.fixture
def ptx():
    """Give a function of a kernel that returns its PTX, with or without the kernel's options."""
    library = nvrtc()
    if isinstance(library, str):
        pytest.skip(library)
    return partial(ptx_of, library)


def ptx_of(library, kernel, *, options=None, source=None, folders=()):
    program = ctypes.c_void_p()
    source = (source or cuda_program(kernel)).encode()
    library.nvrtcCreateProgram(ctypes.byref(program), source, b"kernel.cu", 0, None, None)
    given = [
        of.encode()
        for of in (*OPTIONS, *folders, *(kernel.options if options is None else options))
    ]
    failed = library.nvrtcCompileProgram(
        program, len(given), (ctypes.c_char_p * len(given))(*given)
    )
    assert not failed, text_of(library, program, "ProgramLog")
    return text_of(library, program, "PTX")


def text_of(library, program, what):
    size = ctypes.c_size_t()
    getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    getattr(library, f"nvrtcGet{what}")(program, text)
    return text.value.decode()


def operations(ptx):
    return Counter(re.findall(r"^\s+(?:@!?%p\d+ )?([a-z]\w*(?:\.\w+)*)\s", ptx, re.M))


def check(kernel, text):
    """Fail unless the PTX has what the lines say, each operation rounded by itself."""
    names = operations(text)
    calls = re.findall(rf"const (\w+) \w+ = {INEXACT.pattern}", kernel.operation)
    assert len(calls) == len(INEXACT.findall(kernel.operation))
    of_functions = sum((within(dtype, name) for dtype, name in calls), Counter())
    assert inexact(names) <= of_functions, (kernel.operation, inexact(names), of_functions)
    own = [name for name in names if name not in of_functions]
    floating = [name for name in own if re.search(r"\.f(32|64)$", name)]
    rounded = {"add", "sub", "mul", "div", "rcp", "sqrt"}
    for name in floating:
        if name.split(".")[0] in rounded:
            assert ".rn" in name, (kernel.operation, name)
            assert ".f64" in name or ".ftz" in name


def inexact(counts):
    """Return those of the operations that are fused, or approximate."""
    return Counter({name: counts[name] for name in counts if re.search("^fma|approx|full", name)})


@cache
def within(dtype, name):
    """Return the operations of a function of CUDA itself."""
    return operations(ptx_of_function(dtype, name, ("--fmad=false",)))


def ptx_of_function(dtype, name, options):
    kind = {"float32": "float", "float64": "double"}[dtype]
    source = (
        f'extern "C" __global__ void k({kind}* x) {{ x[threadIdx.x] = {name}(x[threadIdx.x]); }}'
    )
    return ptx_of(nvrtc(), None, source=source, options=options)


FLOATING = re.compile(r"^\s+(?:@!?%p\d+ )?(add|sub|mul)(\.rn)?((?:\.ftz)?\.f\d\d)\s+(.*);$", re.M)


def can_be_contracted(text):
    """Return whether the assembler, too, may round a product and a sum once: none is `.rn`."""
    found = FLOATING.findall(text)
    products = {of.split(",")[0] for name, rn, _, of in found if name == "mul" and not rn}
    sums = [of.split(", ")[1:] for name, rn, _, of in found if name != "mul" and not rn]
    return any(products & {*operands} for operands in sums)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "tanh", "erf"])
def test_the_option_changes_nothing_within_functions_of_cuda(name, dtype, ptx):
    """But for log and log1p of float64, which are no lines of kernels."""
    del ptx  # skips where there is no NVRTC
    free, bound = (ptx_of_function(dtype, name, of) for of in ((), ("--fmad=false",)))
    texts = {FLOATING.sub(r"\1\3 \4", text) for text in (free, bound)}
    is_same = len(texts) == 1 and not can_be_contracted(free)
    function = {"erf": erf}.get(name) or getattr(np, name)
    kernel = Kernel((Argument(dtype, "array"),), (), ())
    assert is_same == is_supported(kernel, Line(function, (Input(0),), dtype))


ELEMENTARY = ("exp", "log", "log1p", "tanh", "sqrt", "rsqrt", "sigmoid", "softplus", "erf")


def calls_of(function, *arguments):
    """Return the calls of kernels of a reproducible function, given arrays of the host."""
    with installed():
        backend = get_backend("cupy")
        call = backend.compile(partial(function, reproducible(xp, None)))
        arguments = [backend.asarray(x) if isinstance(x, np.ndarray) else x for x in arguments]
        for _ in range(3):
            call(*arguments)
        with kernel_calls() as calls:
            call(*arguments)
    return calls


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ELEMENTARY)
def test_an_elementary_function_contracts_nothing(name, dtype, ptx):
    def function(ns, x):
        return getattr(ns, name)(ns.wrap(x)).native

    (call,) = calls_of(function, np.ones(9, dtype))
    check(call.kernel, ptx(call.kernel))


def test_without_the_option_it_would(ptx):
    """So the test sees contractions."""

    def function(ns, x):
        return ns.exp(ns.wrap(x)).native

    (call,) = calls_of(function, np.ones(9))
    with pytest.raises(AssertionError, match="fma"):
        check(call.kernel, ptx(call.kernel, options=()))


def kernels_of_training(
    arithmetic, dtype, loss="softmax_cross_entropy", optimizer="sgd", **network
):
    """Return those of training, with graphs of the steps, by name."""
    early = patch("pluggable_mlp.backends.graphs.CALLS_BEFORE_CAPTURE", 3)
    with installed(), kernel_calls() as calls, early:
        rng = np.random.default_rng(0)
        kind = LOSSES[loss].targets
        targets = {
            "classes": rng.integers(0, 3, 12),
            "labels": rng.integers(0, 2, (12, 3)).astype(dtype),
        }.get(kind, rng.integers(0, 5, (12, 3)).astype(dtype))
        train(
            MLP([5, 4, 3], loss=loss, **network),
            rng.normal(size=(12, 5)).astype(dtype),
            targets,
            backend=get_backend("cupy"),
            optimizer=make_optimizer(optimizer),
            epochs=4,
            batch_size=4,
            arithmetic=arithmetic,
            dtype=dtype,
        )
    return {call.kernel.name: call.kernel for call in calls}


OPTIMIZERS = ("sgd", "adagrad", "rmsprop", "adam", "adamw", "lion", "muon")
MORE = ({}, {"norm": "batch"}, {"norm": "layer"}, {"dropout": 0.5, "input_noise": 0.1})
NETWORKS = [  # the simulated CuPy trains each: every component is in one of them
    {"activation": activation, "loss": loss, "optimizer": optimizer, **more}
    for activation, loss, optimizer, more, _ in zip(
        *map(cycle, (ACTIVATIONS, LOSSES, OPTIMIZERS, MORE)),
        range(max(map(len, (ACTIVATIONS, LOSSES, OPTIMIZERS, MORE)))),
        strict=False,
    )
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "arithmetic"),
    [("float32", "native"), ("float32", "reproducible"), ("float64", "reproducible")],
)
def test_every_kernel_of_training_compiles_and_contracts_nothing(dtype, arithmetic, ptx):
    kernels = {}
    is_half = (dtype, arithmetic) == ("float32", "reproducible")  # the same in float64 has all
    for network in NETWORKS[::2] if is_half else NETWORKS:
        kernels |= kernels_of_training(arithmetic, dtype, **network)
    assert len(kernels) > 50
    for kernel in kernels.values():
        assert arithmetic == "native" or not INEXACT.search(kernel.operation)
        check(kernel, ptx(kernel))


# Within CuPy's own code

AROUND = "".join(
    f"#include <cupy/{name}>\n" for name in ("complex.cuh", "carray.cuh", "atomics.cuh")
)


def program_of_cupy(call):
    """Return what CuPy makes of a kernel for such arguments (`_kernel.pyx`), and where it looks."""
    cupy = pytest.importorskip("cupy")
    from cupy._core import _carray, _kernel, _scalar

    kernel, arguments, _ = call
    made = cupy.ElementwiseKernel(
        *(", ".join(map(text_of_parameter, of)) for of in (kernel.inputs, kernel.outputs)),
        kernel.operation,
        kernel.name,
        preamble=kernel.preamble,
        options=kernel.options,
    )
    dtypes = [tuple(np.dtype(p.dtype) for p in of) for of in (kernel.inputs, kernel.outputs)]
    infos = []
    for index, parameter in enumerate([*kernel.inputs, *kernel.outputs]):
        is_scalar = (
            index < len(arguments) and np.ndim(arguments[index]) == 0 and not parameter.is_raw
        )
        kind = (3, _scalar.CScalar) if is_scalar else (1, cupy.ndarray)
        shape = (0, True) if is_scalar else (2, False)
        infos.append(_kernel._ArgInfo(*kind, np.dtype(parameter.dtype), *shape, True))
    infos.append(_kernel._ArgInfo(2, _carray.Indexer, None, 2, True, True))
    types = made._decide_params_type(*dtypes)[2]
    code = _kernel._get_elementwise_kernel_code(
        tuple(infos), types, made.params, kernel.operation, kernel.name, kernel.preamble
    )
    include = Path(cupy.__file__).parent / "_core/include"
    cccl = [include / "cupy/_cccl" / name for name in ("libcudacxx", "thrust", "cub")]
    return AROUND + code, [f"-I{folder}" for folder in (include, *cccl)]


def text_of_parameter(parameter):
    return f"{'raw ' if parameter.is_raw else ''}{parameter.dtype} {parameter.name}"


def step(ns, x, W, rate):
    """Products with columns, a table, what is broadcast, a sum, and updates in one kernel."""
    ns = ns.for_tracing()
    x, W = ns.wrap(x), ns.wrap(W)
    y = ns.sigmoid(x @ W) * ns.max(x, axis=1, keepdims=True)
    b = ns.sum(y, axis=0)
    rate = rate if isinstance(rate, float) else ns.device_scalar(rate)
    return [(W - W * rate).native, (x - x * rate).native, (b - ns.exp(b) * rate).native]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cupy_makes_programs_of_them(dtype, ptx):
    rng = np.random.default_rng(0)
    given = rng.normal(size=(4, 5)).astype(dtype), rng.normal(size=(5, 3)).astype(dtype), 0.5
    calls = calls_of(step, *given)
    assert len(calls) > 5
    assert any("begin1" in call.kernel.operation for call in calls)
    assert dtype == "float32" or any("wrapped" in call.kernel.operation for call in calls)
    assert dtype == "float64" or any(call.kernel.name == "tree_sum" for call in calls)
    for call in calls:
        source, folders = program_of_cupy(call)
        text = ptx(call.kernel, source=source, folders=folders)
        assert f".entry {call.kernel.name}" in text
        check(call.kernel, text)
