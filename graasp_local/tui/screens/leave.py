"""The question asked when the UI is closed while an operation that it started is running."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from graasp_local.tui.screens.base import Box
from graasp_local.tui.tones import Line, Piece, Tone, plain


class LeaveScreen(Box[None]):
    """Three choices: stay, close and let the operation continue in this terminal, close and stop it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s,n", "close", show=False),
        Binding("g", "go_on", show=False),
        Binding("x", "interrupt", show=False),
    ]

    def action_go_on(self) -> None:
        if self.ui.operation_run is not None:
            self.ui.operation_run.goes_on_without_ui = True
        self.ui.exit()

    def action_interrupt(self) -> None:
        self.ui.exit()

    def text(self, width: int) -> tuple[Line, ...]:
        command = self.ui.operation_run.request.command if self.ui.operation_run is not None else ""
        choices = (
            ("s", "stay here", "close"),
            ("g", "close the UI; the operation continues in this terminal, as plain text", "go_on"),
            ("x", "close the UI and stop the operation at the next safe point", "interrupt"),
        )
        return (
            plain("An operation is running", Tone.STRONG),
            plain(command, Tone.QUIET),
            (),
            *((Piece(key, Tone.KEY, f"screen.{action}"), Piece(f"  {words}")) for key, words, action in choices),
        )
