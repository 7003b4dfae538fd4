"""The dashboard: the site's state, its services, and a log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from graasp_local.tui.drawing import site as draw
from graasp_local.tui.drawing.month import month_lines
from graasp_local.tui.drawing.tables import Table, services_table
from graasp_local.tui.drawing.trouble import TroubleKind, trouble_lines
from graasp_local.tui.hints import LAST, dashboard_hints, log_hints
from graasp_local.tui.screens.base import UiScreen
from graasp_local.tui.widgets.lines import KeyBar, Lines
from graasp_local.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from graasp_local.tui.widgets.log_panel import LogPanel

_REPAINT_SECONDS = 10.0


class Dashboard(UiScreen):
    """Shows the app's latest observations."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "focus_on('services')", show=False),
        Binding("2", "focus_on('log')", show=False),
        Binding("slash", "app.log_action('filter')", show=False),
        Binding("a", "app.log_action('all')", show=False),
    ]

    def compose(self) -> ComposeResult:
        yield Lines(
            lambda width: (draw.title_line(None, width, read_only=self.ui.read_only),), id="title", classes="title"
        )
        with Vertical(id="site"):
            yield Lines(lambda width: draw.strip_lines(None, None, width, clickable=False), id="strip", classes="gap")
            yield Lines(lambda width: draw.fact_lines(None, 0.0, width), id="facts")
        yield KeyBar()

    def on_mount(self) -> None:
        # Show the strip before the rest is created.
        self.call_after_refresh(self._fill)

    async def _fill(self) -> None:
        from graasp_local.tui.widgets.log_panel import LogPanel

        await self.query_one("#site").mount(
            Lines(id="notices"), Rows(id="services"), Lines(id="days"), LogPanel(id="panel")
        )
        trouble = Lines(id="trouble")
        trouble.display = False
        await self.mount(trouble, before=self.query_one("#site"))
        self.query_one(Rows).focus()
        for name in ("view", "trouble", "readings", "operation", "days", "remembered", "app_focus"):
            self.watch(self.app, name, self._draw, init=False)
        self._draw()
        self.set_interval(_REPAINT_SECONDS, self._draw)

    def begin_again(self) -> None:
        """Forget this site's services and log, because another site will be shown."""
        self.query_one(Rows).show(lambda width: Table((), ()))
        self._panel.forget()

    @property
    def visible_services(self) -> tuple[str, ...]:
        """The services that can be seen without scrolling."""
        return self.query_one(Rows).visible_keys if self.query(Rows) else ()

    def on_rows_highlighted(self, message: Rows.Highlighted) -> None:
        self.ui.selected_service = message.key
        self._draw_keys()
        if self.ui.view is not None:
            self._panel.follow_service(message.key, self.ui.view)

    def on_rows_chosen(self, message: Rows.Chosen) -> None:
        self.ui.action_verb("logs")

    def on_descendant_focus(self) -> None:
        self._draw_keys()

    def action_focus_on(self, what: str) -> None:
        self.query_one("#services" if what == "services" else "#logs").focus()

    @property
    def _panel(self) -> LogPanel:
        return cast("LogPanel", self.query_one("#panel"))

    def _draw(self) -> None:
        ui = self.ui
        view, trouble = ui.view, ui.trouble
        stale = ui.stale
        # If the engine is gone, the last observation is still worth showing, marked as stale.
        is_lost = trouble is not None and trouble.kind is TroubleKind.ENGINE and view is not None
        self.query_one("#site").display = trouble is None or is_lost
        self.query_one("#site").set_class(is_lost, "-stale")
        self.query_one("#trouble").display = trouble is not None
        self.show("title", lambda width: (draw.title_line(view, width, read_only=ui.read_only, stale=stale),))
        if trouble is not None:
            self._panel.lose()
            seen_at = ui.lost_at if is_lost else None
            where = ui.access.new_site_directory()
            self.show(
                "trouble",
                lambda width: trouble_lines(trouble, str(where), width, read_only=ui.read_only, seen_at=seen_at),
            )
        if trouble is None or is_lost:
            self._draw_site()
        self._draw_keys()

    def _draw_site(self) -> None:
        ui = self.ui
        view, readings, now = ui.view, ui.readings, time.time()
        operation = ui.operation if ui.is_under_way else None
        clickable, seen_at = not ui.read_only and ui.lost_at is None, ui.lost_at
        wider, is_fresh = ui.remembered.wider, not ui.stale
        self.show("strip", lambda width: draw.strip_lines(view, operation, width, clickable=clickable, seen_at=seen_at))
        self.show("facts", lambda width: draw.fact_lines(view, now, width))
        self.show("notices", lambda width: draw.notice_lines(view, operation, now, width))
        days = ui.days
        self.query_one("#days").set_class(bool(month_lines(days, self.size.width)), "-some")
        self.show("days", lambda width: month_lines(days, width))
        if view is not None:
            self.query_one(Rows).show(
                lambda width: services_table(view.services, readings, now, width, wider=wider, is_fresh=is_fresh)
            )
            if seen_at is None:
                self._panel.keep_following(view)

    def _draw_keys(self) -> None:
        ui = self.ui
        operation = ui.operation if ui.is_under_way else None
        hints = dashboard_hints(ui.view, ui.trouble, operation, ui.selected_service, read_only=ui.read_only)
        if self.focused is not None and self.focused.id == "logs":
            hints = log_hints(alone=False)
        self.query_one(KeyBar).show_keys(hints, LAST)
