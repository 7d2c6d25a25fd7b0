"""File systems of their own, with little room."""

import shutil
import subprocess
from contextlib import contextmanager

import pytest


@contextmanager
def small_disk(folder):
    """Mount a file system of 800 kB; yield how a command sees it, and where it is seen from here.

    A process holds it in a namespace of its own, which needs no privileges where the kernel allows.
    """
    if not (shutil.which("unshare") and shutil.which("nsenter")):
        pytest.skip("there is no unshare, which mounts a small file system without privileges")
    # It holds it until this process closes its input, or ends.
    mount = f"mount -t tmpfs -o size=800k tmpfs {folder} && echo mounted && exec cat"
    with subprocess.Popen(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mount],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        try:
            if holder.stdout.readline() != "mounted\n":
                pytest.skip(f"no small file system can be mounted: {holder.stderr.read()}")
            inside = f"/proc/{holder.pid}/root{folder}"
            enter = "nsenter", "--user", "--mount", "--preserve-credentials", "-t", str(holder.pid)
            yield enter, type(folder)(inside)
        finally:
            holder.kill()
