"""The question asked when the UI is closed while an operation that it started is running."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from graasp_local.tui.screens.base import UiModal
from graasp_local.tui.tones import Line, Piece, Tone, plain
from graasp_local.tui.widgets.lines import Lines


class LeaveScreen(UiModal[None]):
    """Three choices: stay, close and let the operation continue in this terminal, close and stop it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,s,n", "close", show=False),
        Binding("g", "go_on", show=False),
        Binding("x", "interrupt", show=False),
    ]

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Lines(self._text)

    def action_go_on(self) -> None:
        if self.ui.operation_run is not None:
            self.ui.operation_run.goes_on_without_ui = True
        self.ui.exit()

    def action_interrupt(self) -> None:
        self.ui.exit()

    def _text(self, width: int) -> tuple[Line, ...]:
        command = self.ui.operation_run.request.command if self.ui.operation_run is not None else ""
        return (
            plain("An operation is running", Tone.STRONG),
            plain(command, Tone.QUIET),
            (),
            (Piece("s", Tone.KEY, "screen.close"), Piece("  stay here")),
            (
                Piece("g", Tone.KEY, "screen.go_on"),
                Piece("  close the UI; the operation continues in this terminal, as plain text"),
            ),
            (
                Piece("x", Tone.KEY, "screen.interrupt"),
                Piece("  close the UI and stop the operation at the next safe point"),
            ),
        )
