"""Earlier operations, newest first; each can be opened to read it step by step."""

from __future__ import annotations

import time

from textual import work
from textual.app import ComposeResult
from textual.containers import Container

from graasp_local.errors import sentences_of
from graasp_local.journal.read import read_journal
from graasp_local.journal.records import OperationRecord
from graasp_local.journal.status import UNDER_WAY, with_its_state
from graasp_local.lock import current_holder
from graasp_local.tui.drawing.earlier import earlier_lines, one_before
from graasp_local.tui.drawing.tables import history_table
from graasp_local.tui.hints import LAST
from graasp_local.tui.operation_view import ended_view, operation_view
from graasp_local.tui.screens.base import UiScreen
from graasp_local.tui.screens.operation import OperationScreen
from graasp_local.tui.tones import Tone, paragraphs, plain
from graasp_local.tui.watching import JournalFollower
from graasp_local.tui.widgets.lines import KeyBar, Lines
from graasp_local.tui.widgets.rows import Rows
from graasp_local.wording import plain_text


class HistoryScreen(UiScreen):
    """Read from the site's journal."""

    def __init__(self) -> None:
        super().__init__()
        self._operations: tuple[OperationRecord, ...] = ()
        self._marked = ""

    def compose(self) -> ComposeResult:
        yield Lines(lambda width: (plain("History of this site", Tone.STRONG),), classes="title")
        yield Lines(id="words", classes="gap")
        with Container(id="history"):
            yield Rows(id="operations", field_above="#history")
            yield Lines(id="earlier")
        yield KeyBar()

    def on_mount(self) -> None:
        keys = (("esc", "Back", "app.back"), ("enter", "Read step by step", "screen.open"))
        self.query_one(KeyBar).show_keys((*keys, ("/", "Filter", "screen.filter")), LAST)
        self._read()
        # Read them again whenever an operation has begun or ended.
        self.watch(self.app, "days", self._read_again, init=False)

    def _read_again(self) -> None:
        self._read()

    def _show(self, operations: tuple[OperationRecord, ...], problems: tuple[str, ...]) -> None:
        self._operations = operations
        none = () if operations or problems else (plain("No operations yet.", Tone.QUIET),)
        self.show("words", lambda width: (*none, *paragraphs(problems, width, Tone.BAD)))
        rows, now = self.query_one("#operations", Rows), time.time()
        rows.show(lambda width: history_table(operations, now, width))
        self._marked = rows.cursor_key or ""
        self._draw_marked()

    def on_rows_highlighted(self, message: Rows.Highlighted) -> None:
        self._marked = message.key
        self._draw_marked()

    def on_rows_chosen(self, message: Rows.Chosen) -> None:
        self._open(message.key)

    def action_open(self) -> None:
        self.query_one(Rows).action_choose()

    def action_filter(self) -> None:
        self.query_one("#operations", Rows).action_filter()

    def _draw_marked(self) -> None:
        """Draw the marked operation next to the list, where it is visible if the screen is wide."""
        operation = next((operation for operation in self._operations if operation.operation == self._marked), None)
        if operation is None:
            self.show("earlier", lambda width: ())
            return
        before, now = one_before(self._operations, operation), time.time()
        self.show("earlier", lambda width: earlier_lines(operation, before, now, width))

    def _open(self, operation: str) -> None:
        if any(each.operation == operation and each.outcome == UNDER_WAY for each in self._operations):
            self.ui.action_watch()
            return
        file = self.ui.access.site().journal_directory / f"{operation}.jsonl"
        try:
            file.open("rb").close()
        except OSError as error:
            problem = sentences_of(error)
            self.show("words", lambda width: paragraphs(problem, width, Tone.BAD))
            return
        view = ended_view(operation_view(JournalFollower(file).new_records()))
        self.ui.push_screen(OperationScreen("other_operation", view))

    @work(thread=True, exclusive=True, exit_on_error=False, group="history")
    def _read(self) -> None:
        try:
            site = self.ui.access.site()
            journal = read_journal(site.journal_directory)
            operations = with_its_state(journal.operations, current_holder(site.lock_file))
        except Exception as error:  # the person waits for an answer, whatever is wrong
            self.call_later(self._show, (), sentences_of(error))
            return
        damaged = tuple(
            f"Not shown, because it is damaged: {each.file.name}: {plain_text(each.damage)}" for each in journal.damaged
        )
        self.call_later(self._show, operations, damaged)
