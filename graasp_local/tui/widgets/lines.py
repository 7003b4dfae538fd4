"""Text with tones as widgets: a block of lines, as tall as it has lines; the key bar; what has more rows than fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from graasp_local.tui.drawing.keys import KeyHint, key_line
from graasp_local.tui.tones import Line, Tone, fitted, width_of
from graasp_local.wording import plain_line

Drawing = Callable[[int], tuple[Line, ...]]


class Toned(Widget):
    """A widget that turns tones into the theme's colors; the style sheet has one class for each tone."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"tone--{tone}" for tone in Tone}

    def strip_of(self, line: Line, width: int, under: Style | None = None) -> Strip:
        """The line as a Textual strip, exactly this wide; `under` is added to the tones' styles (for a cursor)."""
        shown = fitted(tuple(piece._replace(text=plain_line(piece.text)) for piece in line), width)
        segments = []
        for piece in shown:
            style = self.get_component_rich_style(f"tone--{piece.tone}")
            if piece.action:
                style += Style.from_meta({"@click": piece.action})
            segments.append(Segment(piece.text, style + under if under else style))
        rest = self.rich_style + under if under else self.rich_style
        return Strip(segments, width_of(shown)).adjust_cell_length(width, rest)


class Lines(Toned):
    """Shows the drawing given to `show`; calls it again when the width changes."""

    def __init__(self, drawing: Drawing | None = None, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._drawing: Drawing = drawing or (lambda width: ())
        self._drawn: tuple[Line, ...] = ()
        self._drawn_width = -1

    def show(self, drawing: Drawing) -> None:
        """Draw this from now on; nothing is repainted if the lines are unchanged."""
        self._drawing = drawing
        width = self.content_size.width
        if not width:
            self._drawn_width = -1
            self.refresh(layout=True)
            return
        before, self._drawn, self._drawn_width = self._drawn, drawing(width), width
        if self._drawn != before:
            self.refresh(layout=len(self._drawn) != len(before))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width))

    def render_line(self, y: int) -> Strip:
        width = self.content_size.width
        lines = self._lines(width)
        return self.strip_of(lines[y] if y < len(lines) else (), width)

    def _lines(self, width: int) -> tuple[Line, ...]:
        if width != self._drawn_width:
            self._drawn, self._drawn_width = self._drawing(width), width
        return self._drawn


class KeyBar(Lines):
    """The foot of a screen: the keys that work here, each of which can be clicked.

    If it is narrow, hints are dropped; those of `last` always stay.
    """

    def show_keys(self, hints: Sequence[KeyHint], last: Sequence[KeyHint]) -> None:
        self.show(lambda width: (key_line(hints, last, width),))


class Scrolled(Toned, ScrollView, can_focus=True):
    """Has more rows than fit, and draws only those that are visible. Keys scroll it by rows, by pages, to both ends."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False),
        Binding("home,g", "end(-1)", "First", show=False),
        Binding("end,G", "end(1)", "Last", show=False),
    ]

    @property
    def height_of_rows(self) -> int:
        return self.content_size.height

    def action_move(self, by: int) -> None:
        self.bring_to_top(round(self.scroll_y) + by)

    def action_page(self, by: int) -> None:
        self.action_move(by * max(1, self.height_of_rows - 1))

    def action_end(self, which: int) -> None:
        self.bring_to_top(0 if which < 0 else round(self.max_scroll_y))

    def bring_to_top(self, row: int) -> None:
        """Scroll at once, as far as there are rows."""
        self.scroll_to(y=max(0, min(row, self.max_scroll_y)), animate=False, immediate=True, force=True)
