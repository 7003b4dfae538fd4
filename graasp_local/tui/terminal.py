"""Keeps the terminal for the UI alone.

Commands that an operation runs would inherit the terminal: reading from it steals keys, writing to it garbles the
screen. So the UI takes copies of the terminal's descriptors and replaces the originals with the null device.
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
    """The UI's own descriptors of the terminal."""

    stdin: int
    stderr: int

    def run(self, command: Sequence[str]) -> int:
        """Run a command that gets the terminal while the UI is suspended."""
        with _interrupts_are_the_commands():
            # Use stderr for both, since that is where the UI is drawn; they are the same terminal.
            return subprocess.run(command, stdin=self.stdin, stdout=self.stderr, stderr=self.stderr).returncode

    def run_and_wait(self, command: Sequence[str], shown: str) -> int:
        """Like `run`, but print the command first, and keep its output on the screen until enter is pressed."""
        with _interrupts_are_the_commands():
            self._say(f"$ {shown}\n")
            code = self.run(command)
            self._say(f"\nExit code {code}. Press Enter to go back to the UI. ")
            with suppress(OSError, termios.error):  # the terminal may have been closed
                # Discard what was typed while the command ran: it was not meant for this prompt.
                termios.tcflush(self.stdin, termios.TCIFLUSH)
                os.read(self.stdin, 1024)
        return code

    def _say(self, text: str) -> None:
        with suppress(OSError):
            os.write(self.stderr, text.encode())


@contextmanager
def _interrupts_are_the_commands() -> Iterator[None]:
    """Make the UI ignore Ctrl-C while a command runs. Unlike SIG_IGN, a handler is not inherited by the command."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def kept_for_the_ui(*, stderr_too: bool) -> Iterator[Terminal]:
    """Replace sys.__stdin__ and sys.__stderr__, which Textual uses, with copies that no child process inherits."""
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
