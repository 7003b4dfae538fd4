"""A list with a cursor: j/k and arrows, g/G, pages, enter, mouse. Draws only what is visible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from graasp_local.tui.drawing.tables import Row, Table
from graasp_local.tui.tones import Tone, plain
from graasp_local.tui.widgets.lines import Scrolled

TableDrawing = Callable[[int], Table]

_MARK, _MARK_BLURRED = "❯", "›"  # noqa: RUF001 - they should look like what they are
"""Drawn in the first column of the cursor's row, so that it is visible without colors, or with only sixteen."""


class Rows(Scrolled):
    """Shows a table; posts which row the cursor is on, and which was chosen."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--cursor", "rows--cursor-blurred", "rows--mark"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Choose", show=False),
        Binding("slash", "filter", "Filter", show=False),
        Binding("escape", "close_filter", show=False),
    ]

    @dataclass
    class Highlighted(Message):
        """The cursor is now on this row; `by_person` if a key or the mouse put it there."""

        rows: Rows
        key: str
        by_person: bool = True

        @property
        def control(self) -> Rows:
            return self.rows

    class Chosen(Highlighted):
        """The row was chosen with enter or a second click."""

    def __init__(self, *, id: str | None = None, cursor: bool = True, field_above: str | None = "") -> None:  # noqa: A002 - Textual's name
        """`field_above` selects the widget above which the filter field goes, by default the list; None: no filter."""
        # Without a cursor to show the position, a scrollbar shows that there is more.
        super().__init__(id=id, classes="" if cursor else "with-bar")
        self._with_cursor = cursor
        self._field_above = field_above
        self._field: Widget | None = None
        self._needle = ""
        self._lowest_seen = 0
        self._drawing: TableDrawing = lambda width: Table((), ())
        self._table = self._whole = Table((), ())
        self._drawn_width = 0
        self._cursor = 0
        self._follows = False

    @property
    def cursor_key(self) -> str | None:
        """The key of the row under the cursor."""
        rows = self._table.rows
        return rows[min(self._cursor, len(rows) - 1)].key if rows else None

    @property
    def height_of_rows(self) -> int:
        return super().height_of_rows - bool(self._table.heading)

    @property
    def visible_keys(self) -> tuple[str, ...]:
        """The keys of the rows that are visible now."""
        top = round(self.scroll_y)
        return tuple(row.key for row in self._table.rows[top : top + max(1, self.height_of_rows)])

    @property
    def keys_never_seen(self) -> tuple[str, ...]:
        """The keys of the rows at the end that have never been scrolled into view."""
        self._note_seen(self.scroll_y)
        return tuple(row.key for row in self._whole.rows[self._lowest_seen :])

    @property
    def allow_vertical_scroll(self) -> bool:
        """Allow the mouse wheel too, with or without a scrollbar."""
        return super().allow_vertical_scroll or self.max_scroll_y > 0

    def show(self, drawing: TableDrawing) -> None:
        """Draw this table from now on; the cursor stays on its row."""
        key = self.cursor_key
        self._drawing = drawing
        self._draw()
        keys = [row.key for row in self._table.rows]
        if key in keys:
            self._cursor = keys.index(key)
        elif keys:
            self._cursor = min(self._cursor, len(keys) - 1)
        if self.cursor_key is not None and self.cursor_key != key:
            self.post_message(self.Highlighted(self, self.cursor_key, by_person=False))

    def select(self, key: str) -> None:
        """Put the cursor on the row with this key, if there is one."""
        for index, row in enumerate(self._table.rows):
            if row.key == key:
                self._go(index, by_person=False)

    def narrow(self, needle: str) -> None:
        """Show only the rows that contain every word of this; an empty text shows all."""
        self._needle = needle
        self.show(self._drawing)
        if needle:
            self.action_end(-1)

    @property
    def needle(self) -> str:
        """The text that the rows are narrowed by."""
        return self._needle

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        table = self._narrowed(self._drawing(width - len(_MARK)))
        return max(len(table.rows), bool(self._needle)) + bool(table.heading)

    def render_line(self, y: int) -> Strip:
        width = self._line_width
        if self._table.heading:
            if y == 0:
                return self._marked(" ", self.strip_of(self._table.heading, width))
            y -= 1
        index = y + round(self.scroll_y)
        rows: tuple[Row, ...] = self._table.rows
        if self._needle and not rows and index == 0:
            return self._marked(" ", self.strip_of(plain("Nothing matches.", Tone.QUIET), width))
        if index >= len(rows):
            return self._marked(" ", self.strip_of((), width))
        if not self._with_cursor or index != min(self._cursor, len(rows) - 1):
            return self._marked(" ", self.strip_of(rows[index].line, width))
        name, mark = ("rows--cursor", _MARK) if self.has_focus else ("rows--cursor-blurred", _MARK_BLURRED)
        under = self.get_component_rich_style(name, partial=True)
        return self._marked(mark, self.strip_of(rows[index].line, width, under), under)

    def on_resize(self) -> None:
        self._draw()
        self._keep_cursor_in_view()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._note_seen(new_value)
        self.refresh()

    def action_move(self, by: int) -> None:
        if self._with_cursor:
            self._go(self._cursor + by)
        else:
            super().action_move(by)

    def action_end(self, which: int) -> None:
        if self._with_cursor:
            self._go(0 if which < 0 else len(self._table.rows) - 1)
        else:
            super().action_end(which)

    def action_choose(self) -> None:
        if self.cursor_key is not None:
            self.post_message(self.Chosen(self, self.cursor_key))

    def action_filter(self) -> None:
        """Ask for the filter text in a field above the list."""
        if self._field_above is None:
            raise SkipAction
        if self._field is None:
            from graasp_local.tui.widgets.rows_filter import RowsFilter

            self._field = RowsFilter(self)
            below = self.screen.query_one(self._field_above) if self._field_above else self
            cast("Widget", below.parent).mount(self._field, before=below)
        self._field.focus()

    def action_close_filter(self) -> None:
        """Show all rows again; if no filter is open, let the key do what it does elsewhere."""
        if self._field is None:
            raise SkipAction
        field, self._field = self._field, None
        field.remove()
        self.narrow("")
        self.focus()

    def on_click(self, event: events.Click) -> None:
        index = event.y - bool(self._table.heading) + round(self.scroll_y)
        if not self._with_cursor or not 0 <= index < len(self._table.rows):
            return
        again = index == self._cursor and event.chain > 1
        self._go(index)
        if again:
            self.action_choose()

    def _note_seen(self, top: float) -> None:
        """Keep track of the lowest row that was shown without a filter."""
        if not self._needle:
            self._lowest_seen = max(self._lowest_seen, round(top) + max(0, self.height_of_rows))

    def _narrowed(self, table: Table) -> Table:
        words = self._needle.casefold().split()
        if not words:
            return table
        return Table(table.heading, tuple(row for row in table.rows if all(word in row.words for word in words)))

    @property
    def _line_width(self) -> int:
        """The width left next to the mark's column."""
        return max(0, self.content_size.width - len(_MARK))

    def _marked(self, mark: str, strip: Strip, under: Style | None = None) -> Strip:
        style = self.get_component_rich_style("rows--mark")
        return Strip([Segment(mark, style + under if under else style), *strip], strip.cell_length + len(_MARK))

    def _go(self, index: int, *, by_person: bool = True) -> None:
        rows = self._table.rows
        if not rows:
            return
        before, self._cursor = self.cursor_key, max(0, min(index, len(rows) - 1))
        self._follows = not by_person
        self._keep_cursor_in_view()
        self.refresh()
        if self.cursor_key is not None and self.cursor_key != before:
            self.post_message(self.Highlighted(self, self.cursor_key, by_person))

    def _keep_cursor_in_view(self) -> None:
        """Scroll to the cursor. One that follows an operation stays as low as possible, wherever the list was."""
        if not self._with_cursor or self.height_of_rows <= 0:
            return
        top = round(self.scroll_y)
        lowest = self._cursor - self.height_of_rows + 1
        if self._follows and top != max(0, lowest):
            self.bring_to_top(lowest)
        elif not lowest <= top <= self._cursor:
            self.bring_to_top(self._cursor if self._cursor < top else lowest)

    def _draw(self) -> None:
        width = self._line_width
        self._whole = self._drawing(width or 80)
        before, self._table = self._table, self._narrowed(self._whole)
        if self._table == before and width == self._drawn_width:
            return
        self._drawn_width = width
        heading = bool(self._table.heading)
        self.virtual_size = Size(self.content_size.width, len(self._table.rows) + heading)
        self.refresh(layout=len(before.rows) != len(self._table.rows))
