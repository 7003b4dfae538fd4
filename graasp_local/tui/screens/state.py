"""Choosing a state: what each of the four means, and what changing to it would do."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from graasp_local.planning.requests import ChangeState
from graasp_local.planning.states import InfraState
from graasp_local.tui.drawing.tables import states_table
from graasp_local.tui.model import change_in_words
from graasp_local.tui.screens.base import ListBox
from graasp_local.tui.tones import Tone, wrapped
from graasp_local.tui.widgets.rows import Rows


class StateScreen(ListBox[None]):
    """Enter shows the plan; nothing is changed from here."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,s", "close", show=False)]
    headline = "Change the state"
    enter = "See the plan"

    def on_mount(self) -> None:
        view = self.ui.view
        if view is not None:
            rows = self.query_one(Rows)
            rows.show(lambda width: states_table(view))
            rows.focus()
            self._describe(InfraState.RUNNING)
            if view.state is not None:
                rows.select(view.state.value)

    def on_rows_highlighted(self, message: Rows.Highlighted) -> None:
        self._describe(InfraState(message.key))

    def on_rows_chosen(self, message: Rows.Chosen) -> None:
        self.dismiss(None)
        self.ui.plan(ChangeState(InfraState(message.key)))

    def _describe(self, state: InfraState) -> None:
        view = self.ui.view
        if view is not None:
            words = change_in_words(view, state)
            self.show("words", lambda width: wrapped(words, width, Tone.QUIET, "  ")[:4])
