"""Earlier walks, newest first; each can be opened and read step by step."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from graasp_local.journal.read import read_walks
from graasp_local.journal.records import WalkRecord
from graasp_local.tui.drawing.tables import history_table
from graasp_local.tui.hints import BACK, LAST
from graasp_local.tui.screens.base import UiScreen
from graasp_local.tui.screens.walk import WalkScreen
from graasp_local.tui.tones import Tone, plain
from graasp_local.tui.walk_view import ended_view, walk_view
from graasp_local.tui.watching import JournalFollower
from graasp_local.tui.widgets.keybar import KeyBar
from graasp_local.tui.widgets.lines import Lines
from graasp_local.tui.widgets.rows import Rows


class HistoryScreen(UiScreen):
    """Read from the site's journal."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.back", show=False)]

    class Read(Message):
        """The walks there are."""

        def __init__(self, walks: tuple[WalkRecord, ...]) -> None:
            super().__init__()
            self.walks = walks

    def compose(self) -> ComposeResult:
        yield Lines(lambda width: (plain("History of this site", Tone.STRONG),), classes="title")
        yield Lines(id="words", classes="gap")
        yield Rows(id="walks")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(Rows).focus()
        self.query_one(KeyBar).show_keys((BACK, ("enter", "Read step by step", "screen.open")), LAST)
        self._read()

    def on_history_screen_read(self, message: Read) -> None:
        if not message.walks:
            self.query_one("#words", Lines).show(lambda width: (plain("No walks yet.", Tone.QUIET),))
        self.query_one(Rows).show(lambda width: history_table(message.walks, width))

    def on_rows_chosen(self, message: Rows.Chosen) -> None:
        self._open(message.key)

    def action_open(self) -> None:
        self.query_one(Rows).action_choose()

    def _open(self, walk: str) -> None:
        file = self.ui.access.site().journal_directory / f"{walk}.jsonl"
        view = ended_view(walk_view(JournalFollower(file).new_records()))
        self.ui.push_screen(WalkScreen("other_walk", view))

    @work(thread=True, exclusive=True, exit_on_error=False, group="history")
    def _read(self) -> None:
        self.post_message(self.Read(read_walks(self.ui.access.site().journal_directory)))
