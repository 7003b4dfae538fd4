"""A block of lines, redrawn for each width and as tall as it has lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
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
