"""Build the emulated card, and put it under the CuPy of the running environment.

usage: python install.py SOURCES_OF_CUPY FOLDER_FOR_WORK

The package `cuda_on_cpu` gets the libraries that CuPy looks for by their names, and loads them when
Python starts.  What pip installed stays as it is, but for three modules of CuPy.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import modules

HERE = Path(__file__).resolve().parent
PACKAGES = Path(sysconfig.get_path("purelib"))
CUDA = PACKAGES / "nvidia/cu13"
TARGET = PACKAGES / "cuda_on_cpu"
LIBRARIES = TARGET / "lib"
FLAGS = [
    "-std=c++17", "-O1", "-g0", "-fPIC", "-w", "-march=x86-64-v3",
    f"-I{HERE / 'emulator'}", f"-I{CUDA / 'include'}",
]  # fmt: skip
# Libraries, and how their functions begin: each fails, unless the emulator has it.
NAMED = {
    "libcuda.so.1": "",
    "libcudart.so.13": "cuda",
    "libnvrtc.so.13": "",
    "libnvJitLink.so.13": "",
    "libcublas.so.13": "cublas",
    "libcublasLt.so.13": "",
    "libcurand.so.10": "curand",
    "libcusolver.so.12": "cusolver",
    "libcusparse.so.12": "cusparse",
    "libcufft.so.12": "cufft",
}
NOT_SUPPORTED = {"cuda": 801}  # cudaErrorNotSupported; of the other libraries:
NOT_SUPPORTED_BY_LIBRARY = 15  # CUBLAS_STATUS_NOT_SUPPORTED


def run(*command: object) -> str:
    """Run a command, and return what it prints."""
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} failed, see above")
    return done.stdout


def symbols(option: str, path: Path) -> set[str]:
    """Return the symbols that `nm` lists of a library."""
    lines = run("nm", option, path).splitlines()
    return {line.split()[-1].split("@")[0] for line in lines if line}


def build_library(name: str, absent: set[str], own: list[Path], result: int, work: Path) -> None:
    """Build a library of this name, of what is compiled and of functions that only fail."""
    stubs, versions = work / f"{name}.c", work / f"{name}.map"
    text = [f"int {function}(void) {{ return {result}; }}" for function in sorted(absent)]
    stubs.write_text("\n".join(text))
    versions.write_text(f"{name} {{ global: *; }};\n")  # CuPy's wheel asks for that version
    object_file = work / f"{name}.o"
    run("gcc", "-c", "-fPIC", "-w", stubs, "-o", object_file)
    run(
        "g++", "-shared", *own, object_file, "-o", LIBRARIES / name,
        f"-Wl,-soname,{name}", f"-Wl,--version-script,{versions}", "-Wl,--no-as-needed",
        f"-L{LIBRARIES}", "-l:libcuda_on_cpu.so", "-Wl,-rpath,$ORIGIN",
    )  # fmt: skip


def build_libraries(source: Path, work: Path) -> None:
    """Build the emulator, and the libraries of CUDA's names that lead to it."""
    core = LIBRARIES / "libcuda_on_cpu.so"
    parts = ["devices", "memory", "streams", "graphs", "fibers", "kernels", "nvrtc", "cublas"]
    objects = {part: work / f"{part}.o" for part in parts}
    commands = [
        ("g++", *FLAGS, "-c", HERE / f"emulator/{part}.cpp", "-o", path)
        for part, path in objects.items()
    ]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda command: run(*command), commands))
    cublas = objects.pop("cublas")
    name = f"-Wl,-soname,{core.name}"
    run("g++", "-shared", *objects.values(), "-o", core, name, "-ldl")
    run("g++", "-O1", "-w", HERE / "emulator/nvrtc_check.cpp", "-o", TARGET / "check", "-ldl")
    runtime = (source / "cupy_backends/cuda/api/_runtime_extern.pxi").read_text()
    for name, prefix in NAMED.items():
        absent: set[str] = set()
        if prefix == "cuda":
            absent = set(re.findall(r"\b(cuda[A-Z]\w+)\(", runtime)) - symbols("-D", core)
        elif prefix:
            for path in PACKAGES.glob(f"cupy*/**/*{prefix}*.so"):
                absent |= {each for each in symbols("-uD", path) if each.startswith(prefix)}
        own = [cublas] if prefix == "cublas" else []
        for path in own:
            absent -= symbols("--defined-only", path)
        result = NOT_SUPPORTED.get(prefix, NOT_SUPPORTED_BY_LIBRARY)
        build_library(name, absent, own, result, work)


def main(source: Path, work: Path) -> None:
    """Put everything in its place."""
    shutil.rmtree(TARGET, ignore_errors=True)
    shutil.copytree(HERE / "kernels", TARGET / "kernels")
    shutil.copy(HERE / "cuda_on_cpu.py", TARGET / "__init__.py")
    LIBRARIES.mkdir()
    (TARGET / "include").symlink_to(CUDA / "include")  # CuPy looks for it beside NVRTC's folder
    (TARGET / "nvrtc").symlink_to(CUDA / "lib")
    build_libraries(source, work)
    modules.build(source, CUDA / "include", LIBRARIES, work / "modules")
    generated = shutil.ignore_patterns("*.cpp", "*.h")
    shutil.copytree(work / "modules", PACKAGES, dirs_exist_ok=True, ignore=generated)
    (PACKAGES / "cuda_on_cpu.pth").write_text("import cuda_on_cpu\n")


if __name__ == "__main__":
    main(*(Path(argument).resolve() for argument in sys.argv[1:]))
