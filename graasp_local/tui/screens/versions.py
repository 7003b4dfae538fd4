"""Choosing a version to deploy, from the list or by typing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from graasp_local.errors import sentences_of
from graasp_local.planning.requests import Deploy
from graasp_local.ports.live import AvailableVersion, AvailableVersions
from graasp_local.tui.drawing.keys import KeyHint
from graasp_local.tui.drawing.tables import versions_table
from graasp_local.tui.screens.base import ListBox
from graasp_local.tui.widgets.lines import Lines
from graasp_local.tui.widgets.rows import Rows
from graasp_local.version import Version


class VersionsScreen(ListBox[None]):
    """Typing narrows the list. Enter shows the plan; nothing is changed from here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", show=False),
        Binding("up", "move(-1)", show=False),
        Binding("ctrl+t", "hold", show=False),
        Binding("slash", "type", show=False),
    ]
    headline = "Deploy a version"
    enter = "See the plan"

    def __init__(self, typed: str = "", *, hold: bool = False) -> None:
        super().__init__()
        self._typed = typed
        self._found = AvailableVersions(())
        self._hold = hold

    def middle(self) -> ComposeResult:
        yield Input(self._typed, placeholder="type a version, or choose one below", classes="gap")
        yield Rows(field_above=None)
        yield Lines(id="words", classes="keys")

    def on_mount(self) -> None:
        self.say("Asking the engine and the registry …")
        self._find()

    def _show(self, found: AvailableVersions) -> None:
        self._found = found
        view = self.ui.view
        self.say(found.problem)
        self._narrow()
        if view is not None and not self.query_one(Input).value:
            self.query_one(Rows).select(view.version)

    def on_input_changed(self) -> None:
        self._narrow()

    def on_input_submitted(self) -> None:
        self.action_choose()

    def on_rows_chosen(self, message: Rows.Chosen) -> None:
        self.dismiss(None)
        self.ui.plan(Deploy(message.key, hold=self._hold))

    def action_choose(self) -> None:
        """What enter does in the field: choose the marked row."""
        rows = self.query_one(Rows)
        if rows.cursor_key is not None:
            rows.action_choose()
        else:
            typed = self.query_one(Input).value.strip()
            self.say(f"“{typed}” is not a version: it needs three numbers, such as 2.13.1." if typed else "")

    def action_move(self, by: int) -> None:
        self.query_one(Rows).action_move(by)

    def action_type(self) -> None:
        """Focus the field, which is this list's filter."""
        self.query_one(Input).focus()

    def action_hold(self) -> None:
        """Toggle whether the deployment is held behind the gate."""
        self._hold = not self._hold
        self.query_one("#keys", Lines).show(self._keys)
        self.query_one("#keys", Lines).refresh()

    def _narrow(self) -> None:
        """Offer the versions that match the typed text, with the first one marked."""
        view = self.ui.view
        if view is None:
            return
        rows, shown = self.query_one(Rows), offered(self._found.versions, self.query_one(Input).value)
        rows.show(lambda width: versions_table(shown, view.version, view.selected))
        rows.action_end(-1)

    @work(thread=True, exclusive=True, exit_on_error=False, group="versions")
    def _find(self) -> None:
        live = self.ui.observer.live
        try:
            if live is not None:
                self.call_later(self._show, live.versions())
        except Exception as error:  # the person waits for an answer, whatever is wrong
            self.call_later(self.say, " ".join(sentences_of(error)))

    def hints(self) -> tuple[KeyHint, ...]:
        plan, cancel = super().hints()
        return (plan, ("^t", f"Hold behind the gate: {'yes' if self._hold else 'no'}", "screen.hold"), cancel)


def offered(found: Sequence[AvailableVersion], text: str) -> tuple[AvailableVersion, ...]:
    """The versions that contain the text, an exact match first: enter takes the first one. Pure.

    A complete version that is not among them is offered too, although neither this machine nor the registry has it.
    """
    typed = text.strip()
    needle = typed.removeprefix("v").casefold()
    matching = tuple(entry for entry in found if needle in str(entry.version).casefold())
    exact = Version.parse_or_none(typed)
    if exact is None:
        return matching
    same = tuple(entry for entry in matching if entry.version == exact)
    others = tuple(entry for entry in matching if entry.version != exact)
    return (*(same or (AvailableVersion(exact, local=False, published=False),)), *others)
