"""Choosing a backup to restore."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.binding import Binding, BindingType

from graasp_local.errors import sentences_of
from graasp_local.tui.drawing.tables import backups_table
from graasp_local.tui.screens.base import ListBox
from graasp_local.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from graasp_local.backup.manifest import Manifest


class BackupsScreen(ListBox["Manifest"]):
    """Returns the chosen backup; does not restore it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "close", show=False)]
    headline = "Restore a backup"
    enter = "Choose"

    def on_mount(self) -> None:
        self._found: tuple[Manifest, ...] = ()
        self._find()

    def _show(self, found: tuple[Manifest, ...], damaged: int) -> None:
        self._found, now = found, time.time()
        self.query_one(Rows).show(lambda width: backups_table(found, now, width))
        if damaged:
            count = "One backup is" if damaged == 1 else f"{damaged} backups are"
            self.say(f"{count} damaged and not shown; `graasp-local backup list` says why.")
        elif not found:
            self.say("There are no backups yet. `graasp-local backup` takes one; it is in the palette.")

    def on_rows_chosen(self, message: Rows.Chosen) -> None:
        self.dismiss(next(manifest for manifest in self._found if manifest.name == message.key))

    @work(thread=True, exclusive=True, exit_on_error=False, group="backups")
    def _find(self) -> None:
        from graasp_local.backup.store import BackupStore, StoredBackup

        try:
            every = BackupStore.of(self.ui.access.site()).all()
        except Exception as error:  # the person waits for an answer, whatever is wrong
            self.call_later(self.say, " ".join(sentences_of(error)))
            return
        # Newest first.
        usable = tuple(backup.manifest for backup in reversed(every) if isinstance(backup, StoredBackup))
        self.call_later(self._show, usable, len(every) - len(usable))
