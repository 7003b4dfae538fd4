"""Logs: the newest lines at the bottom, drawn only where they are visible, so that a flood costs little."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from graasp_local.tui.log_model import LogLine, LogModel, printable, severity
from graasp_local.tui.tones import Line, Piece, Tone, padded
from graasp_local.tui.widgets.lines import Toned

_NAME_WIDTH = 10
_PAN_COLUMNS = 20


class LogView(Toned, ScrollView, can_focus=True):
    """Shows a LogModel; follows its end until somebody scrolls up."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False),
        Binding("home,g", "top", "First", show=False),
        Binding("end,G", "follow", "Last", show=False),
        Binding("f", "follow", "Follow", show=False),
        Binding("space", "pause", "Pause", show=False),
        Binding("y", "copy", "Copy", show=False),
        Binding("left", "pan(-1)", "Left", show=False),
        Binding("right", "pan(1)", "Right", show=False),
    ]

    class Changed(Message):
        """Following, pausing or the number of lines has changed."""

    def __init__(self, *, id: str | None = None, with_names: bool = True) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.model = LogModel()
        self.following = True
        self.with_names = with_names
        self._first_column = 0

    @property
    def status(self) -> str:
        """How it stands, in words."""
        if self.model.paused:
            return f"paused, {len(self.model.waiting):,} new"
        return "following" if self.following else "scrolled up"

    def add(self, lines: list[LogLine]) -> None:
        """Take lines in and show them."""
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
        self._resize(0)

    def render_line(self, y: int) -> Strip:
        width = self.content_size.width
        index = y + round(self.scroll_y)
        shown = self.model.shown
        if index >= len(shown):
            return self.strip_of((), width)
        return self.strip_of(self._line(shown[index]), width)

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

    def action_move(self, by: int) -> None:
        self.scroll_relative(y=by, animate=False, immediate=True, force=True)

    def action_page(self, by: int) -> None:
        self.scroll_relative(y=by * max(1, self.content_size.height - 1), animate=False, immediate=True, force=True)

    def action_pan(self, by: int) -> None:
        """See what of long lines is further to the right."""
        furthest = max((len(line.text) for line in self._seen_lines), default=0)
        self._first_column = max(0, min(self._first_column + by * _PAN_COLUMNS, furthest - _PAN_COLUMNS))
        self.refresh()

    def action_top(self) -> None:
        self.scroll_to(y=0, animate=False, immediate=True, force=True)

    def action_follow(self) -> None:
        """Go to the end and stay there."""
        self.following = True
        if self.model.paused:
            self.action_pause()
        self._resize(0)

    def action_pause(self) -> None:
        """Hold still, or go on."""
        if self.model.paused:
            self._resize(self.model.resume())
        else:
            self.model.pause()
        self.post_message(self.Changed())

    def action_copy(self) -> None:
        """Copy the lines that can be seen."""
        lines = self._seen_lines
        self.app.copy_to_clipboard("\n".join(printable(line.text) for line in lines))
        self.app.notify(f"{len(lines)} lines copied.")

    @property
    def _seen_lines(self) -> list[LogLine]:
        top = round(self.scroll_y)
        return self.model.shown[top : top + self.content_size.height]

    def _line(self, line: LogLine) -> Line:
        text = printable(line.text)
        tone = severity(text)
        mark = {Tone.BAD: "✗ ", Tone.BUSY: "! "}.get(tone, "  ")
        name = (Piece(padded(line.service, _NAME_WIDTH), Tone.ACCENT),) if self.with_names else ()
        return (*name, Piece(mark, tone), Piece(text[self._first_column :], tone))

    def _resize(self, gone: int) -> None:
        self.virtual_size = Size(self.content_size.width, len(self.model.shown))
        if self.following:
            self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True, force=True)
        elif gone:
            self.scroll_relative(y=-gone, animate=False, immediate=True, force=True)
        self.refresh()
        self.post_message(self.Changed())
