"""One service on the whole screen, refreshed every few seconds while it is shown."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from graasp_local.errors import GraaspLocalError
from graasp_local.tui.drawing.service import detail_lines
from graasp_local.tui.drawing.tables import Row, Table
from graasp_local.tui.hints import BACK, LAST, hint
from graasp_local.tui.screens.base import UiScreen
from graasp_local.tui.tones import Line, Piece, Tone, plain
from graasp_local.tui.widgets.lines import KeyBar, Lines
from graasp_local.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from graasp_local.ports.live import ContainerDetail

_LOOK_SECONDS = 5.0


class ServiceScreen(UiScreen):
    """Shows the service that was selected when the screen was opened."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("D", "app.back", show=False)]

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service
        self._detail: ContainerDetail | None = None
        self._is_gone = threading.Event()
        self._again = threading.Event()

    @property
    def visible_services(self) -> tuple[str, ...]:
        """The services whose CPU and memory use is read while this screen is open."""
        return (self._service,)

    def compose(self) -> ComposeResult:
        yield Lines(self._title, id="title", classes="title")
        yield Rows(id="detail", cursor=False)
        yield KeyBar()

    def on_mount(self) -> None:
        names = ["logs"] if self.ui.read_only else ["logs", "shell", "restart"]
        self.query_one(KeyBar).show_keys((BACK, *(hint(name) for name in names)), LAST)
        for name in ("readings", "trouble", "app_focus"):
            self.watch(self.app, name, self._draw, init=False)
        self.watch(self.app, "view", self._again.set, init=False)
        self._look()

    def on_unmount(self) -> None:
        self._is_gone.set()
        self._again.set()

    def _show(self, detail: ContainerDetail | None) -> None:
        """None if the service no longer has a container."""
        self._detail = detail
        self._draw()

    @work(thread=True, exclusive=True, exit_on_error=False, group="detail")
    def _look(self) -> None:
        while not self._is_gone.is_set() and not self.ui.stop.is_set():
            self._again.clear()
            live, view = self.ui.observer.live, self.ui.view
            service = view.service(self._service) if view is not None else None
            detail = None
            if live is not None and service is not None and service.container is not None:
                try:
                    detail = live.detail(service.container.id)
                except GraaspLocalError:
                    detail = self._detail  # the dashboard says that the engine does not answer
            self.call_later(self._show, detail)
            self._again.wait(_LOOK_SECONDS)

    def _draw(self) -> None:
        detail, now, is_fresh = self._detail, time.time(), not self.ui.stale
        self.query_one(Rows).set_class(self.ui.lost_at is not None, "-stale")
        self.show("title", self._title)
        reading = self.ui.readings.get(self._service)

        def table(width: int) -> Table:
            lines: tuple[Line, ...] = (plain("This service has no container.", Tone.QUIET),)
            if detail is not None:
                lines = detail_lines(detail, reading, now, width - 1, is_fresh=is_fresh)  # next to the bar
            return Table((), tuple(Row(str(number), line) for number, line in enumerate(lines)))

        self.query_one(Rows).show(table)

    def _title(self, width: int) -> tuple[Line, ...]:
        project = self.ui.view.project if self.ui.view is not None else ""
        stale = f"  {self.ui.stale}" if self.ui.stale else ""
        return ((Piece(self._service, Tone.STRONG), Piece(f"  of {project}", Tone.QUIET), Piece(stale, Tone.BUSY)),)
