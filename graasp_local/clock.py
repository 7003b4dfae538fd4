"""Time and the wish to stop, handed in so that tests need neither wait nor send signals. Seconds."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from msgspec import Struct, field


class Clock(Protocol):
    """Time, handed in so that tests need not wait. Seconds."""

    def now(self) -> float: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class Interruption(Protocol):
    """Whether somebody asked the operation to end (ctrl-C, SIGTERM)."""

    @property
    def requested(self) -> bool: ...
    def acknowledge(self) -> None:
        """The operation is on its way to its end: what is done to end well is not interrupted by any request."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class InterruptionFlag(Struct):
    """Set by a signal handler, looked at by the operation. What is done to end well is not interrupted any more."""

    _asked: threading.Event = field(default_factory=threading.Event)
    _ending: threading.Event = field(default_factory=threading.Event)

    @property
    def requested(self) -> bool:
        return self._asked.is_set() and not self.is_ending

    @property
    def is_ending(self) -> bool:
        """The operation puts the site back, because of a request or because something failed."""
        return self._ending.is_set()

    def request(self) -> None:
        self._asked.set()

    def acknowledge(self) -> None:
        self._ending.set()
