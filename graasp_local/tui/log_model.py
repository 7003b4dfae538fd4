"""Log lines on their way to a screen: sorted by time, in bounded memory, with a filter, severities and a pause.

Keeps the newest KEPT_LINES lines and reports how many it dropped, so a flood costs no more than that. Pure.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque

from msgspec import Struct, field
from msgspec.structs import replace

from graasp_local.tui.tones import Tone
from graasp_local.wording import plain_text

KEPT_LINES = 10_000
_SLACK = 2_000

_BAD = re.compile(r"\b(error|fatal|panic|critical|exception|traceback|emerg|alert|crit)\b|\"level\":(5|6)0|✗", re.I)
_WARN = re.compile(r"\bwarn(ing)?\b|\"level\":40", re.I)


def severity(text: str) -> Tone:
    """How serious a line is, judged by its words."""
    head = text[:400]
    if _BAD.search(head):
        return Tone.BAD
    return Tone.BUSY if _WARN.search(head) else Tone.PLAIN


def printable(text: str) -> str:
    """The text without terminal control sequences, and with tabs as spaces."""
    return plain_text(text.replace("\t", "    "))


class LogLine(Struct, frozen=True):
    """A line and the service that wrote it; `at` is when, as sortable UTC text, empty if unknown."""

    service: str
    text: str
    at: str = ""


class Funnel:
    """Takes lines from reading threads until the screen collects them; holds only the newest lines."""

    def __init__(self, capacity: int = KEPT_LINES) -> None:
        self._lines: deque[LogLine] = deque(maxlen=capacity)
        self._put = 0

    def put(self, lines: list[LogLine]) -> None:
        """Called from threads; the deque's own operations are atomic."""
        self._lines.extend(lines)
        self._put += len(lines)

    def take(self) -> tuple[list[LogLine], int]:
        """All waiting lines, and how many were dropped since the last call."""
        taken: list[LogLine] = []
        while self._lines:
            taken.append(self._lines.popleft())
        lost, self._put = max(0, self._put - len(taken)), 0
        return taken, lost


class Chunks:
    """Assembles lines from chunks that may end anywhere."""

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
    """What a log widget shows: `shown` are the lines that pass the filter, or all while `narrows` is off."""

    needle: str = ""
    narrows: bool = True
    paused: bool = False
    lines: list[LogLine] = field(default_factory=list)
    shown: list[LogLine] = field(default_factory=list)
    waiting: list[LogLine] = field(default_factory=list)

    def add(self, lines: list[LogLine]) -> int:
        """Add lines; returns how many shown lines were dropped at the top."""
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
        """Freeze what is shown; lines that arrive now wait."""
        self.paused = True

    def resume(self) -> int:
        """Add the lines that waited; returns how many shown lines were dropped at the top."""
        self.paused = False
        waiting, self.waiting = self.waiting, []
        return self.add(waiting)

    @property
    def waiting_to_be_shown(self) -> int:
        """How many of the lines that arrived during the pause will be shown."""
        return sum(1 for line in self.waiting if self._passes(line))

    def filter(self, needle: str) -> None:
        """Show only lines that contain this text, ignoring case; an empty text shows all."""
        self.needle, self.narrows = needle.casefold(), True
        self._choose()

    def widen(self) -> None:
        """Toggle between only the matching lines and all lines with the matches marked."""
        self.narrows = not self.narrows
        self._choose()

    def matches(self, line: LogLine) -> bool:
        """Whether the line contains the filter text; False if there is none."""
        needle = self.needle
        return bool(needle) and (needle in line.text.casefold() or needle in line.service.casefold())

    def next_match(self, place: int, step: int) -> int | None:
        """The index of the next matching shown line after (1) or before (-1) a place; None if there is none."""
        places = range(place + step, len(self.shown) if step > 0 else -1, step)
        return next((index for index in places if self.matches(self.shown[index])), None)

    def clear(self) -> None:
        self.lines, self.shown, self.waiting = [], [], []

    def _choose(self) -> None:
        self.shown = [line for line in self.lines if self._passes(line)]

    def _passes(self, line: LogLine) -> bool:
        return not self.needle or not self.narrows or self.matches(line)


def _merge(kept: list[LogLine], added: list[LogLine]) -> None:
    """Insert lines by time, keeping arrival order for equal times. A line without a time goes to the end."""
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
