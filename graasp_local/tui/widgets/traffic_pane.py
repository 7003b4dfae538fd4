"""Requests per second and 5xx answers before, during and after an operation, as two sparklines above one axis."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, cast

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Sparkline

from graasp_local.tui.drawing.traffic import axis_line, errors_line, requests_line, window
from graasp_local.tui.traffic import LogOfNginx, Traffic
from graasp_local.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from graasp_local.tui.app import GraaspApp
    from graasp_local.tui.operation_view import OperationView

HEIGHT = 7
_DRAW_SECONDS = 1.0


class TrafficPane(Vertical):
    """Reads nginx's log from `show` on; for an earlier operation, whatever the log still contains."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._traffic = Traffic()
        self._log: LogOfNginx | None = None
        self._operation: OperationView | None = None

    def compose(self) -> ComposeResult:
        yield Lines(id="requests-head")
        yield Sparkline([0, 0], id="requests")
        yield Lines(id="errors-head")
        yield Sparkline([0, 0], id="errors")
        yield Lines(id="axis")

    def on_mount(self) -> None:
        self.set_interval(_DRAW_SECONDS, self._draw)

    def on_unmount(self) -> None:
        if self._log is not None:
            self._log.close()

    def show(self, operation: OperationView) -> None:
        """Show the traffic around this operation, as far as it is known now."""
        self._operation = operation
        if self._log is None and operation.began:
            self._log = LogOfNginx(self._traffic, window(operation, time.time())[0])
            self._follow()
            self._draw()

    @work(thread=True, exclusive=True, exit_on_error=False, group="traffic")
    def _follow(self) -> None:
        ui = cast("GraaspApp", self.app)
        if self._log is not None:
            self._log.follow(lambda: ui.observer.live, lambda: ui.view)

    def _draw(self) -> None:
        operation, now = self._operation, time.time()
        if operation is None or not self.size.width:
            return
        begin, end = window(operation, now)
        figures = self._traffic.figures(begin, end)
        self.query_one("#requests", Sparkline).data = figures.requests
        self.query_one("#errors", Sparkline).data = figures.failed
        for name, line in (("requests", requests_line), ("errors", errors_line)):
            self.query_one(f"#{name}-head", Lines).show(partial(lambda line, width: (line(figures, width),), line))
        self.query_one("#axis", Lines).show(lambda width: (axis_line(operation, figures.begin, end, width),))
