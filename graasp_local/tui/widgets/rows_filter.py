"""The field above a list that filters it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

if TYPE_CHECKING:
    from graasp_local.tui.widgets.rows import Rows


class RowsFilter(Input):
    """Enter chooses the marked row, the arrows move the mark, esc shows all rows again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", show=False),
        Binding("down", "move(1)", show=False),
        Binding("up", "move(-1)", show=False),
    ]

    def __init__(self, rows: Rows) -> None:
        super().__init__(placeholder="show only rows with …", classes="rows-filter")
        self._rows = rows

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._rows.narrow(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._rows.focus()
        self._rows.action_choose()

    def action_close(self) -> None:
        self._rows.action_close_filter()

    def action_move(self, by: int) -> None:
        self._rows.action_move(by)
