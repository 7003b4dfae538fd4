"""Keeps the terminal for the UI alone.

Commands an operation runs would inherit the terminal: one that reads from it eats keys, one that writes to it spoils
the screen. So the UI takes copies of the terminal's descriptors and leaves null devices in their places.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from msgspec import Struct


class Terminal(Struct, frozen=True):
    """Descriptors of the terminal that the UI has for itself."""

    stdin: int
    stderr: int

    def run(self, command: Sequence[str]) -> int:
        """Run a command that may have the terminal, while the UI is suspended."""
        with _interrupts_are_the_commands():
            # Through stderr, since that is where the UI is drawn; both are the same terminal.
            return subprocess.run(command, stdin=self.stdin, stdout=self.stderr, stderr=self.stderr).returncode

    def run_and_wait(self, command: Sequence[str], shown: str) -> int:
        """The same, with what is run said before, and what it said left on the screen until enter is typed."""
        with _interrupts_are_the_commands():
            self._say(f"$ {shown}\n")
            code = self.run(command)
            self._say(f"\nIt ended with exit code {code}. Enter goes back to the UI. ")
            with suppress(OSError, termios.error):  # the terminal may have been closed meanwhile
                # What was typed while the command ran was not meant for this question.
                termios.tcflush(self.stdin, termios.TCIFLUSH)
                os.read(self.stdin, 1024)
        return code

    def _say(self, text: str) -> None:
        with suppress(OSError):
            os.write(self.stderr, text.encode())


@contextmanager
def _interrupts_are_the_commands() -> Iterator[None]:
    """ctrl-C reaches the UI as well, which goes on; a command gets its own meaning of it back when it is started."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def kept_for_the_ui(*, stderr_too: bool) -> Iterator[Terminal]:
    """Textual reads from sys.__stdin__ and draws on sys.__stderr__: both become copies that no child inherits."""
    stdin, stderr = os.dup(0), os.dup(2)
    before_in, before_err = sys.__stdin__, sys.__stderr__
    null = os.open(os.devnull, os.O_RDWR)
    try:
        sys.__stdin__ = os.fdopen(os.dup(stdin), "r")  # type: ignore[misc]
        os.dup2(null, 0)
        if stderr_too:
            sys.__stderr__ = os.fdopen(os.dup(stderr), "w")  # type: ignore[misc]
            os.dup2(null, 2)
        yield Terminal(stdin, stderr)
    finally:
        os.dup2(stdin, 0)
        os.dup2(stderr, 2)
        sys.__stdin__, sys.__stderr__ = before_in, before_err  # type: ignore[misc]
        for descriptor in (stdin, stderr, null):
            os.close(descriptor)
