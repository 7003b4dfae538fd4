"""Requests by the second, and how many of them were answered with 5xx, as nginx's log of its own tells them.

Counts; knows nothing of Textual. What nginx answers to the program itself within the stack is not in its log.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from graasp_local.errors import GraaspLocalError
from graasp_local.tui.log_model import Chunks, LogLine

if TYPE_CHECKING:
    from graasp_local.ports.live import LiveEngine, Stream
    from graasp_local.tui.model import SiteView

MOST_LINES = 50_000
"""So many of the newest lines are read at the beginning."""
_KEPT_SECONDS = 6 * 3600
_ANSWERED = re.compile(r'" ([1-5]\d\d) \d+ [\d.]+ gate=\S*$')
"""The status at the end of a line of the format that nginx/templates/20-proxy.conf.template sets, whatever was asked
for before that. A connection that was closed before it was answered is logged as 000, and is no request."""


class Figures(Struct, frozen=True):
    """From `begin` on, in seconds since 1970: for each second how many requests, 503s and other 5xx answers."""

    begin: int
    requests: tuple[int, ...]
    closed: tuple[int, ...]
    errors: tuple[int, ...]

    @property
    def failed(self) -> tuple[int, ...]:
        """All 5xx answers of each second."""
        return tuple(a + b for a, b in zip(self.closed, self.errors, strict=True))


class Traffic:
    """What was counted so far; one thread counts, another may read."""

    def __init__(self) -> None:
        self._requests: Counter[int] = Counter()
        self._closed: Counter[int] = Counter()
        self._errors: Counter[int] = Counter()
        self._moment, self._second, self._latest = "", 0, ""

    def count(self, lines: Iterable[LogLine]) -> None:
        """Lines that are no request count for nothing."""
        for line in lines:
            answered = _ANSWERED.search(line.text)
            # A log that is opened again begins with what was counted before.
            if answered is None or line.at <= self._latest:
                continue
            second = self._second_of(line.at)
            if second is None:
                continue
            self._latest = line.at
            self._requests[second] += 1
            if answered[1] == "503":
                self._closed[second] += 1
            elif answered[1].startswith("5"):
                self._errors[second] += 1

    def figures(self, begin: float, end: float) -> Figures:
        """Of every second of this time, which is cut to its last six hours."""
        last = int(end)
        seconds = range(max(int(begin), last - _KEPT_SECONDS), last + 1)
        counters = (self._requests, self._closed, self._errors)
        return Figures(seconds.start, *(tuple(counter[second] for second in seconds) for counter in counters))

    def _second_of(self, at: str) -> int | None:
        """None for what only looks like the engine's stamp, as the rest of a line that was cut may."""
        moment = at[:19]
        if moment != self._moment:
            try:
                self._second = int(datetime.fromisoformat(moment + "+00:00").timestamp())
            except ValueError:
                return None
            self._moment = moment
        return self._second


class LogOfNginx:
    """Follows the log of whatever container nginx has, from a moment on, until it is closed."""

    def __init__(self, traffic: Traffic, since: float) -> None:
        self._traffic = traffic
        self._since = since
        self._stream: Stream[bytes] | None = None
        self._stop = threading.Event()

    def follow(self, live: Callable[[], LiveEngine | None], view: Callable[[], SiteView | None]) -> None:
        """The loop, on a thread of its own. A log ends with its container; then the next one's is followed."""
        read: set[tuple[str, float | None]] = set()
        while not self._stop.is_set():
            container = nginx_of(view())
            engine = live()
            if container is not None and engine is not None and container not in read:
                with suppress(GraaspLocalError, OSError):
                    self._stream = engine.log(container[0], MOST_LINES, self._since)
                    read.add(container)
                    if self._stop.is_set():
                        self._stream.close()
                        return
                    self._count()
            self._stop.wait(0.5)

    def _count(self) -> None:
        chunks = Chunks("")
        for chunk in self._stream or ():
            self._traffic.count(chunks.lines(chunk))
            if self._stop.is_set():
                return

    def close(self) -> None:
        """From any thread."""
        self._stop.set()
        if self._stream is not None:
            self._stream.close()


def nginx_of(view: SiteView | None) -> tuple[str, float | None] | None:
    """The container of what visitors come to first, and when it was started. Pure."""
    from graasp_local.planning.states import ServiceGroup

    for service in view.services if view is not None else ():
        if service.observed.group is ServiceGroup.EDGE and service.container is not None and service.runs:
            return service.container.id, service.container.started_at
    return None
