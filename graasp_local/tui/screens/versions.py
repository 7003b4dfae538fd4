"""Choosing a version to deploy: from the list, or typed."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from graasp_local.errors import GraaspLocalError
from graasp_local.planning.states import InfraState
from graasp_local.ports.live import AvailableVersions
from graasp_local.tui import messages
from graasp_local.tui.drawing.keys import key_line
from graasp_local.tui.drawing.tables import versions_table
from graasp_local.tui.intentions import DeployVersion
from graasp_local.tui.screens.base import UiModal
from graasp_local.tui.tones import Line, Tone, plain, wrapped
from graasp_local.tui.versions import matching, wanted_version
from graasp_local.tui.widgets.lines import Lines
from graasp_local.tui.widgets.rows import Rows


class VersionsScreen(UiModal[None]):
    """Enter shows the plan; nothing happens here. What is typed narrows the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", show=False),
        Binding("down", "move(1)", show=False),
        Binding("up", "move(-1)", show=False),
        Binding("ctrl+t", "hold", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._found: AvailableVersions | None = None
        self._hold = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Lines(lambda width: (plain("Deploy a version", Tone.STRONG),))
            yield Input(placeholder="type a version, or choose one below", classes="gap")
            yield Rows()
            yield Lines(id="words", classes="keys")
            yield Lines(self._keys, id="keys", classes="keys")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self._say("Asking this machine and the registry …")
        self._find()

    def on_versions_found(self, message: messages.VersionsFound) -> None:
        self._found = message.found
        view = self.ui.view
        self._say(message.found.problem)
        self._narrow("")
        if view is not None:
            self.query_one(Rows).select(view.version)

    def on_said(self, message: messages.Said) -> None:
        message.stop()
        self._say(message.text)

    def on_input_changed(self, event: Input.Changed) -> None:
        self._narrow(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._choose(event.value)

    def on_rows_chosen(self, message: Rows.Chosen) -> None:
        self._choose("")

    def action_choose(self) -> None:
        """What enter does in the field."""
        self._choose(self.query_one(Input).value)

    def action_move(self, by: int) -> None:
        self.query_one(Rows).action_move(by)

    def action_hold(self) -> None:
        """Stop behind the gate, or do not."""
        self._hold = not self._hold
        self.query_one("#keys", Lines).show(self._keys)
        self.query_one("#keys", Lines).refresh()

    def _narrow(self, text: str) -> None:
        view, found = self.ui.view, self._found
        if view is not None and found is not None:
            shown = matching(found.versions, text)
            self.query_one(Rows).show(lambda width: versions_table(shown, view.version, view.selected))

    def _choose(self, typed: str) -> None:
        try:
            version = wanted_version(typed, self.query_one(Rows).cursor_key)
        except GraaspLocalError as error:
            self._say(" ".join(error.sentences))
            return
        self.dismiss(None)
        self.ui.plan(DeployVersion(version, InfraState.RESTRICTED if self._hold else InfraState.RUNNING))

    @work(thread=True, exclusive=True, exit_on_error=False, group="versions")
    def _find(self) -> None:
        live = self.ui.observer.live
        try:
            if live is not None:
                self.post_message(messages.VersionsFound(live.versions()))
        except GraaspLocalError as error:
            self.post_message(messages.Said(" ".join(error.sentences)))

    def _say(self, words: str) -> None:
        self.query_one("#words", Lines).show(lambda width: wrapped(words, width, Tone.QUIET) if words else ())

    def _keys(self, width: int) -> tuple[Line, ...]:
        hold = "Hold behind the gate: yes" if self._hold else "Hold behind the gate: no"
        hints = (
            ("enter", "See the plan", "screen.choose"),
            ("^t", hold, "screen.hold"),
            ("esc", "Leave it", "screen.close"),
        )
        return (key_line(hints, (), width),)
