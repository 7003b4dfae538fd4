"""A person at a terminal: reads what is asked, types an answer."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

GIVE_UP_SECONDS = 60.0


@dataclass
class Terminal:
    process: subprocess.Popen[bytes]
    descriptor: int
    said: str = ""
    limit: float = GIVE_UP_SECONDS
    """How long it waits for what is asked next, and for the end."""
    _seen: int = field(default=0)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + self.limit
        while text not in self.said[self._seen :]:
            assert time.monotonic() < deadline, f"never said {text!r}: {self.said}"
            self._read()
        self._seen = self.said.index(text, self._seen) + len(text)

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def answer(self, question: str, text: str) -> None:
        self.wait_for(question)
        self.type(f"{text}\n")

    def end(self) -> int:
        deadline = time.monotonic() + self.limit
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"does not end: {self.said}"
            self._read()
        self._read()
        return self.process.wait(GIVE_UP_SECONDS)

    def press_ctrl_c(self) -> None:
        """Again and again: one that comes just before readline begins to wait is heard with the next key only."""
        deadline = time.monotonic() + self.limit
        while "Interrupted" not in self.said:
            assert time.monotonic() < deadline, f"does not hear ctrl-C: {self.said}"
            self.process.send_signal(signal.SIGINT)
            self._read()

    def _read(self) -> None:
        if select.select([self.descriptor], [], [], 0.2)[0]:
            try:
                self.said += os.read(self.descriptor, 4096).decode(errors="replace")
            except OSError:  # the other side is closed
                self.process.wait(GIVE_UP_SECONDS)


@contextmanager
def at_a_terminal(
    *words: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    limit: float = GIVE_UP_SECONDS,
) -> Iterator[Terminal]:
    """Run a command at a terminal of its own, and kill it at the end if it still runs."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env=environment,
        start_new_session=True,
        # A job in the background of a shell is made deaf to ctrl-C, and hands that on.
        preexec_fn=lambda: _as_a_login(theirs),
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours, limit=limit)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _as_a_login(terminal: int) -> None:
    """Make the terminal the one that `/dev/tty` names, and Ctrl-C one that is heard."""
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
