"""Logs of one service or of all, on the whole screen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from graasp_local.tui.hints import LAST, log_hints
from graasp_local.tui.screens.base import UiScreen
from graasp_local.tui.widgets.lines import KeyBar
from graasp_local.tui.widgets.log_panel import LogPanel


class LogsScreen(UiScreen):
    """Opens with the selected service; `a` switches between it and all services."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "app.back", show=False),
        Binding("slash", "app.log_action('filter')", show=False),
        Binding("a", "app.log_action('all')", show=False),
    ]

    def __init__(self, service: str | None) -> None:
        super().__init__()
        self._service = service

    def compose(self) -> ComposeResult:
        yield LogPanel(id="panel")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(KeyBar).show_keys(log_hints(alone=True), LAST)
        self.watch(self.app, "view", self._site_changed)

    def _site_changed(self) -> None:
        view = self.ui.view
        if view is None:
            return
        panel = self.query_one(LogPanel)
        if self._service is None:
            panel.follow_all(view)
        else:
            panel.follow_service(self._service, view)
        panel.keep_following(view)
