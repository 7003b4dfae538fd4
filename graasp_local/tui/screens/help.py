"""The keys, from the table of verbs, and what moves about."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from graasp_local.tui.drawing.help import help_lines
from graasp_local.tui.screens.base import UiModal
from graasp_local.tui.widgets.lines import Lines


class HelpScreen(UiModal[None]):
    """All of it at once; where the terminal is lower than that it scrolls."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "close", show=False)]

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box") as box:
            box.border_title = "Keys"
            box.border_subtitle = "esc closes"
            yield Lines(help_lines)
