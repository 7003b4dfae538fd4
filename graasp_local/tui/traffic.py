"""Counts requests per second, and how many were answered with 5xx, from nginx's own log.

Knows nothing of Textual. The log does not contain nginx's answers to graasp-local itself within the stack.
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
"""How many of the newest lines are read at first."""
_KEPT_SECONDS = 6 * 3600
_ANSWERED = re.compile(r'" ([1-5]\d\d) \d+ [\d.]+ gate=\S*$')
"""The status near the end of a line in the format set by nginx/templates/20-proxy.conf.template, whatever the request
before it contains. A connection closed before it was answered is logged as 000 and does not count as a request."""


class Figures(Struct, frozen=True):
    """Requests, 503s (`closed`) and other 5xx answers for each second from `begin`, in seconds since 1970."""

    begin: int
    requests: tuple[int, ...]
    closed: tuple[int, ...]
    errors: tuple[int, ...]

    @property
    def failed(self) -> tuple[int, ...]:
        """All 5xx answers, per second."""
        return tuple(a + b for a, b in zip(self.closed, self.errors, strict=True))


class Traffic:
    """The counts so far; one thread counts, another may read."""

    def __init__(self) -> None:
        self._requests: Counter[int] = Counter()
        self._closed: Counter[int] = Counter()
        self._errors: Counter[int] = Counter()
        self._moment, self._second, self._latest = "", 0, ""

    def count(self, lines: Iterable[LogLine]) -> None:
        """Count these lines, ignoring those that are not requests."""
        for line in lines:
            answered = _ANSWERED.search(line.text)
            # A log that is opened again starts with lines that were already counted.
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
        """The figures for every second of this period, limited to its last six hours."""
        last = int(end)
        seconds = range(max(int(begin), last - _KEPT_SECONDS), last + 1)
        counters = (self._requests, self._closed, self._errors)
        return Figures(seconds.start, *(tuple(counter[second] for second in seconds) for counter in counters))

    def _second_of(self, at: str) -> int | None:
        """None if it only looks like the engine's stamp, as the remainder of a truncated line may."""
        moment = at[:19]
        if moment != self._moment:
            try:
                self._second = int(datetime.fromisoformat(moment + "+00:00").timestamp())
            except ValueError:
                return None
            self._moment = moment
        return self._second


class LogOfNginx:
    """Follows the log of nginx's current container from a given moment until `close` is called."""

    def __init__(self, traffic: Traffic, since: float) -> None:
        self._traffic = traffic
        self._since = since
        self._stream: Stream[bytes] | None = None
        self._stop = threading.Event()

    def follow(self, live: Callable[[], LiveEngine | None], view: Callable[[], SiteView | None]) -> None:
        """The loop, on its own thread. A log ends with its container; then the next container's log is followed."""
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
        """Stop following. May be called from any thread."""
        self._stop.set()
        if self._stream is not None:
            self._stream.close()


def nginx_of(view: SiteView | None) -> tuple[str, float | None] | None:
    """The id and start time of the running container at the edge, which visitors reach first. Pure."""
    from graasp_local.planning.states import ServiceGroup

    for service in view.services if view is not None else ():
        if service.observed.group is ServiceGroup.EDGE and service.container is not None and service.runs:
            return service.container.id, service.container.started_at
    return None
