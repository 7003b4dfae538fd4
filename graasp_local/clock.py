"""Time and requests to stop, passed in so that tests need neither wait nor send signals. In seconds."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from msgspec import Struct, field


class Clock(Protocol):
    """Time, passed in so that tests need not wait. In seconds."""

    def now(self) -> float: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class Interruption(Protocol):
    """Whether the operation was asked to stop (Ctrl-C, SIGTERM)."""

    @property
    def requested(self) -> bool: ...
    def acknowledge(self) -> None:
        """The operation is now ending: no further request interrupts what it does to end cleanly."""
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
    """Set by a signal handler, checked by the operation. Once the operation is ending, nothing interrupts it."""

    _asked: threading.Event = field(default_factory=threading.Event)
    _ending: threading.Event = field(default_factory=threading.Event)

    @property
    def requested(self) -> bool:
        return self._asked.is_set() and not self.is_ending

    @property
    def is_ending(self) -> bool:
        """The operation is putting the site back, because of a request or because something failed."""
        return self._ending.is_set()

    def request(self) -> None:
        self._asked.set()

    def acknowledge(self) -> None:
        self._ending.set()
