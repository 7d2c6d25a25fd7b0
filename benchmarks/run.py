"""The benchmark: this library against the limit of the processor and against its peers.

    python -m pip install -e '.[bench]' && python benchmarks/run.py

The processes of the contenders import this file, too: nothing heavy here.
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(
        0, str(Path(__file__).resolve().parent.parent)
    )  # to find the package benchmarks
    from benchmarks.machine import usable_processors

    # One setting for all libraries, here and in the processes to come, before NumPy is there.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(usable_processors())
    from benchmarks.command import main

    sys.exit(main())
