"""The sites that were opened in the terminal UI, each with its current state; enter switches to one."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from graasp_local.errors import sentences_of
from graasp_local.tui.drawing.tables import sites_table
from graasp_local.tui.drawing.trouble import Trouble, TroubleKind
from graasp_local.tui.remembered import recall
from graasp_local.tui.screens.base import ListBox
from graasp_local.tui.watching import Observer
from graasp_local.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from graasp_local.tui.model import SiteView


class SitesScreen(ListBox[str]):
    """Returns the directory of the chosen site. Observes each site on its own thread."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,S", "close", show=False)]
    headline = "Sites that were opened here"
    enter = "Open"

    def middle(self) -> ComposeResult:
        yield Rows()

    def on_mount(self) -> None:
        # A site that was removed, or is on a disk that is not mounted, is hidden but not forgotten.
        self._sites = [site for site in recall().sites if _may_be_there(Path(site) / ".env")]
        self._found: dict[str, SiteView | Trouble] = {}
        self._draw()
        self.query_one(Rows).select(self.ui.directory)
        for site in self._sites:
            look = partial(self._look, site)
            self.run_worker(look, thread=True, exclusive=True, exit_on_error=False, group=f"site {site}")

    def _show(self, site: str, found: SiteView | Trouble) -> None:
        self._found[site] = found
        self._draw()

    def on_rows_chosen(self, message: Rows.Chosen) -> None:
        self.dismiss(message.key)

    def _look(self, site: str) -> None:
        found: SiteView | Trouble
        try:
            found = Observer(self.ui.access.at(Path(site), read_only=True)).look_once()
        except Exception as error:  # one site must not be without an answer, whatever is wrong
            found = Trouble(TroubleKind.SETTINGS, sentences_of(error))
        self.call_later(self._show, site, found)

    def _draw(self) -> None:
        home = os.environ.get("HOME", "")
        here, sites, found = self.ui.directory, tuple(self._sites), dict(self._found)
        self.query_one(Rows).show(lambda width: sites_table(sites, found, here, home))


def _may_be_there(file: Path) -> bool:
    """False only if it is certain that there is no such file: one that cannot be reached is shown with the reason."""
    try:
        return file.exists()
    except OSError:
        return True
