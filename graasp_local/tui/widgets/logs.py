"""Logs with the newest lines at the bottom; only visible lines are drawn, so that a flood costs little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from graasp_local.tui.figures import local_clock
from graasp_local.tui.log_model import LogLine, LogModel, printable, severity
from graasp_local.tui.tones import Line, Piece, Tone, padded
from graasp_local.tui.widgets.lines import Scrolled

_LEAST_NAME_WIDTH = 5
_NAME_WIDTH, _TIME_WIDTH, _MARK_WIDTH = 10, 9, 2
_PAN_COLUMNS = 20


class LogView(Scrolled):
    """Shows a LogModel; follows its end until the user scrolls up."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "Follow", show=False),
        Binding("space", "pause", "Pause", show=False),
        Binding("y", "copy", "Copy", show=False),
        Binding("left", "pan(-1)", "Left", show=False),
        Binding("right", "pan(1)", "Right", show=False),
        Binding("T", "times", "Times", show=False),
        Binding("w", "wrap", "Wrap", show=False),
        Binding("n", "find(1)", "Next match", show=False),
        Binding("N", "find(-1)", "Match before", show=False),
        Binding("ampersand", "widen", "All lines", show=False),
    ]

    class Changed(Message):
        """Following, pausing, the focus or the number of lines has changed."""

    @dataclass
    class Chosen(Message):
        """The user has turned times or wrapped lines on or off."""

        times: bool
        wraps: bool

    def __init__(self, *, id: str | None = None, with_names: bool = True) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.model = LogModel()
        self.following = True
        self.with_names = with_names
        self.found: int | None = None
        """The shown line that was jumped to."""
        self.wraps = False
        self.shows_times = False
        self._wider = 0
        self._first_column = 0
        self._rows: list[tuple[int, int]] = []
        """While lines are wrapped: the line and column at which each screen row begins."""

    @property
    def status(self) -> str:
        """Following, scrolled up or paused, in words."""
        if self.model.paused:
            return f"paused, {self.model.waiting_to_be_shown:,} new"
        return "following" if self.following else "scrolled up"

    def add(self, lines: list[LogLine]) -> None:
        """Add lines and show them."""
        gone = self.model.add(lines)
        if self.model.paused:
            self.post_message(self.Changed())
            return
        self._resize(gone)

    def clear(self) -> None:
        self.model.clear()
        self._resize(0)

    def filter(self, needle: str) -> None:
        self.model.filter(needle)
        self.found = None
        self._resize(0)

    def render_line(self, y: int) -> Strip:
        width = self.content_size.width
        row = y + round(self.scroll_y)
        if self.wraps:
            return self.strip_of(self._line(*self._rows[row]) if row < len(self._rows) else (), width)
        return self.strip_of(self._line(row, self._first_column) if row < len(self.model.shown) else (), width)

    def on_resize(self) -> None:
        self._resize(0)

    def watch_has_focus(self, value: bool) -> None:
        super().watch_has_focus(value)
        self.post_message(self.Changed())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        at_end = new_value >= self.max_scroll_y - 0.5
        if at_end != self.following and (at_end or new_value < old_value):
            self.following = at_end
            self.post_message(self.Changed())
        self.refresh()

    def action_pan(self, by: int) -> None:
        """Scroll long lines sideways."""
        furthest = max((len(line.text) for line in self._seen_lines), default=0)
        self._first_column = max(0, min(self._first_column + by * _PAN_COLUMNS, furthest - _PAN_COLUMNS))
        self.refresh()

    def action_end(self, which: int) -> None:
        if which < 0:
            super().action_end(which)
        else:
            self.action_follow()

    def action_follow(self) -> None:
        """Go to the end and stay there."""
        self.following = True
        if self.model.paused:
            self.action_pause()
        self._resize(0)

    def action_pause(self) -> None:
        """Pause or continue."""
        if self.model.paused:
            self._resize(self.model.resume())
        else:
            self.model.pause()
        self.post_message(self.Changed())

    def action_times(self) -> None:
        """Show or hide the time of each line."""
        self.shows_times = not self.shows_times
        self._resize(0)
        self.post_message(self.Chosen(times=self.shows_times, wraps=self.wraps))

    def action_wrap(self) -> None:
        """Toggle between long lines in full, on as many rows as needed, and one row per line."""
        top = self._first_shown
        self.wraps, self._first_column = not self.wraps, 0
        self._resize(0)
        if not self.following:
            self._bring_line_to_top(top)
        self.post_message(self.Chosen(times=self.shows_times, wraps=self.wraps))

    def look_as(self, *, times: bool, wraps: bool, wider: int) -> None:
        """Apply the user's choices, made here or in another log; `wider` is in cells, for the name column."""
        if (times, wraps, wider) == (self.shows_times, self.wraps, self._wider):
            return
        self.shows_times, self._wider = times, wider
        if wraps is not self.wraps:
            self.wraps, self._first_column = wraps, 0
        self._resize(0)

    def action_widen(self) -> None:
        """Toggle between only the matching lines and all lines with the matches marked."""
        if self.model.needle:
            self.model.widen()
            self.found = None
            self._resize(0)

    def action_find(self, step: int) -> None:
        """Go to the next line that matches the filter, or to the previous one."""
        if not self.model.needle:
            self.app.notify("No filter is set. Press / to set one.")
            return
        begin = self.found if self.found is not None else self._first_shown - step
        place = self.model.next_match(begin, step)
        if place is None:
            self.app.notify("No more matches below." if step > 0 else "No more matches above.")
            return
        self.found, self.following = place, False
        self._bring_line_to_top(max(0, place - self.content_size.height // 2))
        self.refresh()
        self.post_message(self.Changed())

    def action_copy(self) -> None:
        """Copy the visible lines."""
        lines = self._seen_lines
        self.app.copy_to_clipboard("\n".join(printable(line.text) for line in lines))
        self.app.notify(f"{len(lines)} lines copied.")

    @property
    def _first_shown(self) -> int:
        """The index of the shown line at the top of the screen."""
        top = round(self.scroll_y)
        return self._rows[top][0] if self.wraps and top < len(self._rows) else top

    @property
    def _seen_lines(self) -> list[LogLine]:
        top, height = round(self.scroll_y), self.content_size.height
        if self.wraps:
            seen = dict.fromkeys(index for index, _ in self._rows[top : top + height])
            return [self.model.shown[index] for index in seen]
        return self.model.shown[top : top + height]

    @property
    def _name_width(self) -> int:
        return max(_LEAST_NAME_WIDTH, _NAME_WIDTH + self._wider)

    @property
    def _text_width(self) -> int:
        """The width left for the text itself."""
        beside = (self._name_width if self.with_names else 0) + (_TIME_WIDTH if self.shows_times else 0) + _MARK_WIDTH
        return max(10, self.content_size.width - beside)

    def _line(self, index: int, column: int) -> Line:
        line = self.model.shown[index]
        text = printable(line.text)
        tone = severity(text)
        goes_on = self.wraps and column > 0
        mark = {Tone.BAD: "✗ ", Tone.BUSY: "! "}.get(tone, "  ")
        if index == self.found:
            mark = "❯ "  # noqa: RUF001 - the same as in a list
        at = local_clock(line.at) if line.at and not goes_on else ""
        name = padded("" if goes_on else line.service, self._name_width - 1) + " "
        head = (
            *((Piece(padded(at, _TIME_WIDTH), Tone.QUIET),) if self.shows_times else ()),
            *((Piece(name, Tone.ACCENT),) if self.with_names else ()),
            Piece("  " if goes_on else mark, tone),
        )
        end = column + self._text_width if self.wraps else None
        return (*head, *_with_matches(text[column:end], tone, self.model.needle))

    def _bring_line_to_top(self, index: int) -> None:
        rows = enumerate(self._rows)
        self.bring_to_top(next((row for row, (line, _) in rows if line >= index), 0) if self.wraps else index)

    def _resize(self, gone: int) -> None:
        if gone and self.found is not None:
            self.found = self.found - gone if self.found >= gone else None
        rows = len(self.model.shown)
        if self.wraps:
            width = self._text_width
            self._rows = [
                (index, column)
                for index, line in enumerate(self.model.shown)
                for column in range(0, max(1, len(printable(line.text))), width)
            ]
            rows = len(self._rows)
        self.virtual_size = Size(self.content_size.width, rows)
        if self.following:
            super().action_end(1)
        elif gone:
            self.action_move(-gone)
        self.refresh()
        self.post_message(self.Changed())


def _with_matches(text: str, tone: Tone, needle: str) -> Line:
    """The text with matches of the filter highlighted. Pure."""
    folded = text.casefold()
    # If folding changes the length, the positions do not match those in the text.
    if not needle or len(folded) != len(text):
        return (Piece(text, tone),)
    pieces: list[Piece] = []
    begin = 0
    while (place := folded.find(needle, begin)) >= 0:
        end = place + len(needle)
        pieces += [Piece(text[begin:place], tone), Piece(text[place:end], Tone.FOUND)]
        begin = end
    return (*pieces, Piece(text[begin:], tone))
