"""Choosing a state: what each of the four means, and what changing to it would do."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from graasp_local.planning.requests import ChangeState
from graasp_local.planning.states import InfraState
from graasp_local.tui.drawing.keys import key_line
from graasp_local.tui.drawing.tables import states_table
from graasp_local.tui.model import change_in_words
from graasp_local.tui.screens.base import UiModal
from graasp_local.tui.tones import Line, Tone, plain, wrapped
from graasp_local.tui.widgets.lines import Lines
from graasp_local.tui.widgets.rows import Rows


class StateScreen(UiModal[None]):
    """Enter shows the plan; nothing is changed from here."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,s", "close", show=False)]

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Lines(lambda width: (plain("Change the state", Tone.STRONG),))
            yield Rows()
            yield Lines(id="words", classes="keys")
            yield Lines(self._keys, classes="keys")

    def on_mount(self) -> None:
        view = self.ui.view
        if view is not None:
            rows = self.query_one(Rows)
            rows.show(lambda width: states_table(view))
            rows.focus()
            self._say(InfraState.RUNNING)
            if view.state is not None:
                rows.select(view.state.value)

    def on_rows_highlighted(self, message: Rows.Highlighted) -> None:
        self._say(InfraState(message.key))

    def on_rows_chosen(self, message: Rows.Chosen) -> None:
        self.dismiss(None)
        self.ui.plan(ChangeState(InfraState(message.key)))

    def action_choose(self) -> None:
        """What enter does on a row."""
        self.query_one(Rows).action_choose()

    def _say(self, state: InfraState) -> None:
        view = self.ui.view
        if view is not None:
            words = change_in_words(view, state)
            self.query_one("#words", Lines).show(lambda width: wrapped(words, width, Tone.QUIET, "  ")[:4])

    def _keys(self, width: int) -> tuple[Line, ...]:
        return (key_line((("enter", "See the plan", "screen.choose"), ("esc", "Cancel", "screen.close")), (), width),)
