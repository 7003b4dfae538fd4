"""Choosing a backup to restore."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message

from graasp_local.errors import sentences_of
from graasp_local.tui.drawing.keys import key_line
from graasp_local.tui.drawing.tables import backups_table
from graasp_local.tui.screens.base import UiModal
from graasp_local.tui.tones import Line, Tone, plain, wrapped
from graasp_local.tui.widgets.lines import Lines
from graasp_local.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from graasp_local.backup.manifest import Manifest


class BackupsScreen(UiModal["Manifest"]):
    """Returns the chosen backup; does not restore it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "close", show=False)]

    class Found(Message):
        """The backups that can be restored, newest first; `problem` is why they could not be read."""

        def __init__(self, found: tuple[Manifest, ...], problem: str = "") -> None:
            super().__init__()
            self.found = found
            self.problem = problem

    def __init__(self) -> None:
        super().__init__()
        self._found: tuple[Manifest, ...] = ()

    def compose(self) -> ComposeResult:
        with Vertical(classes="box wide"):
            yield Lines(lambda width: (plain("Restore a backup", Tone.STRONG),))
            yield Rows()
            yield Lines(id="words", classes="keys")
            yield Lines(self._keys, classes="keys")

    def on_mount(self) -> None:
        self.query_one(Rows).focus()
        self._find()

    def on_backups_screen_found(self, message: Found) -> None:
        self._found, now = message.found, time.time()
        self.query_one(Rows).show(lambda width: backups_table(message.found, now, width))
        if not message.found:
            none = message.problem or "There are no backups yet. `graasp-local backup` takes one; it is in the palette."
            self.query_one("#words", Lines).show(lambda width: wrapped(none, width, Tone.QUIET))

    def on_rows_chosen(self, message: Rows.Chosen) -> None:
        self.dismiss(next(manifest for manifest in self._found if manifest.name == message.key))

    def action_choose(self) -> None:
        """What enter does on a row."""
        self.query_one(Rows).action_choose()

    @work(thread=True, exclusive=True, exit_on_error=False, group="backups")
    def _find(self) -> None:
        from graasp_local.backup.store import BackupStore

        try:
            usable = BackupStore.of(self.ui.access.site()).usable()
        except Exception as error:  # the person waits for an answer, whatever is wrong
            self.post_message(self.Found((), " ".join(sentences_of(error))))
            return
        self.post_message(self.Found(tuple(backup.manifest for backup in reversed(usable))))

    def _keys(self, width: int) -> tuple[Line, ...]:
        return (key_line((("enter", "Choose", "screen.choose"), ("esc", "Cancel", "screen.close")), (), width),)
