"""Lines of logs on their way to a screen: in order of time, bounded memory, a filter, severities, a pause.

Keeps the newest KEPT_LINES lines and says how many it let go: a flood costs no more than that. Pure.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque

from msgspec import Struct, field
from msgspec.structs import replace

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
    """A line, and the service that said it; `at` is when, in UTC as a text that sorts, empty where it is not known."""

    service: str
    text: str
    at: str = ""


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
        return [self._line(line.decode(errors="replace").rstrip("\r")) for line in complete]

    def _line(self, said: str) -> LogLine:
        stamp, _, text = said.partition(" ")
        return LogLine(self._service, text, stamp) if stamp.endswith("Z") else LogLine(self._service, said)


class LogModel(Struct):
    """What a log widget shows: `shown` is what passes the filter, all of it while the filter does not narrow."""

    needle: str = ""
    narrows: bool = True
    paused: bool = False
    lines: list[LogLine] = field(default_factory=list)
    shown: list[LogLine] = field(default_factory=list)
    waiting: list[LogLine] = field(default_factory=list)

    def add(self, lines: list[LogLine]) -> int:
        """Take lines in; returns how many shown lines were let go at the top."""
        if self.paused:
            self.waiting = (self.waiting + lines)[-KEPT_LINES:]
            return 0
        _merge(self.lines, lines)
        _merge(self.shown, [line for line in lines if self._passes(line)])
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

    @property
    def waiting_to_be_shown(self) -> int:
        """How many of the lines that came during the pause will be shown."""
        return sum(1 for line in self.waiting if self._passes(line))

    def filter(self, needle: str) -> None:
        """Show only lines with this text, whatever its case; an empty text shows all."""
        self.needle, self.narrows = needle.casefold(), True
        self._choose()

    def widen(self) -> None:
        """Show all lines, with those that match marked among them; or only those again."""
        self.narrows = not self.narrows
        self._choose()

    def matches(self, line: LogLine) -> bool:
        """Whether it has what is looked for, of which there is something."""
        needle = self.needle
        return bool(needle) and (needle in line.text.casefold() or needle in line.service.casefold())

    def next_match(self, place: int, step: int) -> int | None:
        """The next one of the shown lines that matches, after (1) or before (-1) a place; None where there is none."""
        places = range(place + step, len(self.shown) if step > 0 else -1, step)
        return next((index for index in places if self.matches(self.shown[index])), None)

    def clear(self) -> None:
        self.lines, self.shown, self.waiting = [], [], []

    def _choose(self) -> None:
        self.shown = [line for line in self.lines if self._passes(line)]

    def _passes(self, line: LogLine) -> bool:
        return not self.needle or not self.narrows or self.matches(line)


def _merge(kept: list[LogLine], added: list[LogLine]) -> None:
    """Put lines in by their time; those of the same time stay as they came. One without a time belongs to the end."""
    if not added:
        return
    latest = kept[-1].at if kept else ""
    dated = sorted((line if line.at else replace(line, at=latest) for line in added), key=_time_of)
    if dated[0].at >= latest:
        kept += dated
        return
    place = bisect_right(kept, dated[0].at, key=_time_of)
    kept[place:] = sorted([*kept[place:], *dated], key=_time_of)


def _time_of(line: LogLine) -> str:
    return line.at
