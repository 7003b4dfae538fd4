"""The keys: those from the table of verbs, and those for moving around."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from graasp_local.tui.drawing.help import help_lines
from graasp_local.tui.screens.base import Box
from graasp_local.tui.widgets.lines import Lines


class HelpScreen(Box[None]):
    """Everything at once; scrolls if the terminal is not tall enough."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,question_mark,enter", "close", show=False),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("G,end,ctrl+d,pagedown", "scroll(99)", show=False),
        Binding("g,home,ctrl+u,pageup", "scroll(-99)", show=False),
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box") as box:
            box.border_title = "Keys"
            box.border_subtitle = "j k scroll, esc closes"
            yield Lines(help_lines)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False, immediate=True, force=True)
