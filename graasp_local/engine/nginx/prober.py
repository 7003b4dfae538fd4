"""Requests the site as visitors do, on both sides of the gate, repeatedly, each time on a new connection.

One request after the other on each side, alternating between a browser's and a program's, so that the load is small and
bounded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from msgspec import Struct

from graasp_local.engine.nginx.edge import HttpEdge
from graasp_local.engine.reach import plain_http
from graasp_local.journal.visits import Asker, Met, ProbeReport, Tally, met, report
from graasp_local.planning.states import Gate

PAUSE_SECONDS = 0.025
"""Between two requests of one side."""
HANG_SECONDS = 10.0
"""A request without an answer by then hangs."""
_SETTLE_SECONDS = 2.0

_BROWSER = {"Accept": "text/html,application/xhtml+xml"}
_PROGRAM = {"Accept": "application/json"}


class Change(Struct, frozen=True):
    """A side gets a different answer than before; `at` in seconds since 1970."""

    at: float
    side: Asker
    met: Met


class EdgeProber:
    """Probes one edge. `on_change` is called from its threads."""

    def __init__(self, edge: HttpEdge, on_change: Callable[[Change], None] = lambda _: None) -> None:
        self._edge = edge
        self._on_change = on_change
        self._ended = threading.Event()
        self._tallies = {side: Tally() for side in Asker}
        self._lock = threading.Lock()
        self._began = 0.0
        self._threads = [threading.Thread(target=self._ask_on, args=(side,), daemon=True) for side in Asker]

    def start(self) -> None:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def report(self) -> ProbeReport:
        """What the requests have met so far."""
        with self._lock:
            return report(self._tallies, time.monotonic() - self._began)

    def stop(self, gate: Gate) -> ProbeReport:
        """Stop probing. If the gate is open, first wait for the answer that shows it, for a bounded time."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while gate is Gate.OPEN and time.monotonic() < deadline and self._tallies[Asker.VISITOR].latest is not Met.APP:
            time.sleep(PAUSE_SECONDS)
        self._ended.set()
        for thread in self._threads:
            thread.join(HANG_SECONDS)
        return self.report()

    def _ask_on(self, side: Asker) -> None:
        bypass = self._edge.bypass if side is Asker.BYPASS else {}
        turns = (("/", {**_BROWSER, **bypass}), ("/api/version", {**_PROGRAM, **bypass}))
        turn = 0
        while not self._ended.is_set():
            path, headers = turns[turn % 2]
            what = self._count(side, path, headers)
            if what is Met.REDIRECT:
                self._count(side, "/maintenance", headers)
            turn += 1
            self._ended.wait(PAUSE_SECONDS)

    def _count(self, side: Asker, path: str, headers: Mapping[str, str]) -> Met:
        asked = time.monotonic()
        what = ask(self._edge, path, headers)
        with self._lock:
            changed = self._tallies[side].add(what, asked, time.monotonic())
        if changed:
            self._on_change(Change(time.time(), side, what))
        return what


def ask(edge: HttpEdge, path: str, headers: Mapping[str, str]) -> Met:
    """What one request meets."""
    try:
        with edge.connection(HANG_SECONDS) as connection:
            answer = plain_http.get(connection, edge.host, path, headers, plain_http.LONGEST_BYTES)
    except TimeoutError:
        return Met.HANG
    except ConnectionRefusedError:
        return Met.REFUSED
    except (OSError, plain_http.NotHttpError):
        return Met.CUT_OFF
    return met(path, answer.status, answer.headers, answer.body)
