"""A command-line verb without a screen of its own: shows what to type, and runs it in this terminal.

The command asks its own questions there, so nothing destructive is confirmed here.
"""

from __future__ import annotations

import shlex
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from graasp_local.tui.drawing.keys import KeyHint
from graasp_local.tui.screens.base import Box
from graasp_local.tui.tones import Line, Piece, Tone, plain, wrapped
from graasp_local.tui.widgets.lines import Lines
from graasp_local.verbs import Verb


class InTerminalScreen(Box[None]):
    """Without a terminal (in a browser) or with --read-only, the command can only be copied."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+y", "copy", show=False)]

    def __init__(self, row: Verb) -> None:
        super().__init__()
        self._row = row

    @property
    def _may_run(self) -> bool:
        return self.ui.terminal is not None and not self.ui.read_only

    def middle(self) -> ComposeResult:
        yield Input(placeholder="options and arguments, if it needs any; --help lists them", classes="gap")
        yield Lines(id="words", classes="keys")

    def on_input_changed(self) -> None:
        self.say("")

    def on_input_submitted(self) -> None:
        self.action_run()

    def action_run(self) -> None:
        """Run the command, or copy it if it cannot be run from here."""
        if not self._may_run:
            self.action_copy()
            return
        try:
            arguments = shlex.split(self.query_one(Input).value)
        except ValueError:
            self.say("A quotation mark is missing.", Tone.BAD)
            return
        self.dismiss(None)
        self.ui.verbs.run_in_terminal(self._row.name, arguments)

    def action_copy(self) -> None:
        command = f"graasp-local {self._row.name} {self.query_one(Input).value}".strip()
        self.app.copy_to_clipboard(command)
        self.app.notify(command, title="Copied")

    def text(self, width: int) -> tuple[Line, ...]:
        where = (
            "The command runs in this terminal and may ask questions; afterwards the UI comes back."
            if self._may_run
            else "Run it in a terminal, in the site's directory."
        )
        command = (Piece("graasp-local ", Tone.QUIET), Piece(self._row.name, Tone.STRONG))
        return (command, plain(self._row.summary, Tone.QUIET), (), *wrapped(where, width))

    def hints(self) -> tuple[KeyHint, ...]:
        run = (("enter", "Run it", "screen.run"),) if self._may_run else ()
        return (*run, ("^y", "Copy it", "screen.copy"), ("esc", "Cancel", "screen.close"))
