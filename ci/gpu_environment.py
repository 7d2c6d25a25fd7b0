"""Make the environment of ci/gpu.sh, which sees the packages of the interpreter that runs this.

    python ci/gpu_environment.py FOLDER

They are seen by a .pth file: where that interpreter is of a virtual environment itself,
--system-site-packages would see past it.  CUDA's libraries from pip, which lie in the folder
`nvidia` of the packages, are linked: CuPy looks for them in the folder of its own environment alone
(`cuda/pathfinder/_utils/find_sub_dirs.py`).
"""

import site
import sys
import venv
from pathlib import Path
from subprocess import CalledProcessError


def make_environment(folder: Path) -> None:
    """Make the environment, with the pip of the present one where Python has none to give."""
    try:
        venv.create(folder, symlinks=True, with_pip=True)
    except (CalledProcessError, ImportError) as error:  # some systems keep ensurepip apart
        print(f"pip is the present one's: {error}")
        venv.create(folder, symlinks=True, clear=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    seen = [*site.getsitepackages(), site.getusersitepackages()]
    calls = "; ".join(f"site.addsitedir({each!r})" for each in seen)
    (packages / "parent.pth").write_text(f"import site; {calls}\n", encoding="utf-8")
    for libraries in (Path(each) / "nvidia" for each in seen):
        if libraries.is_dir():
            (packages / "nvidia").symlink_to(libraries)
            break


if __name__ == "__main__":
    make_environment(Path(sys.argv[1]))
