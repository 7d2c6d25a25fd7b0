"""The progress bar, as a terminal shows it."""

import json
import os
import pty
import re

import pytest

from tests.cli.children import running

pytestmark = pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")


def shown(*arguments, stdout=False):
    """Run a command on a terminal; return what went to a pipe, and all that the terminal got."""
    terminal, end = pty.openpty()
    streams = {"stderr": end} | ({"stdout": end} if stdout else {})
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}
    with running(*arguments, env=environment, **streams) as child:
        os.close(end)
        written = b""
        while True:
            try:
                part = os.read(terminal, 4096)
            except OSError:  # Linux says so where the other end is closed
                break
            if not part:
                break
            written += part
        out = "" if stdout else child.stdout.read()
        assert child.wait(timeout=300) == 0
    os.close(terminal)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())
    return out, text


TRAIN = ("train", "--epochs", 15, "--hidden", 8, "--validation", 0.2)


def test_the_bar_is_updated_in_place():
    """Fifteen epochs make no fifteen lines; the last line stays."""
    _, text = shown(*TRAIN, stdout=True)
    assert text.count("\n") < 6
    assert re.search(r"epoch +\d+/15 +train loss 0\.\d+ +validation accuracy \d+\.\d+%", text)
    assert re.search(r"\d+%", text)
    assert re.search(r"0:00:0\d", text)
    assert text.rstrip().splitlines()[-1].lstrip("\r").startswith("test accuracy")


@pytest.mark.slow
def test_a_pipe_gets_lines_and_the_terminal_no_bar():
    """Its reader, as of `train | tee log`, may write to the same terminal."""
    out, text = shown(*TRAIN)
    assert [line.startswith("epoch") for line in out.splitlines()] == [True] * 15 + [False]
    assert text == ""


@pytest.mark.slow
def test_json_on_a_terminal_is_not_torn_by_a_bar():
    _, text = shown(*TRAIN, "--json", stdout=True)
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line.get("epoch") for line in lines] == [*range(1, 16), None]
