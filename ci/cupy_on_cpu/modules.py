"""Cythonize the modules of CuPy that have CUDA's runtime linked into them: runtime, cub, thrust.

The rest of CuPy stays that of the wheel.  Cython modules call each other by signatures that depend
on Cython's version, so it has to be the one that made the wheel.
"""

import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import numpy
from Cython.Compiler import Main
from Cython.Compiler.Options import CompilationOptions

EMULATOR = Path(__file__).resolve().parent / "emulator"
MODULES = {  # and what of the emulator belongs to each
    "cupy_backends/cuda/api/runtime": ["-Wl,--no-as-needed", "-l:libcudart.so.13"],
    "cupy/cuda/cub": [EMULATOR / "cub.cpp", "-l:libcuda_on_cpu.so"],
    "cupy/cuda/thrust": [EMULATOR / "thrust.cpp", "-l:libcuda_on_cpu.so"],
}
DIRECTIVES = {  # as in CuPy's setup.py
    "embedsignature": True,
    "c_api_binop_methods": True,
    "binding": False,
    "warn.deprecated.IF": False,
    "freethreading_compatible": True,
}


def cythonize(source: Path, name: str, out: Path) -> Path:
    """Return the C++ of a module."""
    path = out / f"{name}.cpp"
    path.parent.mkdir(parents=True, exist_ok=True)
    options = CompilationOptions(
        include_path=[str(source)],
        language_level=3,
        cplus=True,
        output_file=str(path),
        compiler_directives=DIRECTIVES,
        compile_time_env={
            "CUPY_USE_CUDA_PYTHON": False,
            "CUPY_CUFFT_STATIC": False,
            "CUPY_CYTHON_VERSION": version("cython"),
            "CUPY_CUDA_VERSION": 13020,  # of which the wheel was made
            "CUPY_HIP_VERSION": 0,
        },
    )
    module = name.replace("/", ".")
    if Main.compile([str(source / f"{name}.pyx")], options, full_module_name=module).num_errors:
        sys.exit(f"Cython refuses {name}.pyx of CuPy")
    return path


def build(source: Path, cuda: Path, libraries: Path, out: Path) -> None:
    """Build the modules in `out`, laid out as in the wheel."""
    headers = source / "cupy/_core/include/cupy/_cccl"
    include = [
        sysconfig.get_path("include"), numpy.get_include(), cuda, EMULATOR, source,
        source / "cupy_backends", source / "cupy_backends/cuda/api", source / "cupy/cuda",
        *(headers / part for part in ("thrust", "libcudacxx", "cub")),
    ]  # fmt: skip
    running = []
    for name, more in MODULES.items():
        cpp = cythonize(source, name, out)
        target = out / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
        command = [
            "g++", "-shared", "-fPIC", "-O0", "-g0", "-w", "-std=c++17",
            "-DCUPY_CUB_VERSION_CODE=200800", *(f"-I{folder}" for folder in include),
            str(cpp), "-o", str(target), f"-L{libraries}", *map(str, more),
        ]  # fmt: skip
        running.append((name, subprocess.Popen(command)))
    for name, process in running:
        if process.wait():
            sys.exit(f"g++ refuses {name} of CuPy")
