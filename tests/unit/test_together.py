"""Engine calls at the same time, and one after the other where no thread can be started any more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from graasp_local.engine.reach.client import together


def test_all_are_called_and_the_first_exception_is_raised() -> None:
    called = []

    def call(item: int) -> None:
        called.append(item)
        if item == 2:
            raise ValueError(item)

    with pytest.raises(ValueError, match="2"):
        together(call, [1, 2, 3])
    assert sorted(called) == [1, 2, 3]
    together(call, [])


def test_they_are_called_while_the_interpreter_ends() -> None:
    script = (
        "import atexit; from graasp_local.engine.reach.client import together\n"
        "together(print, []); atexit.register(together, print, ['one', 'two'])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ended.stdout.split(), ended.stderr) == (["one", "two"], "")
