"""Lines of logs on their way to a screen: bounded memory, a filter, severities, a pause.

Keeps the newest KEPT_LINES lines and says how many it let go: a flood costs no more than that. Pure.
"""

from __future__ import annotations

import re
from collections import deque

from msgspec import Struct, field

from graasp_local.plain_text import plain_text
from graasp_local.tui.tones import Tone

KEPT_LINES = 10_000
_SLACK = 2_000

_BAD = re.compile(r"\b(error|fatal|panic|critical|exception|traceback|emerg|alert|crit)\b|\"level\":(5|6)0|✗", re.I)
_WARN = re.compile(r"\bwarn(ing)?\b|\"level\":40", re.I)


def severity(text: str) -> Tone:
    """What a line's own words say about it."""
    head = text[:400]
    if _BAD.search(head):
        return Tone.BAD
    return Tone.BUSY if _WARN.search(head) else Tone.PLAIN


def printable(text: str) -> str:
    """Without anything that a terminal obeys, tabs as blanks."""
    return plain_text(text.replace("\t", "    "))


class LogLine(Struct, frozen=True):
    """A line, and the service that said it."""

    service: str
    text: str


class Funnel:
    """Where reading threads put what they read, and the screen takes it from; holds the newest lines only."""

    def __init__(self, capacity: int = KEPT_LINES) -> None:
        self._lines: deque[LogLine] = deque(maxlen=capacity)
        self._put = 0

    def put(self, lines: list[LogLine]) -> None:
        """Called by threads; a deque's own operations are atomic."""
        self._lines.extend(lines)
        self._put += len(lines)

    def take(self) -> tuple[list[LogLine], int]:
        """Everything that is there, and how many lines were let go since the last time."""
        taken: list[LogLine] = []
        while self._lines:
            taken.append(self._lines.popleft())
        lost, self._put = max(0, self._put - len(taken)), 0
        return taken, lost


class Chunks:
    """Lines out of pieces that may end anywhere."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._rest = b""

    def lines(self, chunk: bytes) -> list[LogLine]:
        *complete, self._rest = (self._rest + chunk).split(b"\n")
        return [LogLine(self._service, line.decode(errors="replace").rstrip("\r")) for line in complete]


class LogModel(Struct):
    """What a log widget shows: `shown` is what passes the filter."""

    needle: str = ""
    paused: bool = False
    lines: list[LogLine] = field(default_factory=list)
    shown: list[LogLine] = field(default_factory=list)
    waiting: list[LogLine] = field(default_factory=list)

    def add(self, lines: list[LogLine]) -> int:
        """Take lines in; returns how many shown lines were let go at the top."""
        if self.paused:
            self.waiting = (self.waiting + lines)[-KEPT_LINES:]
            return 0
        self.lines += lines
        self.shown += [line for line in lines if self._passes(line)]
        if len(self.lines) > KEPT_LINES + _SLACK:
            del self.lines[: len(self.lines) - KEPT_LINES]
        excess = len(self.shown) - KEPT_LINES
        if excess > _SLACK:
            del self.shown[:excess]
            return excess
        return 0

    def pause(self) -> None:
        """Keep what is shown as it is; what comes meanwhile waits."""
        self.paused = True

    def resume(self) -> int:
        """Go on with what has waited; returns how many shown lines were let go."""
        self.paused = False
        waiting, self.waiting = self.waiting, []
        return self.add(waiting)

    def filter(self, needle: str) -> None:
        """Show only lines with this text, whatever its case; an empty text shows all."""
        self.needle = needle.casefold()
        self.shown = [line for line in self.lines if self._passes(line)]

    def clear(self) -> None:
        self.lines, self.shown, self.waiting = [], [], []

    def _passes(self, line: LogLine) -> bool:
        return not self.needle or self.needle in line.text.casefold() or self.needle in line.service.casefold()
